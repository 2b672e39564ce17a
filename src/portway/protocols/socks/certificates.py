"""What TLS demands at one SOCKS door, read from the files that its table names.

Not here: handshakes. Invariant: what is wrong with a file is named by the key that
names the file, and nothing of what is in it is shown.
"""

from portway.config.schema import Listener, Wrong
from portway.net.contexts import NO_TLS, TlsContexts, accepting
from portway.protocols.socks.settings import SocksSettings


def contexts_of(listener: Listener) -> tuple[TlsContexts, tuple[Wrong, ...]]:
    """Return what TLS demands at *listener*, and what is wrong with its files."""
    settings = listener.settings
    if not isinstance(settings, SocksSettings):
        raise TypeError(f"{listener.name} is no SOCKS listener")
    if settings.tls == "off" or not settings.certificate:
        return NO_TLS, ()
    try:
        context = accepting(
            settings.certificate,
            settings.key,
            client_ca=settings.client_ca,
            minimum=settings.tls_min,
        )
    except ValueError as error:
        text = str(error)
        keys = ("client_ca", "key")
        named = (key for key in keys if text.startswith(f"{getattr(settings, key)}: "))
        return NO_TLS, (Wrong(next(named, "certificate"), text),)
    return TlsContexts(accept=context), ()
