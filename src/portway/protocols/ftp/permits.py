"""What the policy says of a visit's commands, and the exchanges that last.

Not here: sending commands. Invariant: an exchange that was begun is ended once, when
its reply has come or the visit is over.
"""

from contextlib import suppress

from portway.errors import ProtocolError, Refused
from portway.exchange import Exchange
from portway.gate import Gate
from portway.lines import shown
from portway.model import Action, Outcome, Reason, Side
from portway.protocols.ftp import replies
from portway.protocols.ftp.commands import action_of, is_clear, path_of
from portway.protocols.ftp.wire import Command, parse_pwd, resolve_path

UPWARD = {"CDUP", "XCUP"}
UNCLEAR = "the path could be taken for another one; write it plainly."
MOVES = {"CWD", "XCWD", *UPWARD}


class Denied(Exception):  # noqa: N818 - a refusal is an answer
    """The policy says no; *reply* tells the client."""

    def __init__(self, reply: bytes) -> None:
        super().__init__()
        self.reply = reply


class Permits:
    """The policy's word on what is done at one server.

    *visit* is the exchange of the visit itself. *directory* is where the client is,
    as far as that can be told, for the paths that rules and records hold. *anonymous*
    is the address that an anonymous client logged in with, for the records.
    """

    __slots__ = (
        "_begun",
        "_gate",
        "_visit",
        "anonymous",
        "directory",
        "moving",
        "sure",
    )

    def __init__(self, gate: Gate, visit: Exchange) -> None:
        self.directory = b"/"
        self.sure = False  # that the server has said where that is
        self.moving = 0  # changes of the directory that are on their way
        self.anonymous = ""
        self._gate = gate
        self._visit = visit
        self._begun: set[Exchange] | None = None  # most visits need none at a time

    @property
    def read_paths(self) -> bool:
        """Whether a rule reads paths, so that the directory must be known for sure."""
        return self._gate.services.rules.reads_paths

    @property
    def must_learn(self) -> bool:
        """Whether the server must be asked where the client is."""
        return self.read_paths and not self.sure

    async def ask(self, command: Command) -> Exchange | None:
        """Ask for *command*; None: it is talk, which nobody need permit.

        Raises Denied, when its record was left.
        """
        action = action_of(command)
        if action is None:
            if not self._gate.services.rules.names_method("ftp", command.verb):
                return None
            action = Action.CONNECT
        return await self.begin(action, command)

    async def begin(self, action: Action, command: Command) -> Exchange:
        """Begin the exchange of a command that is asked for as *action*."""
        path = path_of(command, self.directory)
        try:
            exchange = await self._gate.begin(
                action,
                method=command.verb,
                resource=shown(path) if path else "",
                within=self._visit,
            )
        except Refused as refused:
            raise Denied(replies.command_denied(refused)) from None
        if self._begun is None:
            self._begun = set()
        if self.read_paths and not is_clear(command):
            unclear = Refused(Reason.SYNTAX, UNCLEAR)
            exchange.close(unclear)
            raise Denied(replies.command_denied(unclear))
        self._begun.add(exchange)
        if self.anonymous:
            exchange.note(anonymous=self.anonymous)
        return exchange

    def replied(self, exchange: Exchange, code: int) -> None:
        """End *exchange* as the server's final reply says."""
        if code >= 400:
            self.end(exchange, Outcome.FAILED, status=str(code), side=Side.SERVER)
        else:
            self.end(exchange, Outcome.OK, status=str(code))

    def end(self, exchange: Exchange, outcome: Outcome, **words: str) -> None:
        """End *exchange*; *words* are those of `Exchange.end`."""
        exchange.end(outcome, **words)
        exchange.close()
        if self._begun is not None:
            self._begun.discard(exchange)

    def close(self, error: BaseException | None) -> None:
        """End what lasts still; *error* is why."""
        for exchange in tuple(self._begun or ()):
            exchange.close(error)
        self._begun = None

    # The directory.

    def moved(self, command: Command) -> None:
        """The server has changed the directory as *command* said."""
        where = b".." if command.verb in UPWARD else command.argument
        self.directory = resolve_path(self.directory, where)
        self.sure = False

    def learn(self, reply: bytes) -> None:
        """Take the directory from the *reply* to PWD, if it can be read."""
        self.sure = True  # as far as that server can say
        with suppress(ProtocolError):
            self.directory = parse_pwd(reply)
