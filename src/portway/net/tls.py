"""TLS over a connection that is ours: another stream on the same descriptor.

A non-blocking SSLSocket is laid over the socket and its poll, so that AUTH TLS and
STARTTLS are one call, sessions can be resumed, and a peer that was cut off is told from
one that has ended.

Not here: contexts and what they demand (contexts.py). Invariant: nothing that came in
clear is ever read as if it had come inside TLS, and an end without a close_notify is an
error unless the stream is *lenient*.
"""

import asyncio
import errno
import os
import select
import socket
import ssl
from collections.abc import Callable, Collection
from contextlib import nullcontext, suppress
from typing import TypeVar

from portway.errors import PeerError, PortwayError, Refused
from portway.model import Endpoint, Reason, Side
from portway.net.contexts import few_tickets
from portway.net.hello import MOST, alpn_of
from portway.net.poll import Poll
from portway.net.stream import CHUNK, SocketStream
from portway.net.tlswords import explain

A = TypeVar("A")
T = TypeVar("T")

HANDSHAKE_TIME = 15.0  # seconds: security.md, section 3
TCP_CLOSE = 7  # a state of the kernel's: nothing is left of the connection
RESET_BY_PEER = errno.ECONNRESET, os.strerror(errno.ECONNRESET)
KEPT = 262_144  # bytes that are read though nobody has asked for them


