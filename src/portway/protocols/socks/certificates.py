"""What TLS demands at one SOCKS door, read from the files that its table names.

Not here: handshakes. Invariant: what is wrong with a file is named by the key that
names the file, and nothing of what is in it is shown.
"""

from ssl import SSLContext

from portway.config.schema import Listener, Wrong
from portway.net.contexts import TlsContexts, accepting, connecting
from portway.protocols.socks.settings import SocksSettings


def contexts_of(listener: Listener) -> tuple[TlsContexts, tuple[Wrong, ...]]:
    """Return what TLS demands at *listener*, and what is wrong with its files."""
    settings = listener.settings
    if not isinstance(settings, SocksSettings):
        raise TypeError(f"{listener.name} is no SOCKS listener")
    wrong: list[Wrong] = []
    made = TlsContexts(
        accept=_accept(settings, wrong), connect=_connect(settings, wrong)
    )
    return made, tuple(wrong)


def _accept(settings: SocksSettings, wrong: list[Wrong]) -> SSLContext | None:
    """Return what TLS demands of clients; what is wrong with files goes to *wrong*."""
    if settings.tls == "off" or not settings.certificate:
        return None
    try:
        return accepting(
            settings.certificate,
            settings.key,
            client_ca=settings.client_ca,
            minimum=settings.tls_min,
        )
    except ValueError as error:
        text = str(error)
        keys = ("client_ca", "key")
        named = (key for key in keys if text.startswith(f"{getattr(settings, key)}: "))
        wrong.append(Wrong(next(named, "certificate"), text))
        return None


def _connect(settings: SocksSettings, wrong: list[Wrong]) -> SSLContext | None:
    """Return what is demanded of servers whose TLS is opened, where keys say so.

    Else it is made once a rule asks for it: it takes memory (within.py).
    """
    upstream = settings.upstream
    if upstream.verify and not upstream.ca:
        return None
    try:
        context = connecting(verify=upstream.verify, ca=upstream.ca)
    except ValueError as error:
        wrong.append(Wrong("upstream.ca", str(error)))
        return None
    context.set_alpn_protocols(["http/1.1"])  # it is HTTP that is judged within
    return context
