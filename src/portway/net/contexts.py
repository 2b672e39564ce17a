"""What TLS demands of each side, made once, when a configuration is loaded.

Not here: the handshake (tls.py). Invariant: a context that `connecting` makes checks
the server's certificate and name unless it was told not to, and none renegotiates,
compresses, or goes below its minimum.
"""

import ssl
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Minimum = Literal["1.0", "1.1", "1.2", "1.3"]

_VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
_OLD = frozenset({"1.0", "1.1"})


@dataclass(frozen=True, slots=True)
class TlsContexts:
    """What one listener demands of each side; None where there is no TLS.

    *accept* is for clients, *connect* for servers. *fresh* makes another context for
    clients, like *accept*: what resumes one of its sessions was in that session. *bare*
    is like *connect*, and names no protocol that is to be spoken inside.
    """

    accept: ssl.SSLContext | None = None
    connect: ssl.SSLContext | None = None
    fresh: Callable[[], ssl.SSLContext] | None = None
    bare: ssl.SSLContext | None = None


NO_TLS = TlsContexts()


def accepting(  # noqa: PLR0913 - what a certificate comes with
    certificate: str,
    key: str = "",
    *,
    client_ca: str = "",
    minimum: Minimum = "1.2",
    maximum: Minimum = "1.3",
    alpn: Sequence[str] = (),
) -> ssl.SSLContext:
    """Return a context for clients, which are shown *certificate*.

    The files hold PEM; *key* empty is in the certificate's. With *client_ca* clients
    must show a certificate of that authority. *alpn* are the protocols agreed to, RFC
    7301. Raises ValueError, which names the file.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _bound(context, minimum)
    context.maximum_version = _VERSIONS[maximum]
    _show(context, certificate, key)
    if client_ca:
        _trust(context, client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def connecting(
    *,
    verify: bool = True,
    ca: str = "",
    certificate: str = "",
    key: str = "",
    minimum: Minimum = "1.2",
) -> ssl.SSLContext:
    """Return a context for servers; *ca* empty trusts the machine's authorities.

    *certificate* and *key* are shown to servers that ask. Raises ValueError, which
    names the file.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _bound(context, minimum)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca:
        _trust(context, ca)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if certificate:
        _show(context, certificate, key)
    return context


def _bound(context: ssl.SSLContext, minimum: Minimum) -> None:
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is asked for
        context.minimum_version = _VERSIONS[minimum]
    if minimum in _OLD:  # OpenSSL 3 signs nothing that old peers understand otherwise
        context.set_ciphers("DEFAULT@SECLEVEL=0")


def _show(context: ssl.SSLContext, certificate: str, key: str) -> None:
    try:
        # an encrypted key would ask at a terminal: an empty password fails instead
        context.load_cert_chain(certificate, key or None, password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            text = f"{key or certificate}: the key does not belong to {certificate}"
            raise ValueError(text) from error
        if key and not _holds(key, b"PRIVATE KEY-----"):
            raise ValueError(f"{key}: no private key in PEM") from error
        text = f"{certificate}: no certificate and key in PEM that can be used"
        raise ValueError(text) from error
    except OSError as error:  # it does not say which of the two
        raise ValueError(
            f"{_unreadable(certificate, key)}: {error.strerror}"
        ) from error


def _trust(context: ssl.SSLContext, ca: str) -> None:
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise ValueError(f"{ca}: no certificates in PEM") from error
    except OSError as error:
        raise ValueError(f"{ca}: {error.strerror}") from error


def _holds(path: str, mark: bytes) -> bool:
    try:
        return mark in Path(path).read_bytes()
    except OSError:
        return True


def _unreadable(certificate: str, key: str) -> str:
    try:
        with open(certificate, "rb"):  # noqa: PTH123 - only whether it can be
            return key or certificate
    except OSError:
        return certificate


@contextmanager
def few_tickets(context: ssl.SSLContext) -> Iterator[None]:
    """Let what is made of *context* meanwhile send no tickets.

    A connection takes the number over when it is made; a context of its own could not
    resume sessions of the other's.
    """
    usual = context.num_tickets
    context.num_tickets = 0
    try:
        yield
    finally:
        context.num_tickets = usual
