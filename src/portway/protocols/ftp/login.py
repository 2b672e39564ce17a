"""From the client's first words to a server that is named.

A client names its server in one of the dialects that dialects.py reads. This machine
follows the dialogue, checks proxy logins, and says which server is to be reached; what
it may do is all in `Desk`.

Not here: reading names (dialects.py), and the login to the server (serverlogin.py).
Invariant: a verified proxy login never goes to a server, and a server login never to
the account store, unless the words could be either and the administrator said so.
"""

from dataclasses import replace

from portway.model import Endpoint
from portway.protocols.ftp import replies
from portway.protocols.ftp.desk import (
    Desk,
    How,
    Kept,
    Replay,
    State,
    Target,
)
from portway.protocols.ftp.dialects import (
    BadTarget,
    Candidate,
    Context,
    candidates,
    split_place,
)
from portway.protocols.ftp.proxylogin import ProxyLogin
from portway.protocols.ftp.serverlogin import ServerLogin
from portway.protocols.ftp.wire import Command
from portway.users.directory import Verification

TLS_WORDS = {b"TLS", b"SSL", b"TLS-C", b"TLS-P"}
WHILE_HELD = {"AUTH", "RESP", "SITE", "OPEN", "PASS", "ACCT"}
PASSWORD_LATER = {
    "acct": (State.ACCTWAIT, replies.SEND_ACCT),
    "resp": (State.HELD, replies.HELD),
}


