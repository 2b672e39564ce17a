"""TLS that begins with bytes which were read already, or inside TLS.

A ClientHello that was looked at is not on the socket any more, and inside TLS there is
no socket of one's own: both take OpenSSL over memory. What comes of it is a stream like
any other that is inside TLS (tls.py).

Not here: contexts. Invariant: nothing that was read is lost, and at most a chunk waits
in memory each way beside what a caller has given us to send.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, TypeVar, cast

from portway.errors import PeerError
from portway.model import Reason
from portway.net.contexts import few_tickets
from portway.net.stream import CHUNK, SocketStream
from portway.net.tls import HANDSHAKE_TIME, KEPT, TlsStream, start_tls

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

T = TypeVar("T")


class FedSocket(socket.socket):
    """The likeness of an SSLSocket, which begins with *first*.

    *below* is the socket that TLS goes over: it is ours from now on. It never blocks.
    """

    def __init__(
        self,
        below: socket.socket,
        context: ssl.SSLContext,
        first: bytes,
        *,
        server_side: bool,
        server_hostname: str | None,
    ) -> None:
        inner = isinstance(below, ssl.SSLSocket)
        number = os.dup(below.fileno()) if inner else below.detach()
        super().__init__(fileno=number)
        self.setblocking(False)
        self._below = below if inner else None
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._in.write(first)
        self._unsent = bytearray()  # of what OpenSSL has made
        self._taken = False  # OpenSSL has what is to be sent
        self._tls = context.wrap_bio(
            self._in,
            self._out,
            server_side=server_side,
            server_hostname=server_hostname,
        )

    def do_handshake(self) -> None:
        """Shake hands, as an SSLSocket does."""
        self._call(self._tls.do_handshake)
        self._flush()

    def unwrap(self) -> socket.socket:
        """Say that nothing more comes; return once the peer has said so too."""
        self._call(self._tls.unwrap)
        return self

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Read what is inside TLS; with *flags*, what is on the socket."""
        if flags:
            return super().recv(bufsize, flags)
        return self._read(lambda: self._tls.read(bufsize))

    def recv_into(
        self, buffer: "WriteableBuffer", nbytes: int = 0, flags: int = 0
    ) -> int:
        """Read what is inside TLS into *buffer*."""
        del flags
        size = nbytes or memoryview(buffer).nbytes
        # with a buffer, `read` returns how many bytes it has put there
        return self._read(lambda: cast("int", self._tls.read(size, buffer)))

    def send(self, data: "ReadableBuffer", flags: int = 0, /) -> int:
        """Send all of *data*; one that could not must be repeated with the same."""
        del flags
        if not self._taken:
            self._flush()
            self._tls.write(data)
            self._taken = True
        self._flush()
        self._taken = False
        return memoryview(data).nbytes

    def close(self) -> None:
        """Close it, and what is below."""
        super().close()
        if self._below is not None:
            self._below.close()

    def version(self) -> str | None:
        """As OpenSSL has it."""
        return self._tls.version()

    def cipher(self) -> tuple[str, str, int] | None:
        """As OpenSSL has it."""
        return self._tls.cipher()

    def selected_alpn_protocol(self) -> str | None:
        """Return the protocol that was agreed on. RFC 7301."""
        return self._tls.selected_alpn_protocol()

    @property
    def session(self) -> ssl.SSLSession | None:
        """What a later connection may resume."""
        return self._tls.session

    @property
    def session_reused(self) -> bool:
        """Whether the handshake resumed an earlier session."""
        return self._tls.session_reused

    def _read(self, read: Callable[[], T]) -> T:
        try:
            return self._call(read)
        except ssl.SSLWantWriteError:  # what OpenSSL answers goes with what is sent
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "read") from None

    def _call(self, operation: Callable[[], T]) -> T:
        """Do *operation*, with what is on the socket. Raises as an SSLSocket does."""
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
            except ssl.SSLError:
                with suppress(OSError):  # the alert that says why
                    self._flush()
                raise

    def _feed(self) -> None:
        try:
            below = self._below
            data = super().recv(CHUNK) if below is None else below.recv(CHUNK)
        except BlockingIOError:
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "read") from None
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    def _flush(self) -> None:
        """Send what OpenSSL has made. Raises SSLWantWriteError, with some left."""
        unsent = self._unsent
        unsent += self._out.read()
        while unsent:
            try:
                below = self._below
                sent = super().send(unsent) if below is None else below.send(unsent)
            except BlockingIOError:
                raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "write") from None
            del unsent[:sent]


async def accept_tls(
    stream: SocketStream, context: ssl.SSLContext, *, seconds: float = HANDSHAKE_TIME
) -> TlsStream:
    """Go on inside TLS, as its server, on *stream*, which is used no more.

    What was put back into it is the beginning of TLS; it may be inside TLS itself. The
    client gets no tickets: see `start_tls`. Whatever fails closes the connection.
    Raises PeerError, TLS.
    """
    if stream.spliceable:  # so nothing was read, and nothing is between
        return await start_tls(
            stream, context, server_side=True, tickets=False, seconds=seconds
        )
    first = await stream.receive(KEPT)
    side, peer = stream.side, stream.peer
    below, poll = stream.detach()
    with few_tickets(context) if context.num_tickets else nullcontext():
        fed = FedSocket(below, context, first, server_side=True, server_hostname=None)
    # it does all that is asked of an SSLSocket, which cannot be made otherwise
    inside = TlsStream(cast("ssl.SSLSocket", fed), side, peer, poll)
    late = PeerError(side, "the TLS handshake took too long", Reason.TLS)
    timer = asyncio.get_running_loop().call_later(seconds, inside.interrupt, late)
    try:
        await inside.handshake()
    except BaseException:
        inside.abort()
        raise
    finally:
        timer.cancel()
    return inside


def certificate_of(stream: TlsStream) -> bytes:
    """Return the certificate that the peer has shown, in DER; empty: none."""
    tls = stream._tls  # noqa: SLF001 - one family, and nobody else needs it
    return tls.getpeercert(binary_form=True) or b""
