"""WebSocket: a request that turns its connection into a tunnel. RFC 6455, section 4.

Not here: its frames, which go on as they are. Invariant: only what both sides have
agreed on, by the rules of that section, becomes a tunnel; all other upgrades are taken
out of requests (fields.py).
"""

import re
from base64 import b64decode, b64encode
from binascii import Error
from hashlib import sha1

from portway.errors import PortwayError
from portway.exchange import Exchange
from portway.model import Action, Side
from portway.net.stream import SocketStream
from portway.protocols.http import tunnel
from portway.protocols.http.fields import response_fields
from portway.protocols.http.forward import Passage
from portway.protocols.http.framing import format_response, options_of
from portway.protocols.http.methods import UPGRADES
from portway.protocols.http.pace import Alarm
from portway.protocols.http.turn import Turn
from portway.protocols.http.wire import BadMessage, RequestHead, ResponseHead

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
UPGRADE = (b"upgrade",)
_WEBSOCKET = re.compile(rb"(?i)\s*websocket\s*")


def is_wanted(head: RequestHead) -> bool:
    """Say whether *head* asks for WebSocket; one that does so wrongly is no such."""
    if head.method != "GET" or not head.minor or b"upgrade" not in head.known:
        return False
    if not _WEBSOCKET.fullmatch(head.known[b"upgrade"]):
        return False
    return b"upgrade" in options_of(head)


def check(head: RequestHead) -> bytes:
    """Return the key of a request for WebSocket. Raises BadMessage. Section 4.2.1."""
    if head.known.get(b"sec-websocket-version", b"").strip() != b"13":
        raise BadMessage(Side.CLIENT, 400, "a version of WebSocket other than 13")
    key = head.known.get(b"sec-websocket-key", b"").strip()
    try:
        whole = len(b64decode(key, validate=True)) == 16
    except Error:
        whole = False
    if not whole:
        raise BadMessage(Side.CLIENT, 400, "a WebSocket key that is none")
    return key


def accept_of(key: bytes) -> bytes:
    """Return what a server answers to *key*. Section 4.2.2."""
    return b64encode(sha1(key + GUID, usedforsecurity=False).digest())


async def serve(turn: Turn, alarm: Alarm) -> None:
    """Serve *turn*, which `is_wanted`; it is one request until the tunnel ends."""
    exchange = await begin(turn)
    try:
        await run(turn, exchange, Passage(turn, exchange, alarm))
    except PortwayError as error:
        await turn.refuse(error, exchange)
        exchange.close(error)
    except BaseException as error:
        exchange.close(turn.blamed(error))
        raise
    else:
        exchange.close()


async def begin(turn: Turn) -> Exchange:
    """Ask the policy about *turn*, which `is_wanted`. Raises as `Turn.begin`."""
    naming = UPGRADES[turn.target.scheme]
    return await turn.begin(Action.CONNECT, naming, method="UPGRADE")


async def run(turn: Turn, exchange: Exchange, passage: Passage) -> None:
    """Ask the server of *passage*, and join it with the client if it agrees.

    Raises PortwayError; the client knows nothing yet unless the turn was answered.
    """
    key = check(turn.head)
    if not turn.read:
        raise BadMessage(Side.CLIENT, 400, "a WebSocket request with a body")
    await passage.run(UPGRADE, lambda head: _join(turn, exchange, passage, head, key))


async def _join(
    turn: Turn, exchange: Exchange, passage: Passage, head: ResponseHead, key: bytes
) -> None:
    """The server has agreed: tell the client, and let bytes go. Raises PortwayError."""
    _check_answer(head, key)
    server: SocketStream = passage.server.stream
    fields = response_fields(head, turn.house.edge, connection=UPGRADE)
    turn.keeps = False
    turn.answered = True
    exchange.told("101")
    await turn.send(format_response(101, head.words, fields))
    manner = tunnel.Manner(turn.house.settings.idle, looks=False)
    try:
        await tunnel.run(exchange, turn.client, server, manner)
    except BaseException:
        server.abort()
        turn.client.abort()
        raise
    server.close()
    turn.client.close()


def _check_answer(head: ResponseHead, key: bytes) -> None:
    """Raise BadMessage where a server agrees to something else. Section 4.1."""
    agreed = (
        _WEBSOCKET.fullmatch(head.known.get(b"upgrade", b"")) is not None
        and b"upgrade" in options_of(head)
        and head.known.get(b"sec-websocket-accept", b"").strip() == accept_of(key)
    )
    if not agreed:
        raise BadMessage(Side.SERVER, 502, "it agrees to no WebSocket of this request")
