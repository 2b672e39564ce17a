"""What TLS demands at one HTTP door, read from the files that its table names.

Not here: handshakes. Invariant: what is wrong with a file is named by the key that
names the file, and nothing of what is in it is shown.
"""

from collections.abc import Callable, Mapping
from functools import partial
from ssl import SSLContext

from portway.config.schema import Listener, Wrong
from portway.net.contexts import TlsContexts, accepting, connecting
from portway.protocols.http.settings import HttpSettings, Upstream

ALPN = ("http/1.1",)  # RFC 7301


def contexts_of(listener: Listener) -> tuple[TlsContexts, tuple[Wrong, ...]]:
    """Return what TLS demands at *listener*, and what is wrong with its files."""
    settings = listener.settings
    if not isinstance(settings, HttpSettings):
        raise TypeError(f"{listener.name} is no HTTP listener")
    wrong: list[Wrong] = []
    accept = None
    if settings.tls != "off" and settings.certificate:
        make = partial(
            accepting,
            settings.certificate,
            settings.key,
            client_ca=settings.client_ca,
            minimum=settings.tls_min,
            alpn=ALPN,
        )
        files = {name: getattr(settings, name) for name in ("client_ca", "key")}
        accept = _made(make, "certificate", files, wrong)
    connect = connect_context(settings.upstream, wrong)
    forward = listener.mode == "forward"  # there alone are URLs of FTP
    bare = bare_context(settings.upstream, wrong) if forward and not wrong else None
    return TlsContexts(accept=accept, connect=connect, bare=bare), tuple(wrong)


def connect_context(upstream: Upstream, wrong: list[Wrong]) -> SSLContext | None:
    """Return what TLS demands of servers; what is wrong with files goes to *wrong*."""
    context = bare_context(upstream, wrong)
    if context is not None:
        context.set_alpn_protocols(list(ALPN))
    return context


def bare_context(upstream: Upstream, wrong: list[Wrong]) -> SSLContext | None:
    """As `connect_context`, where it is not HTTP that is spoken inside."""
    make = partial(
        connecting,
        verify=upstream.verify,
        ca=upstream.ca,
        certificate=upstream.certificate,
        key=upstream.key,
        minimum=upstream.tls_min,
    )
    files = {f"upstream.{name}": getattr(upstream, name) for name in ("ca", "key")}
    return _made(make, "upstream.certificate", files, wrong)


def _made(
    make: Callable[[], SSLContext],
    key: str,
    others: Mapping[str, str],
    wrong: list[Wrong],
) -> SSLContext | None:
    """Return what *make* makes; else say what is wrong with a file, under its key.

    *others* are keys and their files; a file that none of them names is *key*'s.
    """
    try:
        return make()
    except ValueError as error:
        text = str(error)
        named = (name for name, file in others.items() if text.startswith(f"{file}: "))
        wrong.append(Wrong(next(named, key), text))
        return None
