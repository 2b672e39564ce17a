"""What is refused before TLS, and what PBSZ and PROT agree on."""

import ssl

import pytest

from portway.net.contexts import NO_TLS, TlsContexts
from portway.protocols.ftp import replies
from portway.protocols.ftp.protection import Protection
from portway.protocols.ftp.settings import FtpSettings
from portway.protocols.ftp.wire import parse_command

SOME = TlsContexts(accept=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def protection(tls: str, *, inside: bool = False, ccc: bool = False) -> Protection:
    settings = FtpSettings(tls=tls, ccc=ccc)  # type: ignore[arg-type]
    made = Protection(settings, NO_TLS if tls == "off" else SOME)
    made.inside = inside
    return made


@pytest.mark.parametrize("tls", ["off", "explicit", "required", "implicit"])
@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("verb", ["USER u", "SITE h", "OPEN h", "FEAT", "QUIT", "NOOP"])
def test_no_login_in_clear_where_tls_is_required(
    tls: str, inside: bool, verb: str
) -> None:
    refused = protection(tls, inside=inside).refusal(parse_command(verb.encode()))
    names = verb[:4] in {"USER", "SITE", "OPEN"}
    wanted = names and not inside and tls in {"required", "implicit"}
    assert refused == (replies.TLS_REQUIRED if wanted else None)


@pytest.mark.parametrize("tls", ["explicit", "required", "implicit"])
def test_prot_and_what_takes_it_back(tls: str) -> None:
    made = protection(tls, inside=True)
    implicit = tls == "implicit"
    assert made.private is implicit
    asked = made.answer(parse_command(b"PROT P"))
    assert asked == (replies.PROT_OK if implicit else replies.SEND_PBSZ)
    assert made.answer(parse_command(b"pbsz 0")) == replies.SIZED
    assert made.answer(parse_command(b"PROT P")) == replies.PROT_OK
    assert made.private
    assert made.refusal(parse_command(b"RETR f")) is None
    refused = made.answer(parse_command(b"PROT C"))
    assert refused == (replies.PROT_REQUIRED if tls == "required" else replies.PROT_OK)
    assert made.private is (tls == "required")
    made.forget()
    assert made.private is implicit
    wanted = replies.PROT_NEEDED if tls == "required" else None
    assert made.refusal(parse_command(b"RETR f")) == wanted


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("ccc", [True, False])
@pytest.mark.parametrize("logged_in", [True, False])
def test_ccc(inside: bool, ccc: bool, logged_in: bool) -> None:
    made = protection("explicit", inside=inside, ccc=ccc)
    expected: bytes | None = None if logged_in else replies.CCC_TOO_EARLY
    if not inside:
        expected = replies.NO_TLS
    if not ccc:
        expected = replies.NO_CCC
    assert made.ccc_refusal(logged_in=logged_in) == expected
    assert (b"CCC" in made.features) is ccc


def test_auth_over_again_takes_prot_back() -> None:
    made = protection("explicit")
    made.accept(b"ssl")
    assert made.private
    assert made.accept(b" tls ") == b"234 AUTH TLS accepted.\r\n"
    assert not made.private
