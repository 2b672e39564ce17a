"""Reaching a server on through a SOCKS proxy.

Not here: the connection to that proxy, and whether the server may be reached.
Invariant: not a byte behind the proxy's last reply is read.
"""

from portway.errors import ParentError, PeerError
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
_CODES = {words: reply for reply, words in WORDS.items()}


async def connect_5(
    stream: Stream, target: Endpoint, credentials: Credentials | None
) -> None:
    """Let the SOCKS 5 proxy at *stream* connect to *target*. Raises ParentError."""
    await ask_5(stream, Command.CONNECT, target, credentials)


async def connect_4(
    stream: Stream, target: Endpoint, credentials: Credentials | None
) -> None:
    """Let the SOCKS 4 or 4a proxy at *stream* connect to *target*."""
    await ask_4(stream, Command.CONNECT, target, credentials)


async def listen_5(
    stream: Stream, target: Endpoint, credentials: Credentials | None
) -> Endpoint:
    """Let the SOCKS 5 proxy listen for *target*; return where. `reply_5` follows."""
    return await ask_5(stream, Command.BIND, target, credentials)


async def listen_4(
    stream: Stream, target: Endpoint, credentials: Credentials | None
) -> Endpoint:
    """Let the SOCKS 4 proxy listen for *target*; return where. `reply_4` follows."""
    return await ask_4(stream, Command.BIND, target, credentials)


async def associate_5(
    stream: Stream, target: Endpoint, credentials: Credentials | None
) -> Endpoint:
    """Let the SOCKS 5 proxy relay datagrams from *target*; return where it takes them.

    It does so for as long as *stream* is open. Raises ParentError.
    """
    return await ask_5(stream, Command.ASSOCIATE, target, credentials)


def code_of(error: ParentError) -> Reply:
    """Return the code by which a SOCKS 5 proxy refused, if it did; else FAILED."""
    return _CODES.get(error.words, Reply.FAILED)


async def ask_5(
    stream: Stream, command: Command, target: Endpoint, credentials: Credentials | None
) -> Endpoint:
    """Log in and make a request; return the address in the reply.

    After a BIND another reply follows, which `reply_5` reads. Raises ParentError.
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
            raise _failed(stream, "it wants another login", "login")
        await stream.send(wire.format_request(command, target))
    except ValueError as error:
        raise _failed(stream, str(error), "target") from error
    return await reply_5(stream)


async def _log_in(stream: Stream, credentials: Credentials) -> None:
    await stream.send(wire.format_login(credentials))
    _, refused = await _exactly(stream, 2)
    if refused:
        raise _failed(stream, "it refuses the login", "login")


async def reply_5(stream: Stream) -> Endpoint:
    """Read a reply; return its address. Raises ParentError."""
    version, code, _, *head = await _exactly(stream, 5)
    if version != wire.VERSION_5:
        raise _failed(stream, "it does not speak SOCKS 5")
    if code:
        reply = Reply(code) if code in Reply.__members__.values() else Reply.FAILED
        reason = REASONS.get(reply, Reason.VIA)
        raise _failed(stream, WORDS[reply], "target", reason)
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

    After a BIND another reply follows, which `reply_4` reads. Raises ParentError.
    """
    user = credentials.user if credentials else ""
    try:
        await stream.send(wire.format_request_4(command, target, user))
    except ValueError as error:
        raise _failed(stream, str(error), "target") from error
    return await reply_4(stream)


async def reply_4(stream: Stream) -> Endpoint:
    """Read a reply; return its address. Raises ParentError."""
    try:
        code, at = wire.read_reply_4(await _exactly(stream, 8))
    except ValueError as error:
        raise _failed(stream, "it does not speak SOCKS 4") from error
    if code == Reply4.GRANTED:
        return at
    if code > Reply4.REJECTED:
        raise _failed(stream, "it refuses the login", "login")
    raise _failed(stream, "it could not", "target")


async def _exactly(stream: Stream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        try:
            more = await stream.receive(count - len(data))
        except PeerError as error:
            raise _failed(stream, error.text) from error
        if not more:
            raise _failed(stream, "it closed the connection")
        data += more
    return data


def _failed(
    stream: Stream, words: str, fault: str = "parent", reason: Reason = Reason.VIA
) -> ParentError:
    return ParentError(reason, stream.peer, fault, words)
