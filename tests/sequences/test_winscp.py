"""WinSCP's proxy types (issue: its *FTP proxy methods* list), word for word.

Type 4, "login to the proxy, then to the server", names no server: it is for doors in
transparent and in reverse mode. The sequences and what WinSCP makes of replies are
facts from its ``FtpControlSocket.cpp``.
"""

import pytest

from tests.integration.nanoftpd import NanoFtpd
from tests.integration.network import Place
from tests.sequences.walk import IN, OUT, Doors, Step, knock, walk, words

ACCOUNT = Step("ACCT default", IN, OUT)

SITE = (
    Step("USER {fu}", 2, 1),
    Step("PASS {fp}", 2, OUT),
    Step("SITE {h}", 3, 3),
    Step("USER {u}", IN, 4),
    Step("PASS {p}", IN, 5),
    ACCOUNT,
)
USER_AFTER_LOGON = (
    Step("USER {fu}", 2, 1),
    Step("PASS {fp}", 2, OUT),
    Step("USER {u}@{h}", IN, 3),
    Step("PASS {p}", IN, 4),
    ACCOUNT,
)
OPEN = (
    Step("OPEN {h}", 1, 1),
    Step("USER {u}", IN, 2),
    Step("PASS {p}", IN, 3),
    ACCOUNT,
)
USER_AT_HOST = (
    Step("USER {u}@{h}", IN, 1),
    Step("PASS {p}", IN, 2),
    ACCOUNT,
)
PROXYUSER_AT_HOST = (
    Step("USER {fu}@{h}", 2, 1),
    Step("PASS {fp}", 2, OUT),
    Step("USER {u}", IN, 3),
    Step("PASS {p}", IN, 4),
    ACCOUNT,
)
USER_AT_HOST_PROXYUSER = (
    Step("USER {u}@{h} {fu}", OUT, 1),
    Step("PASS {p}", IN, 2),
    Step("ACCT {fp}", IN, OUT),
)
JOINED = (
    Step("USER {u}@{fu}@{h}", IN, 1),
    Step("PASS {p}@{fp}", IN, 2),
    Step("ACCT {fp}", IN, OUT),
)

TYPES = {
    "1-site": (SITE, "required"),
    "1-site-optional": (SITE, "optional"),
    "2-user-after-logon": (USER_AFTER_LOGON, "required"),
    "2-user-after-logon-optional": (USER_AFTER_LOGON, "optional"),
    "3-open": (OPEN, "none"),
    "3-open-optional": (OPEN, "optional"),
    "5-user-at-host": (USER_AT_HOST, "none"),
    "5-user-at-host-optional": (USER_AT_HOST, "optional"),
    "6-proxyuser-at-host": (PROXYUSER_AT_HOST, "required"),
    "7-user-at-host-proxyuser": (USER_AT_HOST_PROXYUSER, "required"),
    "7-user-at-host-proxyuser-optional": (USER_AT_HOST_PROXYUSER, "optional"),
    "8-joined": (JOINED, "required"),
    "8-joined-optional": (JOINED, "optional"),
}


@pytest.mark.parametrize("tls", ["clear", "explicit"])
@pytest.mark.parametrize("name", TYPES)
def test_type(
    name: str, tls: str, place: Place, doors: Doors, server: NanoFtpd
) -> None:
    steps, login = TYPES[name]
    with knock(place, doors, login) as client:
        if tls == "explicit":  # this door has none, and says so: WinSCP asks twice
            assert client.ask("AUTH TLS").code // 100 not in (2, 3)
            assert client.ask("AUTH SSL").code // 100 not in (2, 3)
        walk(steps, client, words(f"127.0.0.1:{server.port}"))
        assert client.ask("SYST").code // 100 == 2
        features = client.expect("FEAT", 211)
        assert " UTF8" not in features.lines  # the server has none
        client.expect("PWD", 257)
        client.expect("CWD /", 250)
        client.expect("PWD", 257)
        client.expect("TYPE A", 200)
        assert b"sample.bin" in client.fetch("LIST -a")
        client.expect("TYPE I", 200)
        assert client.fetch("RETR sample.bin") == server.files["sample.bin"]
        client.expect("TYPE I", 200)
        client.store("STOR up.bin", b"stored")
        client.expect("QUIT", 221)
    assert server.files["up.bin"] == b"stored"
    assert server.lines[:2] == ["USER joe", "PASS s3cret"]
    assert not any("fu" in line or "fp-word" in line for line in server.lines)
