"""What an administrator may ask of a running gateway, by its control socket.

Not here: the socket (control.py), and how a configuration is taken (app.py).
Invariant: every `kick` and `reload` leaves a record that says who asked, whether or not
it could be done; only what no command takes is answered without one.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable

from portway.control import Answer, Call, LiveServer, LiveSession, Status, wrong
from portway.errors import Refused
from portway.exchange import Exchange
from portway.gate import Gate
from portway.ledger.ids import new_id
from portway.model import Action, Outcome, Reason, Record
from portway.recheck import AT_ONCE, end, judge_anew
from portway.services import Current, Door
from portway.sessions import Sessions

METHOD = "ADMIN"
PROTOCOL = "control"
SIGNAL = "signal"  # who asks where it is no user
NAMED = 10  # sessions that an answer names at most

Reload = Callable[[], Awaitable[Answer]]


class Administration:
    """The commands, as a table that says what arguments each may have.

    *reload* takes the configuration anew; *status* says how the gateway is, *doors*
    what clients come in by.
    """

    __slots__ = ("_commands", "_current", "_doors", "_reload", "_sessions", "_status")

    def __init__(
        self,
        current: Current,
        sessions: Sessions,
        *,
        reload: Reload,
        status: Callable[[], Status],
        doors: Callable[[], Iterable[Door]],
    ) -> None:
        self._current = current
        self._sessions = sessions
        self._reload = reload
        self._status = status
        self._doors = doors
        self._commands: dict[
            str, tuple[Callable[[Call], Awaitable[Answer]], dict[str, type]]
        ] = {
            "status": (self._tell_status, {}),
            "sessions": (self._list, {}),
            "servers": (self._servers, {}),
            "quotas": (self._quotas, {}),
            "kick": (self._kick, {"id": str}),
            "reload": (self._take_anew, {"recheck": bool}),
        }

    async def answer(self, call: Call) -> Answer:
        """Serve one request."""
        if call.command not in self._commands:
            known = ", ".join(self._commands)
            return wrong("command", f"no such command; there are {known}")
        serve, takes = self._commands[call.command]
        for name, value in call.arguments.items():
            if name not in takes:
                words = ", ".join(takes) or "none"
                return wrong("argument", f"{call.command} takes {words}")
            if not isinstance(value, takes[name]):
                kind = {str: "a text", bool: "true or false"}[takes[name]]
                return wrong("argument", f"{name} must be {kind}")
        return await serve(call)

    # What only looks.

    async def _tell_status(self, call: Call) -> Answer:
        await call.give(self._status())
        return Answer(done=True)

    async def _quotas(self, call: Call) -> Answer:
        for usage in self._current.services.limiter.usage():
            await call.give(usage)
        return Answer(done=True)

    async def _servers(self, call: Call) -> Answer:
        now = asyncio.get_running_loop().time()
        for listener, farms in self._current.services.farms.items():
            for one in farms.whole.servers:
                host, port = one.at.host, one.at.port
                state = one.state(now)
                await call.give(LiveServer(listener, host, port, state, one.sessions))
        return Answer(done=True)

    async def _list(self, call: Call) -> Answer:
        exchanges = self._exchanges()
        for count, gate in enumerate(self._sessions, 1):
            await call.give(shown(gate, exchanges[gate.visitor.session]))
            if not count % AT_ONCE:
                await asyncio.sleep(0)
        return Answer(done=True)

    def _exchanges(self) -> defaultdict[str, list[Exchange]]:
        """Return the exchanges that go on, by session."""
        found: defaultdict[str, list[Exchange]] = defaultdict(list)
        for one in self._current.services.live:
            if isinstance(one, Exchange):
                found[one.session].append(one)
        return found

    # What changes something.

    async def _kick(self, call: Call) -> Answer:
        wanted = str(call.arguments.get("id", "")).upper()
        target = wanted
        found = [g for g in self._sessions if g.visitor.session.startswith(wanted)]
        if not wanted:
            text = "kick takes the id of a session, or its beginning"
            answer = wrong("argument", text)
        elif len(found) == 1:
            [gate] = found
            exchanges = self._exchanges()[gate.visitor.session]
            error = Refused(Reason.ADMIN, "ended by the administrator")
            end(gate, exchanges, "admin", error)
            answer = Answer(done=True, lines=(f"ended {named(gate)}",))
            target = gate.visitor.session
        elif found:
            lines = [f"{len(found)} sessions begin so; say more of the id:"]
            lines += [f"  {named(gate)}" for gate in found[:NAMED]]
            lines += ["  …"] if len(found) > NAMED else []
            answer = Answer(done=False, lines=tuple(lines), fault="argument")
        else:
            text = 'there is no such session; "portway sessions" shows all'
            answer = wrong("refused", text)
        self._record(answer, "kick", str(call.uid), target=target[:64])
        return answer

    async def _take_anew(self, call: Call) -> Answer:
        return await self.take_anew(
            str(call.uid), recheck=call.arguments.get("recheck") is True
        )

    async def take_anew(self, uid: str, *, recheck: bool = False) -> Answer:
        """Take the configuration anew for *uid*; *recheck* what goes on by it."""
        answer = await self._reload()
        facts: dict[str, str] = {}
        if answer.done and recheck:
            judged, ended = await judge_anew(
                self._sessions, self._current.services, self._doors(), self._exchanges
            )
            facts = {"judged": str(judged), "ended": str(ended)}
            text = f"{judged} open requests judged anew, {ended} sessions ended"
            answer = Answer(done=True, lines=(*answer.lines, text))
        self._record(answer, "reload", uid, **facts)
        return answer

    def _record(self, answer: Answer, command: str, uid: str, **facts: str) -> None:
        services = self._current.services
        now = services.clock()
        target = f"/{facts['target']}" if "target" in facts else ""
        services.sink.take(
            Record(
                id=new_id(now),
                time=now,
                protocol=PROTOCOL,
                listener=PROTOCOL,
                method=METHOD,
                action=Action.MANAGE.value,
                url=f"{PROTOCOL}:{command}{target}",
                verdict="allow",
                outcome=Outcome.OK if answer.done else Outcome.FAILED,
                error="" if answer.done else answer.lines[0],
                side="" if answer.done else "gateway",
                facts={"command": command, "uid": uid, **facts},
            )
        )


def shown(gate: Gate, exchanges: list[Exchange]) -> LiveSession:
    """Return what is told of a session and its *exchanges* that go on."""
    visitor = gate.visitor
    exchanges.sort(key=lambda exchange: exchange.number)
    first = exchanges[0] if exchanges else None
    last = exchanges[-1] if exchanges else None
    up, down = gate.moved
    waits = last is None or (last is first and bool(last.server_login))
    return LiveSession(
        id=visitor.session,
        listener=visitor.door.listener,
        protocol=visitor.door.protocol,
        client=visitor.client.host,
        client_port=visitor.client.port,
        since=gate.since,
        user=gate.identity.user,
        host=first.access.host if first else "",
        port=first.access.port if first else 0,
        method="" if waits or last is None else last.access.method,
        path="" if waits or last is None else last.access.path,
        bytes_up=up + sum(exchange.up.bytes for exchange in exchanges),
        bytes_down=down + sum(exchange.down.bytes for exchange in exchanges),
        rule=last.verdict.rule if last else "",
        rule_at=last.verdict.rule_at if last else "",
    )


def named(gate: Gate) -> str:
    """Return a session in a line."""
    visitor, user = gate.visitor, gate.identity.user
    who = f"{user} at {visitor.client}" if user else str(visitor.client)
    return f"{visitor.session}: {who}, {visitor.door.protocol}"
