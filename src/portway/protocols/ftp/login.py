"""From the client's first words to a server that is named.

A client names its server in one of the dialects that dialects.py reads. This machine
follows the dialogue, checks proxy logins, and says which server is to be reached; what
it may do is all in `Desk`.

Not here: reading names (dialects.py), passwords (passwords.py), and the login to the
server (serverlogin.py). Invariant: a verified proxy login never goes to a server, and
a server login never to the account store, unless the words could be either and the
administrator said so.
"""

from portway.protocols.ftp import replies
from portway.protocols.ftp.approach import Approach
from portway.protocols.ftp.desk import (
    Desk,
    How,
    Kept,
    Replay,
    State,
    Target,
    fixed_target,
)
from portway.protocols.ftp.dialects import (
    PORT,
    BadTarget,
    Candidate,
    Context,
    candidates,
)
from portway.protocols.ftp.passwords import Passwords
from portway.protocols.ftp.serverlogin import ServerLogin
from portway.protocols.ftp.wire import Command

WHILE_HELD = {"AUTH", "RESP", "SITE", "OPEN", "PASS", "ACCT"}


class Login:
    """The dialogue of one client connection, up to and between its servers."""

    __slots__ = ("_approach", "_desk", "_methods", "_passwords")

    def __init__(
        self,
        desk: Desk,
        methods: tuple[str, ...],
        need: str,
        *,
        fixed: bool = False,
        port: int = PORT,
    ) -> None:
        self._desk = desk
        self._methods = methods
        self._approach = Approach(desk, need, fixed=fixed, port=port)
        self._passwords = Passwords(self._approach, opens="open" in methods)

    @property
    def state(self) -> State:
        """Where the dialogue stands."""
        return self._approach.state

    @property
    def server(self) -> ServerLogin:
        """The login to the server that is connected, if one is."""
        return self._approach.server

    async def enter(self) -> None:
        """Reach the server that the door leads to, and let it greet the client."""
        if await self._approach.reach(fixed_target()):
            await self.server.show_greeting()

    async def forget_words(self) -> bool:
        """Believe nothing of what was said before TLS: see `Approach`."""
        return await self._approach.forget_words()

    async def command(self, command: Command) -> bool:
        """Deal with *command*, if it names a server or logs in. Say whether it did."""
        verb, argument = command.verb, command.argument
        server = self.server
        if server.refusal is not None and verb not in {"USER", "REIN", "QUIT"}:
            await server.tell_refusal()
            return True
        if verb == "USER":
            await self._user(argument)
        elif self.state is State.HELD and verb in WHILE_HELD:
            return await self._passwords.held(command)
        elif verb == "PASS":
            await self._passwords.password(argument)
        elif verb == "ACCT":
            await self._passwords.account(argument)
        elif verb == "REIN":
            await self._approach.start_again()
            await self._desk.tell(replies.NEW_USER)
        elif verb == "SITE" and self._site_names_a_server:
            await self._approach.name_by(How.SITE, argument)
        elif verb == "OPEN" and "open" in self._methods:
            await self._approach.name_by(How.OPEN, argument)
        else:
            return False
        return True

    @property
    def _site_names_a_server(self) -> bool:
        """SITE is the server's own, once one is there to whom something was said."""
        unheard = self.state is State.NAMED and self.server.replay is Replay.OFF
        return "site" in self._methods and (unheard or not self.state.has_server)

    # USER.

    async def _user(self, argument: bytes) -> None:
        server, state = self.server, self.state
        if server.replay is Replay.DONE:
            await server.user_after_replay(argument)
        elif state is State.NAMED or (
            state.has_server and not self._may_rename(argument)
        ):
            await server.relay_user(argument)
        else:
            await self._user_names(argument)

    def _may_rename(self, argument: bytes) -> bool:
        target = self.server.target
        return target is not None and target.how is How.AT and b"@" in argument

    async def _user_names(self, argument: bytes) -> None:
        """USER before a server, or one that may name another."""
        proxy = self._approach.proxy
        words = argument.rstrip()
        fixed = self._approach.fixed
        names = bool(self._methods) or not fixed
        if words.startswith(b"@") and proxy.need == "none" and names:
            await self._nobody_at(words)
            return
        context = Context(
            self._methods,
            proxy.need,
            standing=proxy.standing,
            fixed=fixed,
            default_port=self._approach.port,
        )
        try:
            found = candidates(words, context)
        except BadTarget:
            await self._desk.tell(replies.BAD_PLACE)
            return
        if not found:
            await self._plain_user(argument, words)
        elif found[0].method == "user@host":
            await self._act_at_once(found[0])
        else:
            await self._approach.leave_server()
            self._approach.wait_for_password(found)
            await self._desk.tell(replies.SEND_PASSWORD)

    async def _plain_user(self, argument: bytes, words: bytes) -> None:
        if self.state.has_server:
            await self.server.relay_user(argument)
            return
        due = self._approach.proxy.due
        if self._approach.fixed and not due:
            if await self._approach.reach(fixed_target(words)):
                await self.server.relay_user(argument)
            return
        if b"@" in words and due and not self._approach.fixed:
            await self._desk.tell(replies.LOG_IN_FIRST)
            return
        self._approach.kept = Kept(words or b"anonymous", nameless=not words)
        self._approach.wait_for_password()
        await self._desk.tell(replies.SEND_PASSWORD)

    async def _nobody_at(self, words: bytes) -> None:
        """``USER @host``: the login is anonymous, the password still to come."""
        place = await self._approach.read_place(words[1:])
        if place is None:
            return
        await self._approach.leave_server()
        self._approach.noted = Target(place, How.PROXYUSER)
        self._approach.wait_for_password()
        await self._desk.tell(replies.SEND_PASSWORD)

    async def _act_at_once(self, candidate: Candidate) -> None:
        """``USER user@host`` whose host is to be dialled now."""
        approach = self._approach
        kept, target = approach.kept, self.server.target
        if target is not None and target.place == candidate.place:
            approach.word_ignored = candidate.has_word
            await self.server.relay_user(candidate.user)
            return
        approach.proxy.forget_passing()
        if not await approach.reach(Target(candidate.place, How.AT)):
            return
        approach.word_ignored = candidate.has_word
        if kept and kept.nameless and kept.password and approach.proxy.need == "none":
            await self.server.speak_for(candidate.user, kept.password)
        else:
            await self.server.relay_user(candidate.user)
