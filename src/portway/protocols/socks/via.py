"""Reaching a server on through a SOCKS proxy.

Not here: the connection to that proxy, and whether the server may be reached.
Invariant: not a byte behind the proxy's last reply is read.
"""

from portway.errors import PeerError, UpstreamError
from portway.model import Credentials, Endpoint, Reason
from portway.net.stream import Stream
from portway.protocols.socks import wire
from portway.protocols.socks.wire import Command, Reply, Reply4

REASONS = {
    Reply.NETWORK_UNREACHABLE: Reason.UNREACHABLE,
    Reply.HOST_UNREACHABLE: Reason.UNREACHABLE,
    Reply.REFUSED: Reason.REFUSED,
    Reply.EXPIRED: Reason.CONNECT_TIMEOUT,
}
WORDS = {
    Reply.FAILED: "it could not",
    Reply.NOT_ALLOWED: "it is not allowed",
    Reply.NETWORK_UNREACHABLE: "the network is unreachable",
    Reply.HOST_UNREACHABLE: "the host is unreachable",
    Reply.REFUSED: "connection refused",
    Reply.EXPIRED: "no answer in time",
    Reply.COMMAND_UNSUPPORTED: "it does not know the command",
    Reply.ADDRESS_UNSUPPORTED: "it does not know the kind of address",
}


async def connect_5(
    stream: Stream, target: Endpoint, credentials: Credentials | None
) -> None:
    """Let the SOCKS 5 proxy at *stream* connect to *target*. Raises UpstreamError."""
    await ask_5(stream, Command.CONNECT, target, credentials)


async def connect_4(
    stream: Stream, target: Endpoint, credentials: Credentials | None
) -> None:
    """Let the SOCKS 4 or 4a proxy at *stream* connect to *target*."""
    await ask_4(stream, Command.CONNECT, target, credentials)


async def ask_5(
    stream: Stream, command: Command, target: Endpoint, credentials: Credentials | None
) -> Endpoint:
    """Log in and make a request; return the address in the reply.

    After a BIND another reply follows, which `reply_5` reads. Raises UpstreamError.
    """
    try:
        methods = [wire.NO_LOGIN, wire.PASSWORD] if credentials else [wire.NO_LOGIN]
        await stream.send(wire.format_greeting(*methods))
        version, method = await _exactly(stream, 2)
        if version != wire.VERSION_5:
            raise _failed(stream, "it does not speak SOCKS 5")
        if method == wire.PASSWORD and credentials is not None:
            await _log_in(stream, credentials)
        elif method != wire.NO_LOGIN:
            raise _failed(stream, "it wants another login than it was given")
        await stream.send(wire.format_request(command, target))
    except ValueError as error:
        raise _failed(stream, str(error)) from error
    return await reply_5(stream)


async def _log_in(stream: Stream, credentials: Credentials) -> None:
    await stream.send(wire.format_login(credentials))
    _, refused = await _exactly(stream, 2)
    if refused:
        raise _failed(stream, "it refuses the login")


async def reply_5(stream: Stream) -> Endpoint:
    """Read a reply; return its address. Raises UpstreamError."""
    version, code, _, *head = await _exactly(stream, 5)
    if version != wire.VERSION_5:
        raise _failed(stream, "it does not speak SOCKS 5")
    if code:
        reply = Reply(code) if code in Reply.__members__.values() else Reply.FAILED
        raise _failed(stream, WORDS[reply], REASONS.get(reply, Reason.VIA))
    begin = bytes(head)
    try:
        rest = await _exactly(stream, wire.address_size(begin) - len(begin))
        return wire.read_address(begin + rest)
    except ValueError as error:
        raise _failed(stream, f"its reply holds {error}") from error


async def ask_4(
    stream: Stream, command: Command, target: Endpoint, credentials: Credentials | None
) -> Endpoint:
    """Make a request of SOCKS 4; return the address in the reply.

    After a BIND another reply follows, which `reply_4` reads. Raises UpstreamError.
    """
    user = credentials.user if credentials else ""
    try:
        await stream.send(wire.format_request_4(command, target, user))
    except ValueError as error:
        raise _failed(stream, str(error)) from error
    return await reply_4(stream)


async def reply_4(stream: Stream) -> Endpoint:
    """Read a reply; return its address. Raises UpstreamError."""
    try:
        code, at = wire.read_reply_4(await _exactly(stream, 8))
    except ValueError as error:
        raise _failed(stream, "it does not speak SOCKS 4") from error
    if code == Reply4.GRANTED:
        return at
    words = "it refuses the login" if code > Reply4.REJECTED else "it could not"
    raise _failed(stream, words)


async def _exactly(stream: Stream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        try:
            more = await stream.receive(count - len(data))
        except PeerError as error:
            raise _failed(stream, error.text, error.reason) from error
        if not more:
            raise _failed(stream, "it closed the connection")
        data += more
    return data


def _failed(stream: Stream, text: str, reason: Reason = Reason.VIA) -> UpstreamError:
    return UpstreamError(reason, f"the SOCKS proxy {stream.peer}: {text}")
