"""Which part of the house serves a request: by its form, its scheme and its method.

Not here: the serving. Invariant: what no part serves is refused, and left on record.
"""

from portway.model import Endpoint, Side, read_address
from portway.net.capture import original_destination
from portway.protocols.http import ftp_urls, own, reverse, upgrade
from portway.protocols.http.authority import Form, Target, read_target
from portway.protocols.http.connect import connect
from portway.protocols.http.forward import forward, is_for_us, options
from portway.protocols.http.house import House
from portway.protocols.http.inside import Inside
from portway.protocols.http.intercept import Opened, Within, refuse
from portway.protocols.http.methods import action_of, naming_of
from portway.protocols.http.pace import Alarm
from portway.protocols.http.places import Asked, named_by, place_at
from portway.protocols.http.turn import Turn
from portway.protocols.http.wire import BadMessage, RequestHead


def target_of(head: RequestHead, house: House, inside: Inside | None) -> Target:
    """Return what *head* asks for. Raises BadMessage."""
    if head.method == "TRACE":
        raise BadMessage(Side.CLIENT, 405, "TRACE is not served")
    target = read_target(head.method, head.target)
    if inside is not None:
        return _inside(head, target, inside)
    if house.mode == "forward":
        return target
    secure = house.settings.tls == "implicit"
    found = named_by(head, target, "https" if secure else "http")
    if house.mode == "reverse":
        reverse.check_host(found, house.settings.hosts)
    return found


def _inside(head: RequestHead, target: Target, inside: Inside) -> Target:
    """Return the target of a request in a tunnel, which names its own host alone.

    In a tunnel to an address it may name another: `serve` sees what that is worth.
    """
    found = named_by(head, target, inside.scheme)
    if isinstance(inside, Opened) and found.host != inside.name:
        raise BadMessage(Side.CLIENT, 421, "a Host that TLS has not asked for")
    if found.port != inside.port:
        raise BadMessage(Side.CLIENT, 421, "a Host whose port is not the tunnel's")
    if found.host != inside.host and read_address(inside.host) is None:
        raise BadMessage(Side.CLIENT, 421, "a Host that is not the tunnel's")
    return found


async def serve(
    turn: Turn, alarm: Alarm, inside: Inside | None, within: Within
) -> None:
    """Serve *turn*; *within* serves the requests inside a tunnel.

    Raises PortwayError, where it was not answered yet.
    """
    if inside is not None:
        turn.facts = inside.facts
    if inside is None and own.is_ours(turn):
        await own.serve(turn)
    elif is_for_us(turn):
        with own.recorded(turn):
            await options(turn)
    elif turn.target.form is Form.AUTHORITY:
        await connect(turn, within)
    elif turn.target.scheme not in {"http", "https"}:
        await ftp_urls.serve(turn)
    elif isinstance(inside, Opened) and inside.failure is not None:
        await refuse(turn, inside.failure)
    elif turn.house.mode == "reverse":
        await reverse.serve(turn, alarm)
    else:
        await _serve_web(turn, alarm, inside)


async def _serve_web(turn: Turn, alarm: Alarm, inside: Inside | None) -> None:
    """Serve a request for a server that the client has named, or called."""
    host = turn.target.host
    if inside is not None and host != inside.host:
        at = Endpoint(inside.host, inside.port)
        secure = inside.scheme == "https"
        turn.place = await place_at(turn.gate, host, at, _asked(turn), secure=secure)
    elif inside is None and turn.house.mode == "transparent":
        at = original_destination(turn.gate.stream)
        turn.place = await place_at(turn.gate, host, at, _asked(turn))
    if upgrade.is_wanted(turn.head):
        await upgrade.serve(turn, alarm)
    else:
        await forward(turn, alarm)


def _asked(turn: Turn) -> Asked:
    method, target = turn.head.method, turn.target
    return Asked(action_of(method), method, naming_of(target.scheme), target.view)