class TlsStream(SocketStream):
    """A connection inside TLS. Made by `start_tls`.

    *lenient* takes an end without a close_notify (RFC 8446, section 6.1) as one that
    the peer meant; *truncated* says that there was one. *said_goodbye* is true once
    the peer has sent a close_notify.
    """

    __slots__ = ("_failure", "_off", "_tls", "lenient", "said_goodbye", "truncated")

    bare = False

    def __init__(
        self, tls: ssl.SSLSocket, side: Side, peer: Endpoint, poll: Poll
    ) -> None:
        super().__init__(tls, side, peer, poll)
        self.lenient = False
        self.truncated = False
        self.said_goodbye = False
        self._tls = tls
        self._failure: PortwayError | None = None
        self._off = False  # TLS is over both ways; the socket would be in clear
        poll.take_over(tls, self._gone)

    def __repr__(self) -> str:
        return f"<TlsStream {self.side} fd={self._sock.fileno()}>"

    @property
    def spliceable(self) -> bool:
        """Never: what is on the socket is not the payload."""
        return False

    @property
    def version(self) -> str:
        """As OpenSSL has it: ``TLSv1.3``."""
        return self._tls.version() or ""

    @property
    def cipher(self) -> str:
        """The cipher suite's name, as OpenSSL has it."""
        cipher = self._tls.cipher()
        return cipher[0] if cipher else ""

    @property
    def resumed(self) -> bool:
        """Whether the handshake resumed an earlier session."""
        return bool(self._tls.session_reused)

    @property
    def session(self) -> ssl.SSLSession | None:
        """What a later connection may resume, as it is now: tickets come late."""
        return self._tls.session

    @property
    def alpn(self) -> str:
        """The protocol that was agreed on, or empty. RFC 7301."""
        return self._tls.selected_alpn_protocol() or ""

    async def look(self, admitted: Collection[bytes]) -> None:
        """Wait for the ClientHello, which stays, and refuse it if it is for others.

        That is one that offers protocols by ALPN, and none of *admitted*: a server
        must not answer what was meant for another one (RFC 9325, section 3.7). Raises
        PeerError, TLS.
        """
        seen = 0
        while True:
            try:
                data = socket.socket.recv(self._tls, MOST, socket.MSG_PEEK)
                offered = alpn_of(data)
            except BlockingIOError:
                await self.readable()
                continue
            except ValueError as error:
                raise PeerError(self.side, f"it sent {error}", Reason.TLS) from error
            except OSError as error:
                raise PeerError(self.side, explain(error), Reason.TLS) from error
            if offered is not None:
                break
            if len(data) == seen and self._ends_there():
                text = "the connection ended in the middle of TLS"
                raise PeerError(self.side, text, Reason.TLS)
            seen = len(data)
            self.wake_behind(seen)
            await self.readable()
        self.wake_behind(0)
        if offered and offered.isdisjoint(admitted):
            text = "its ALPN offers other protocols only"
            raise PeerError(self.side, text, Reason.TLS)

    def _ends_there(self) -> bool:
        """Say whether nothing comes behind what waits."""
        asking = select.poll()
        asking.register(self._tls, select.POLLRDHUP)
        return bool(asking.poll(0))

    async def handshake(self) -> None:
        """Shake hands. Raises PeerError, TLS."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.readable()
            except ssl.SSLWantWriteError:
                await self.writable()
            except (OSError, ValueError) as error:
                # ValueError: its name, or the session, is none that OpenSSL takes
                raise PeerError(self.side, explain(error), Reason.TLS) from error
            else:
                return

    async def receive(self, limit: int = CHUNK) -> bytes:
        """Return 1 to *limit* bytes, or ``b""`` at the end that the peer meant."""
        if self._poll.error is not None:
            raise self._poll.error
        if self._unread:
            return self._take(limit)
        while True:
            data = self._read(self._tls.recv, limit, b"")
            if data is not None:
                return data
            await self.readable()

    async def receive_into(self, buffer: memoryview) -> int:
        """Fill *buffer* with all that is ready, at least a byte; 0 is the end."""
        if self._poll.error is not None:
            raise self._poll.error
        if self._unread:
            data = self._take(len(buffer))
            buffer[: len(data)] = data
            return len(data)
        recv_into = self._tls.recv_into
        while (count := self._read(recv_into, buffer, 0)) is None:
            await self.readable()
        filled = count
        while count and filled < len(buffer):
            try:
                count = self._read(recv_into, buffer[filled:], 0)
            except PortwayError as error:  # for the next call; what came counts first
                self._failure = error
                break
            filled += count or 0
        return filled

    async def send(self, data: bytes | memoryview) -> None:
        """Send all of *data*; on failure some, all or none of it may have gone.

        Only one that ended well may be followed by another: OpenSSL goes on with the
        record that it has begun.
        """
        if self._poll.error is not None:
            raise self._poll.error
        if self._off:
            raise PeerError(self.side, "TLS has ended")
        while data:
            try:
                self._tls.send(data)
            except ssl.SSLWantWriteError:
                await self.writable()
            except OSError as error:  # wanting to read is a renegotiation: refused
                raise self.failed(error) from error
            else:
                return

    async def send_urgent(self, data: bytes) -> None:
        """Send *data* in its turn: inside TLS, nothing can overtake."""
        await self.send(data)

    async def send_eof(self) -> None:
        """Send a close_notify, then the end; receiving goes on."""
        if self._poll.error is not None:
            raise self._poll.error
        self._gone()  # reads what waits: it would be lost, and fail the close_notify
        while not (self._off or self.truncated):  # else OpenSSL sends nothing more
            try:
                self._tls.unwrap()
            except ssl.SSLWantReadError:
                break  # ours has gone, and the peer's is still to come
            except ssl.SSLEOFError:
                break  # the peer closed at ours, which is an answer too
            except ssl.SSLWantWriteError:
                await self.writable()
            except OSError as error:
                raise self.failed(error) from error
            else:
                self._off = True
        with suppress(OSError):  # SSLSocket's own shutdown would turn TLS off
            socket.socket.shutdown(self._tls, socket.SHUT_WR)

    async def to_clear(self, seconds: float) -> SocketStream:
        """End TLS and go on without it: RFC 4217, section 6.

        Waits at most *seconds* for the peer's close_notify, or for a byte that begins
        no record of TLS: some send none. Raises PeerError. The stream itself is used
        no more.
        """
        if self._unread:
            raise PeerError(self.side, "it goes on inside TLS behind its end")
        late = PeerError(self.side, "TLS took too long", Reason.TLS)
        timer = self._poll.loop.call_later(seconds, self.interrupt, late)
        self._hold_back(True)  # `unwrap` reads at once: no answer in clear may be there
        try:
            while not self._off:
                try:
                    self._tls.unwrap()
                except ssl.SSLWantReadError:
                    self._hold_back(False)
                    await self.readable()
                    self._off = self._speaks_clear()
                except ssl.SSLWantWriteError:
                    await self.writable()
                except OSError as error:
                    raise self.failed(error) from error
                else:
                    self._off = True
        finally:
            timer.cancel()
            self._hold_back(False)
        side, peer, (_, poll) = self.side, self.peer, self.detach()
        sock = socket.socket(fileno=self._tls.detach())
        sock.setblocking(False)
        poll.take_over(sock, None)
        return SocketStream(sock, side, peer, poll)

    def _hold_back(self, on: bool) -> None:  # noqa: FBT001 - a switch
        with suppress(OSError):
            self._tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)

    def _speaks_clear(self) -> bool:
        """Say whether what comes next begins no record. RFC 8446, section 5.1."""
        try:
            first = socket.socket.recv(self._tls, 1, socket.MSG_PEEK)
        except OSError:
            return False
        return bool(first) and not 20 <= first[0] <= 24

    def has_ended(self) -> bool:
        """Say whether the peer has ended, or broken, and nothing waits before that."""
        if self._poll.closed or self._poll.error is not None:
            return True
        return not self._unread and bool(self._gone())

    def is_quiet(self) -> bool:
        """See SocketStream."""
        return not (self.has_ended() or self._unread)

    def failed(self, error: OSError) -> Exception:
        """Return what to raise for *error*, which OpenSSL met."""
        if self._poll.error is not None:
            return self._poll.error
        self._poll.broken = error
        return PeerError(self.side, explain(error))

    def _gone(self) -> bool | None:
        """Say whether the peer has ended; what it sent is kept, up to a bound."""
        while len(self._unread) < KEPT:
            before = len(self._unread)
            if self._read_ahead():
                return None if self._unread else True
            if len(self._unread) == before:
                return False
        return None

    def _read_ahead(self) -> bool:
        """Keep what has come; say whether the peer has ended."""
        if self._failure is not None:
            return True
        try:
            data = self._read(self._tls.recv, CHUNK, b"")
        except PortwayError as error:
            self._failure = error
            return True
        if data:
            self._unread += data
        return data == b""

    def _read(self, read: Callable[[A], T], argument: A, end: T) -> T | None:
        """Return what *read* does, *end* at the end, None if it has to wait."""
        if self._failure is not None:
            raise self._failure
        if self._off:
            return end
        try:
            got = read(argument)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            got = end
        except ssl.SSLEOFError as error:
            if self._was_reset(error):
                raise self.failed(ConnectionResetError(*RESET_BY_PEER)) from error
            self.truncated = True
            if not self.lenient:
                text = "the connection ended without a close_notify"
                raise PeerError(self.side, text, Reason.GONE) from error
            return end
        except OSError as error:
            raise self.failed(error) from error
        if got == end:
            self.said_goodbye = True
        return got

    def _was_reset(self, error: ssl.SSLEOFError) -> bool:
        """Say whether what Python takes for an end was a reset, of which it tells."""
        if error.reason == "UNEXPECTED_EOF_WHILE_READING":
            return False  # so OpenSSL 3 tells an end from all else
        state = self._tls.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        return state[0] == TCP_CLOSE


async def start_tls(  # noqa: PLR0913 - what `wrap_socket` takes
    stream: SocketStream,
    context: ssl.SSLContext,
    *,
    server_side: bool = False,
    server_hostname: str | None = None,
    session: ssl.SSLSession | None = None,
    admitted: Collection[bytes] = (),
    tickets: bool = True,
    seconds: float = HANDSHAKE_TIME,
) -> TlsStream:
    """Go on inside TLS on the connection of *stream*, which is used no more.

    *session* is one of an earlier connection with the same *context*. A client that
    offers protocols, and none of *admitted*, is refused, if any is. Without *tickets*
    the client gets none in TLS 1.3: one that never reads would close over them, and so
    reset what it has sent (RFC 1122, section 4.2.2.13). Whatever fails
    closes the connection. Raises PeerError: TLS for what is wrong with the handshake
    or a certificate; Refused, SYNTAX, if bytes in clear were read behind the upgrade.
    """
    if not stream.spliceable:
        stream.abort()
        raise Refused(Reason.SYNTAX, "Nothing may follow the upgrade to TLS.")
    side, peer = stream.side, stream.peer
    sock, poll = stream.detach()
    try:
        with few_tickets(context) if server_side and not tickets else nullcontext():
            tls = context.wrap_socket(
                sock,
                server_side=server_side,
                server_hostname=server_hostname,
                session=session,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=False,
            )
    except (OSError, ValueError) as error:  # a peer that is gone already
        SocketStream(sock, side, peer, poll).abort()
        raise PeerError(side, explain(error), Reason.TLS) from error
    inside = TlsStream(tls, side, peer, poll)
    late = PeerError(inside.side, "the TLS handshake took too long", Reason.TLS)
    timer = asyncio.get_running_loop().call_later(seconds, inside.interrupt, late)
    try:
        if admitted:
            await inside.look(admitted)
        await inside.handshake()
    except BaseException:
        inside.abort()
        raise
    finally:
        timer.cancel()
    return inside
