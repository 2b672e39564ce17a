"""What TLS demands at one FTP door, read from the files that its table names.

Not here: handshakes. Invariant: what is wrong with a file is named by the key that
names the file, and nothing of what is in it is shown.
"""

from collections.abc import Callable
from functools import partial
from ssl import SSLContext

from portway.config.schema import Listener, Wrong
from portway.net.contexts import Minimum, TlsContexts, accepting, connecting
from portway.protocols.ftp.settings import FtpSettings, Upstream
from portway.protocols.ftp.sftp.trust import wrong_files

# RFC 7301 has a registry: "ftp" is in it. Some clients name data connections apart.
# One context serves both, so that data can resume the session of the control
# connection.
ALPN = ("ftp", "ftp-data")


def contexts_of(listener: Listener) -> tuple[TlsContexts, tuple[Wrong, ...]]:
    """Return what TLS demands at *listener*, and what is wrong with its files."""
    settings = listener.settings
    if not isinstance(settings, FtpSettings):
        raise TypeError(f"{listener.name} is no FTP listener")
    wrong: list[Wrong] = []
    accept = fresh = None
    if settings.tls != "off" and settings.certificate:
        fresh = partial(
            accepting,
            settings.certificate,
            settings.key,
            client_ca=settings.client_ca,
            minimum=settings.tls_min,
            maximum=_newest(settings),
            alpn=ALPN,
        )
        keys = {name: getattr(settings, name) for name in ("client_ca", "key")}
        accept = _made(fresh, "certificate", keys, wrong)
    connect = _connect(settings.upstream, wrong)
    wrong += wrong_files(settings.upstream)
    return TlsContexts(accept=accept, connect=connect, fresh=fresh), tuple(wrong)


def _newest(settings: FtpSettings) -> Minimum:
    """Return the newest version of TLS that is spoken with clients.

    Whose data must resume needs a session that serves more than once. In TLS 1.3 that
    would be one ticket after another, and those cannot be given on data connections:
    see `start_tls`.
    """
    many = settings.tls_reuse == "session" and settings.tls_min != "1.3"
    return "1.2" if many else "1.3"


def _connect(upstream: Upstream, wrong: list[Wrong]) -> SSLContext | None:
    """Return what TLS demands of servers; None where there is none, or it is wrong."""
    if upstream.tls == "off":
        return None
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
    others: dict[str, str],
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