class Login:
    """The dialogue of one client connection, up to and between its servers."""

    __slots__ = (
        "_before",
        "_candidates",
        "_desk",
        "_kept",
        "_methods",
        "_noted",
        "_proxy",
        "_proxy_user",
        "_word_ignored",
        "server",
    )

    def __init__(self, desk: Desk, methods: tuple[str, ...], need: str) -> None:
        self.server = ServerLogin(desk)
        self._before = State.START  # the state, while no server is connected
        self._desk = desk
        self._methods = methods
        self._proxy = ProxyLogin(desk, need)
        self._kept: Kept | None = None
        self._noted: Target | None = None  # to be reached once the password is right
        self._candidates: tuple[Candidate, ...] = ()
        self._proxy_user = b""  # given by AUTH, waits for RESP
        self._word_ignored = False

    @property
    def state(self) -> State:
        """Where the dialogue stands."""
        return self.server.state or self._before

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
            return await self._held(command)
        elif verb == "PASS":
            await self._pass(argument)
        elif verb == "ACCT":
            await self._acct(argument)
        elif verb == "REIN":
            await self._rein()
        elif verb == "SITE" and self._site_names_a_server:
            await self._name_by(How.SITE, argument)
        elif verb == "OPEN" and "open" in self._methods:
            await self._name_by(How.OPEN, argument)
        else:
            return False
        return True

    # Naming.

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
        words = argument.rstrip()
        if words.startswith(b"@") and self._proxy.need == "none":
            await self._nobody_at(words)
            return
        try:
            found = candidates(
                words,
                Context(self._methods, self._proxy.need, standing=self._proxy.standing),
            )
        except BadTarget:
            await self._desk.tell(replies.BAD_PLACE)
            return
        if not found:
            await self._plain_user(argument, words)
        elif found[0].method == "user@host":
            await self._act_at_once(found[0])
        else:
            await self._leave_server()
            self._candidates, self._before = found, State.PASSWAIT
            await self._desk.tell(replies.SEND_PASSWORD)

    async def _plain_user(self, argument: bytes, words: bytes) -> None:
        if self.state.has_server:
            await self.server.relay_user(argument)
            return
        if b"@" in words and self._proxy.due:
            await self._desk.tell(replies.LOG_IN_FIRST)
            return
        self._kept = Kept(words or b"anonymous", nameless=not words)
        self._candidates, self._before = (), State.PASSWAIT
        await self._desk.tell(replies.SEND_PASSWORD)

    async def _nobody_at(self, words: bytes) -> None:
        """``USER @host``: the login is anonymous, the password still to come."""
        place = await self._read_place(words[1:])
        if place is None:
            return
        await self._leave_server()
        self._noted = Target(place, How.PROXYUSER)
        self._candidates, self._before = (), State.PASSWAIT
        await self._desk.tell(replies.SEND_PASSWORD)

    async def _act_at_once(self, candidate: Candidate) -> None:
        """``USER user@host`` whose host is to be dialled now."""
        kept = self._kept
        target = self.server.target
        if target is not None and target.place == candidate.place:
            self._word_ignored = candidate.has_word
            await self.server.relay_user(candidate.user)
            return
        self._proxy.forget_passing()
        if not await self._reach(Target(candidate.place, How.AT)):
            return
        self._word_ignored = candidate.has_word
        if kept and kept.nameless and kept.password and self._proxy.need == "none":
            await self.server.speak_for(candidate.user, kept.password)
        else:
            await self.server.relay_user(candidate.user)

    @property
    def _site_names_a_server(self) -> bool:
        """SITE is the server's own, once one is there to whom something was said."""
        unheard = self.state is State.NAMED and self.server.replay is Replay.OFF
        return "site" in self._methods and (unheard or not self.state.has_server)

    async def _name_by(self, how: How, argument: bytes) -> None:
        place = await self._read_place(argument)
        if place is None:
            return
        target = Target(place, how)
        if self._proxy.due:
            self._noted = target
            await self._desk.tell(replies.NOTED)
            return
        kept = self._kept if self._before is State.READY else None
        connected = self.state.has_server
        self._proxy.forget_passing()
        if not await self._reach(target):
            return
        if kept is not None and not connected and not self._proxy.standing:
            self.server.arm(kept)
        await self.server.show_greeting()

    async def _read_place(self, argument: bytes) -> Endpoint | None:
        """Read a place; None: the client was told that it is none."""
        try:
            return split_place(argument)
        except BadTarget:
            await self._desk.tell(replies.BAD_PLACE)
            return None

    async def _reach(self, target: Target) -> bool:
        """Connect to *target*; if that fails, the client knows and may try again."""
        self._candidates = ()
        self._noted = None
        self._word_ignored = False
        if not await self.server.reach(target):
            if self._before is not State.READY:
                self._before = self._at_rest
            return False
        self._kept = None
        self._before = self._at_rest
        return True

    @property
    def _at_rest(self) -> State:
        return State.READY if self._proxy.standing else State.START

    async def _leave_server(self) -> None:
        """Forget the target; what the client is to the proxy stays."""
        await self.server.leave()
        self._before = self._at_rest
        self._noted = None

    # Passwords.

    async def _pass(self, argument: bytes) -> None:
        if self.server.replay is Replay.DONE:
            await self.server.password_after_replay(argument)
        elif self.state.has_server:
            await self.server.relay_password("PASS", argument)
        elif self.state is not State.PASSWAIT:
            await self._desk.tell(replies.SEND_USER_FIRST)
        elif self._candidates:
            await self._password_decides(argument)
        elif self._noted is not None and self._noted.how is How.PROXYUSER:
            await self._named_by_nobody(self._noted, argument)
        else:
            await self._plain_pass(argument)

    async def _plain_pass(self, password: bytes) -> None:
        kept = self._kept or Kept(b"anonymous", nameless=True)
        if self._proxy.need != "none" and not self._proxy.standing:
            verified = await self._proxy.check(kept.user, password)
            if verified is Verification.OK:
                self._proxy.standing = True
                self._kept = None
                await self._proxy_login_done()
                return
            if verified is Verification.WRONG or self._proxy.need == "required":
                await self._refuse_login()
                return
        self._kept = replace(kept, password=password)
        self._before = State.READY
        await self._desk.tell(replies.LOGIN_OK)

    async def _proxy_login_done(self) -> None:
        """The proxy knows the client; a server noted before is dialled now."""
        self._before = State.READY
        noted = self._noted
        if noted is None:
            await self._desk.tell(replies.LOGIN_OK)
        elif await self._reach(noted):
            await self.server.tell_with_greeting(replies.LOGIN_OK)

    async def _refuse_login(self) -> None:
        self._before = self._at_rest
        self._kept, self._candidates = None, ()
        self._proxy.forget_passing()
        await self._proxy.refuse()

    async def _named_by_nobody(self, target: Target, password: bytes) -> None:
        """The PASS after ``USER @host``."""
        if await self._reach(target):
            self.server.arm(Kept(b"anonymous", password, nameless=True))
            await self.server.tell_with_greeting(replies.LOGIN_OK)

    async def _password_decides(self, words: bytes) -> None:
        """Try each way to read USER and PASS together; the first that holds wins."""
        self._proxy.forget_passing()
        for candidate in self._candidates:
            password, proxy_password = candidate.split_password(words)
            if candidate.method in PASSWORD_LATER:
                await self._wait_for_proxy_password(candidate, words)
                return
            if candidate.method == "user@host":
                await self._enter(candidate, words)
                return
            if proxy_password is None:
                continue
            verified = await self._proxy.check(candidate.account, proxy_password)
            if verified is Verification.OK:
                await self._proxy_password_held(candidate, password)
                return
            if verified is Verification.WRONG:
                break
        await self._refuse_login()

    async def _wait_for_proxy_password(
        self, candidate: Candidate, password: bytes
    ) -> None:
        self._candidates = (candidate,)
        self._kept = Kept(candidate.user, password)
        self._before, answer = PASSWORD_LATER[candidate.method]
        await self._desk.tell(answer)

    async def _proxy_password_held(
        self, candidate: Candidate, password: bytes | None
    ) -> None:
        if candidate.method != "proxyuser@host":
            await self._enter(candidate, password or b"")
            return
        self._proxy.standing = self._proxy.need != "none"
        if await self._reach(Target(candidate.place, How.PROXYUSER)):
            await self.server.tell_with_greeting(replies.LOGIN_OK)

    async def _enter(self, candidate: Candidate, password: bytes) -> None:
        """Connect to the candidate's server and log in there for the client."""
        if await self._reach(Target(candidate.place, How.AT)):
            await self.server.speak_for(candidate.user, password)

    async def _acct(self, argument: bytes) -> None:
        state = self.state
        if state is State.ACCTWAIT:
            await self._proxy_password_comes(self._candidates[0].account, argument)
        elif state is State.READY and "open" in self._methods:
            await self._acct_names(argument)
        elif not state.has_server:
            await self._desk.tell(replies.SEND_USER_FIRST)
        elif self._word_ignored and state is not State.NAMED:
            await self._desk.tell(replies.ACCT_NOT_NEEDED)
        else:
            await self.server.relay_password("ACCT", argument)

    async def _acct_names(self, argument: bytes) -> None:
        """``USER u``, ``PASS p``, ``ACCT host``."""
        self._proxy.forget_passing()
        kept = self._kept
        if kept is None:  # it was a proxy login
            await self._name_by(How.OPEN, argument)
            return
        place = await self._read_place(argument)
        if place is not None and await self._reach(Target(place, How.OPEN)):
            await self.server.speak_for(kept.user, kept.password or b"")

    async def _held(self, command: Command) -> bool:
        """AUTH and RESP, or their SITE forms, after a login that is held."""
        verb, argument = command.verb, command.argument
        if verb == "SITE":
            word, _, argument = argument.partition(b" ")
            verb = {b"AUTHENTICATE": "AUTH", b"RESPONSE": "RESP"}.get(word.upper(), "")
        elif verb == "AUTH" and argument.upper() in TLS_WORDS:
            return False
        if verb == "AUTH":
            self._proxy_user = argument
            await self._desk.tell(replies.SEND_RESP)
        elif verb == "RESP" and self._proxy_user:
            user, self._proxy_user = self._proxy_user, b""
            await self._proxy_password_comes(user, argument, stands=True)
        else:
            await self._desk.tell(replies.SEND_AUTH_FIRST)
        return True

    async def _proxy_password_comes(
        self, user: bytes, password: bytes, *, stands: bool = False
    ) -> None:
        """The proxy's password comes after the server's, which was kept."""
        candidate, kept = self._candidates[0], self._kept
        verified = await self._proxy.verify(user, password)
        if verified is not Verification.OK or kept is None:
            await self._refuse_login()
            return
        self._proxy.standing = self._proxy.standing or stands
        await self._enter(candidate, kept.password or b"")

    async def _rein(self) -> None:
        self._proxy.forget()
        await self._leave_server()
        self._kept, self._candidates = None, ()
        await self._desk.tell(replies.NEW_USER)
