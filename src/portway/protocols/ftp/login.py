"""From the client's first words to a server that is logged in.

A client names its server in one of the dialects that dialects.py reads; this machine
follows the dialogue, checks proxy logins, has the server dialled, and speaks for the
client where its dialect wants that. What it may do is all in `Desk`.

Not here: reading names (dialects.py), sockets, and anything after the login.
Invariant: a verified proxy login never goes to a server, and a server login never to
the account store, unless the words could be either and the administrator said so.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Protocol

from portway.lines import shown
from portway.model import Endpoint
from portway.protocols.ftp import replies
from portway.protocols.ftp.dialects import (
    BadTarget,
    Candidate,
    Context,
    candidates,
    split_place,
)
from portway.protocols.ftp.dialogue import Reply
from portway.protocols.ftp.greeting import Greeting
from portway.protocols.ftp.wire import Command, reply
from portway.users.directory import Verification

TLS_WORDS = {b"TLS", b"SSL", b"TLS-C", b"TLS-P"}
NEVER_ACCOUNTS = {"", "anonymous", "ftp"}


class State(Enum):
    """Where the dialogue stands."""

    START = auto()  # no login, no target
    PASSWAIT = auto()  # a USER waits for its PASS
    READY = auto()  # a login is kept or verified, no target
    ACCTWAIT = auto()  # the proxy password comes by ACCT
    HELD = auto()  # the proxy login comes by AUTH and RESP
    NAMED = auto()  # the server greeted us, no USER sent
    LOGIN = auto()  # USER sent to the server, no 230 yet
    SESSION = auto()  # logged in

    @property
    def is_before_target(self) -> bool:
        """Whether no server is connected in this state."""
        return self.value < State.NAMED.value


class How(Enum):
    """How the target was named; `AT` lets a later USER name another."""

    AT = auto()
    PROXYUSER = auto()
    SITE = auto()
    OPEN = auto()
    FIXED = auto()


class Replay(Enum):
    """A login given before the server was named: is it for the server?"""

    OFF = auto()
    ARMED = auto()
    DONE = auto()


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and how the client named it."""

    place: Endpoint
    how: How


@dataclass(frozen=True, slots=True)
class Kept:
    """A login that may be the server's; *nameless* if USER named nobody."""

    user: bytes
    password: bytes | None = None
    nameless: bool = False


class Desk(Protocol):
    """What the session does for a login."""

    async def tell(self, text: bytes) -> None:
        """Send a reply of the gateway's own."""

    async def verify(self, user: str, password: bytes) -> Verification:
        """Check a proxy login; a wrong one has cost its second when this returns."""

    async def knows(self, user: str) -> bool:
        """Say whether *user* may be an account."""

    def forget_login(self) -> None:
        """Forget who the client is to the proxy."""

    async def reach(self, target: Target) -> Greeting | None:
        """Connect to a server; None: the client was told why not."""

    async def ask(self, line: bytes) -> Reply:
        """Send the server a command of ours."""

    async def relay(self, line: bytes, greeting: Greeting | None) -> int:
        """Send the server the client's USER, PASS or ACCT; return the final code."""

    async def drop_server(self) -> None:
        """Take leave of the server, if there is one."""

    async def logged_in(self, user: bytes) -> None:
        """Called when the server has taken the login."""


class Login:
    """The dialogue of one client connection, up to and between its servers."""

    __slots__ = (
        "_candidates",
        "_desk",
        "_greeting",
        "_kept",
        "_methods",
        "_name",
        "_need",
        "_proxy_user",
        "_refusal",
        "_standing",
        "_target",
        "_word_ignored",
        "replay",
        "state",
    )

    def __init__(self, desk: Desk, methods: tuple[str, ...], need: str) -> None:
        self.state = State.START
        self.replay = Replay.OFF
        self._desk = desk
        self._methods = methods
        self._need = need  # none, optional, required: a proxy login
        self._standing = False  # a proxy login that counts for the next target too
        self._kept: Kept | None = None
        self._name = b""  # the last USER's, which a PASS completes
        self._target: Target | None = None
        self._candidates: tuple[Candidate, ...] = ()
        self._proxy_user = b""  # given by AUTH, waits for RESP
        self._greeting: Greeting | None = None  # of the server, until the client saw it
        self._refusal: bytes | None = None  # of a replay nobody waited for
        self._word_ignored = False

    async def command(self, command: Command) -> bool:
        """Deal with *command*, if it names a server or logs in. Say whether it did."""
        verb, argument = command.verb, command.argument
        if self._refusal is not None and verb not in {"USER", "REIN", "QUIT"}:
            await self._tell_refusal()
            return True
        if verb == "USER":
            await self._user(argument)
        elif verb == "PASS":
            await self._pass(argument)
        elif verb == "ACCT":
            await self._acct(argument)
        elif verb == "REIN":
            await self._rein()
        elif verb in {"AUTH", "RESP"} and self.state is State.HELD:
            return await self._proxy_login(verb, argument)
        elif verb == "SITE" and self.state is State.HELD:
            word, _, rest = argument.partition(b" ")
            step = {b"AUTHENTICATE": "AUTH", b"RESPONSE": "RESP"}.get(word.upper())
            return step is not None and await self._proxy_login(step, rest)
        elif verb == "SITE":
            return await self._site(argument)
        elif verb == "OPEN":
            return await self._open(argument)
        else:
            return False
        return True

    # Naming.

    async def _user(self, argument: bytes) -> None:
        if self.replay is Replay.DONE:
            await self._user_after_replay(argument)
        elif self.state is State.NAMED:
            self._kept, self.replay, self._refusal = None, Replay.OFF, None
            await self._relay_login(b"USER " + argument, argument)
        elif self.state.is_before_target or (self._how is How.AT and b"@" in argument):
            await self._user_names(argument)
        else:
            await self._relay_login(b"USER " + argument, argument)

    @property
    def _how(self) -> How | None:
        return self._target.how if self._target else None

    async def _user_names(self, argument: bytes) -> None:
        """USER before a server, or one that may name another."""
        words = argument.rstrip()
        if words.startswith(b"@") and self._need == "none" and self._wants("user@host"):
            await self._nobody_at(words)
            return
        try:
            found = candidates(words, self._context)
        except BadTarget:
            await self._desk.tell(replies.BAD_PLACE)
            return
        if not found:
            await self._plain_user(words)
        elif found[0].method == "user@host":
            await self._act_at_once(found[0])
        else:
            await self._leave_server()
            self._candidates = found
            self.state = State.PASSWAIT
            await self._desk.tell(replies.SEND_PASSWORD)

    @property
    def _context(self) -> Context:
        return Context(
            methods=self._methods,
            login=self._need,
            standing=self._standing,
            fixed=self._how is How.FIXED,
        )

    def _wants(self, method: str) -> bool:
        return method in self._methods

    async def _plain_user(self, words: bytes) -> None:
        if b"@" in words and self._need == "required" and not self._standing:
            await self._desk.tell(replies.LOG_IN_FIRST)
            return
        if self._how is How.FIXED and (self._need != "required" or self._standing):
            await self._act_on_fixed(words)
            return
        self._kept = Kept(words or b"anonymous", nameless=not words)
        self._candidates = ()
        self.state = State.PASSWAIT
        await self._desk.tell(replies.SEND_PASSWORD)

    async def _act_on_fixed(self, user: bytes) -> None:
        assert self._target is not None  # noqa: S101 - that is what fixed means
        if await self._reach(self._target):
            await self._relay_login(b"USER " + user, user)

    async def _nobody_at(self, words: bytes) -> None:
        """``USER @host``: the login is anonymous, the password still to come."""
        try:
            place = split_place(words[1:])
        except BadTarget:
            await self._desk.tell(replies.BAD_PLACE)
            return
        await self._leave_server()
        self._kept = Kept(b"anonymous", nameless=True)
        self._target = Target(place, How.PROXYUSER)
        self._candidates = ()
        self.state = State.PASSWAIT
        await self._desk.tell(replies.SEND_PASSWORD)

    async def _act_at_once(self, candidate: Candidate) -> None:
        """``USER user@host`` whose host is to be dialled now."""
        target = Target(candidate.place, How.AT)
        kept, self._kept = self._kept, None
        self._word_ignored = candidate.has_word
        line = b"USER " + candidate.user
        if not self.state.is_before_target:
            if self._target is not None and self._target.place == target.place:
                await self._relay_login(line, candidate.user)
                return
            await self._leave_server()
        if not await self._reach(target):
            return
        borrowed = kept and kept.nameless and self._need == "none" and kept.password
        if borrowed:
            await self._speak_for(candidate.user, borrowed)
        else:
            await self._relay_login(line, candidate.user)

    async def _site(self, argument: bytes) -> bool:
        if not self._wants("site"):
            return False
        if self.state.is_before_target or self._unheard:
            await self._name_by(How.SITE, argument)
            return True
        return False

    async def _open(self, argument: bytes) -> bool:
        if not self._wants("open"):
            return False
        if self.state is State.NAMED and not self._unheard:
            return False
        await self._name_by(How.OPEN, argument)
        return True

    @property
    def _unheard(self) -> bool:
        """Whether a server is named to whom nothing was said yet."""
        return self.state is State.NAMED and self.replay is Replay.OFF

    async def _name_by(self, how: How, argument: bytes) -> None:
        try:
            target = Target(split_place(argument), how)
        except BadTarget:
            await self._desk.tell(replies.BAD_PLACE)
            return
        if self._need == "required" and not self._standing:
            self._target = target
            await self._desk.tell(replies.NOTED)
            return
        if not self.state.is_before_target:
            await self._leave_server()
        before = self.state
        if not await self._reach(target):
            self.state = before
            return
        complete = self._kept is not None and self._kept.password is not None
        if before is State.READY and complete and not self._standing:
            self.replay = Replay.ARMED
        await self._show_greeting()

    # Passwords.

    async def _pass(self, argument: bytes) -> None:
        if self.replay is Replay.DONE and self._same_name:
            await self._pass_after_replay(argument)
        elif self.state in {State.NAMED, State.LOGIN, State.SESSION}:
            await self._relay_login(b"PASS " + argument, None)
        elif self.state is not State.PASSWAIT:
            await self._desk.tell(replies.SEND_USER_FIRST)
        elif self._candidates:
            await self._password_decides(argument)
        elif self._how is How.PROXYUSER:
            await self._named_by_nobody(argument)
        else:
            await self._plain_pass(argument)

    async def _plain_pass(self, password: bytes) -> None:
        kept = self._kept or Kept(b"anonymous", nameless=True)
        if self._need != "none" and not self._standing:
            verified = await self._check(kept.user, password)
            if verified is Verification.OK:
                self._standing = True
                self._kept = None
                await self._proxy_login_done()
                return
            if verified is Verification.WRONG or self._need == "required":
                await self._refuse_login()
                return
        self._kept = replace(kept, password=password)
        self.state = State.READY
        await self._desk.tell(replies.LOGIN_OK)

    async def _check(self, user: bytes, password: bytes) -> Verification:
        """Verify a proxy login; where it is optional, only a name that may be one."""
        name = shown(user)
        if self._need == "optional" and (
            name.lower() in NEVER_ACCOUNTS or not await self._desk.knows(name)
        ):
            return Verification.UNKNOWN
        return await self._desk.verify(name, password)

    async def _proxy_login_done(self) -> None:
        """The proxy knows the client; a server noted before is dialled now."""
        self.state = State.READY
        if self._target is None:
            await self._desk.tell(replies.LOGIN_OK)
        elif self._how is How.FIXED:
            await self._desk.tell(replies.LOGIN_OK)
        elif await self._reach(self._target):
            await self._desk.tell(self._with_greeting(replies.LOGIN_OK))

    async def _refuse_login(self) -> None:
        self.state = State.START
        self._kept, self._candidates = None, ()
        await self._desk.tell(replies.LOGIN_REFUSED)

    async def _named_by_nobody(self, password: bytes) -> None:
        """The PASS after ``USER @host``."""
        target = self._target
        assert target is not None  # noqa: S101 - set by _nobody_at
        self.state = State.START
        if await self._reach(target):
            self._kept = Kept(b"anonymous", password, nameless=True)
            self.replay = Replay.ARMED
            await self._desk.tell(self._with_greeting(replies.LOGIN_OK))

    async def _password_decides(self, words: bytes) -> None:
        """Try each way to read USER and PASS together; the first that holds wins."""
        for candidate in self._candidates:
            password, proxy_password = candidate.split_password(words)
            if candidate.method in {"acct", "resp"}:
                await self._wait_for_proxy_password(candidate, words)
                return
            if candidate.method == "user@host":
                await self._enter(candidate, words)
                return
            if proxy_password is None:
                continue
            if candidate.method == "proxyuser@host" and self._need == "none":
                verified = Verification.OK
            else:
                verified = await self._check(candidate.account, proxy_password)
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
        if candidate.method == "acct":
            self.state = State.ACCTWAIT
            await self._desk.tell(replies.SEND_ACCT)
        else:
            self.state = State.HELD
            await self._desk.tell(replies.HELD)

    async def _proxy_password_held(
        self, candidate: Candidate, password: bytes | None
    ) -> None:
        if candidate.method != "proxyuser@host":
            await self._enter(candidate, password or b"")
            return
        self._standing = self._need != "none"
        self.state = State.START
        if await self._reach(Target(candidate.place, How.PROXYUSER)):
            await self._desk.tell(self._with_greeting(replies.LOGIN_OK))

    async def _acct(self, argument: bytes) -> None:
        if self.state is State.ACCTWAIT:
            candidate, kept = self._candidates[0], self._kept
            verified = await self._desk.verify(shown(candidate.account), argument)
            if verified is not Verification.OK or kept is None:
                await self._refuse_login()
            else:
                await self._enter(candidate, kept.password or b"")
        elif self.state is State.READY and self._wants("open"):
            await self._acct_names(argument)
        elif self.state in {State.LOGIN, State.SESSION} and self._word_ignored:
            await self._desk.tell(replies.ACCT_NOT_NEEDED)
        elif self.state.is_before_target:
            await self._desk.tell(replies.SEND_USER_FIRST)
        else:
            await self._relay_login(b"ACCT " + argument, None)

    async def _acct_names(self, argument: bytes) -> None:
        """``USER u``, ``PASS p``, ``ACCT host``."""
        if self._standing:
            await self._name_by(How.OPEN, argument)
            return
        try:
            target = Target(split_place(argument), How.OPEN)
        except BadTarget:
            await self._desk.tell(replies.BAD_PLACE)
            return
        kept = self._kept
        if kept is not None and await self._reach(target):
            await self._speak_for(kept.user, kept.password or b"")

    async def _proxy_login(self, step: str, argument: bytes) -> bool:
        """AUTH and RESP, or their SITE forms, after a held login."""
        if step == "AUTH" and argument.upper() in TLS_WORDS:
            return False
        if step == "AUTH":
            self._proxy_user = argument
            await self._desk.tell(replies.SEND_RESP)
            return True
        candidate, kept = self._candidates[0], self._kept
        if not self._proxy_user:
            await self._desk.tell(replies.SEND_AUTH_FIRST)
            return True
        verified = await self._desk.verify(shown(self._proxy_user), argument)
        self._proxy_user = b""
        if verified is not Verification.OK or kept is None:
            await self._refuse_login()
        else:
            self._standing = True
            await self._enter(candidate, kept.password or b"")
        return True

    # The server.

    async def _leave_server(self) -> None:
        """Forget the target; what the client is to the proxy stays."""
        if not self.state.is_before_target:
            await self._desk.drop_server()
        self.state = State.READY if self._standing else State.START
        self._target = None
        self.replay = Replay.OFF
        self._refusal = None
        self._greeting = None

    async def _reach(self, target: Target) -> bool:
        """Connect to *target*; if that fails the client knows, the state is as was."""
        self._target = target
        self._candidates = ()
        greeting = await self._desk.reach(target)
        if greeting is None:
            self._target = None if target.how is not How.FIXED else target
            if self.state is State.PASSWAIT:
                self.state = State.START
            return False
        self._greeting = greeting
        self.state = State.NAMED
        return True

    async def _show_greeting(self) -> None:
        """Answer SITE and OPEN: the greeting itself, as 220."""
        greeting, self._greeting = self._greeting, None
        if greeting is not None:
            await self._desk.tell(greeting.as_reply())

    def _with_greeting(self, text: bytes) -> bytes:
        greeting, self._greeting = self._greeting, None
        return text if greeting is None else greeting.in_front_of(text)

    async def _relay_login(self, line: bytes, user: bytes | None) -> None:
        """Pass USER, PASS or ACCT on; the server says what comes of it."""
        if user is not None:
            self._name = user
            if self.state is not State.SESSION:
                self.state = State.LOGIN
        greeting, self._greeting = self._greeting, None
        code = await self._desk.relay(line.rstrip(b" "), greeting)
        if code in {230, 232} or (200 <= code < 300 and line.startswith(b"USER")):
            self.state = State.SESSION
            await self._desk.logged_in(self._name)

    async def _enter(self, candidate: Candidate, password: bytes) -> None:
        self._kept = None
        if await self._reach(Target(candidate.place, How.AT)):
            await self._speak_for(candidate.user, password)

    async def _speak_for(self, user: bytes, password: bytes) -> None:
        """Log in on the client's behalf, and tell it what came of it."""
        answer = await self._log_in(user, password)
        if answer.code == 332 or answer.good:
            text = answer.text if answer.code != 232 else answer.text
            await self._desk.tell(self._with_greeting(as_230(text, answer.code)))
        else:
            self._greeting = None
            await self._desk.tell(answer.text)
        if answer.good:
            await self._desk.logged_in(user)

    async def _log_in(self, user: bytes, password: bytes) -> Reply:
        self._name = user
        self.state = State.LOGIN
        answer = await self._desk.ask(b"USER " + user)
        if answer.code == 331:
            answer = await self._desk.ask((b"PASS " + password).rstrip(b" "))
        if answer.good:
            self.state = State.SESSION
        return answer

    # The login that was given before SITE or OPEN.

    async def run_replay(self) -> None:
        """Give the server the login that was kept for it."""
        kept, self._kept = self._kept, None
        self.replay = Replay.OFF
        if kept is None:
            return
        password = kept.password or b""
        if kept.user.lower() in {b"anonymous", b"ftp"} and not password:
            password = b"anonymous@"
        answer = await self._log_in(kept.user, password)
        if answer.good:
            self.replay = Replay.DONE
            self._kept = kept
            await self._desk.logged_in(kept.user)
        elif answer.code != 332:
            self.state = State.NAMED
            self._refusal = reply(530, shown(answer.words) or "Login refused.")

    async def _tell_refusal(self) -> None:
        refusal, self._refusal = self._refusal, None
        if refusal is not None:
            await self._desk.tell(refusal)

    @property
    def _same_name(self) -> bool:
        return self._kept is not None and self._name == self._kept.user

    async def _user_after_replay(self, argument: bytes) -> None:
        """The client logs in although we have: locally, if it is the same login."""
        kept, target = self._kept, self._target
        self._name = argument
        if kept is not None and argument == kept.user:
            await self._desk.tell(replies.SEND_PASSWORD)
            return
        await self._start_afresh(target)
        if self.state is State.NAMED:
            await self._relay_login(b"USER " + argument, argument)

    async def _pass_after_replay(self, argument: bytes) -> None:
        kept, target = self._kept, self._target
        if kept is not None and argument == kept.password:
            await self._desk.tell(replies.LOGIN_OK)
            return
        await self._start_afresh(target)
        if kept is not None and self.state is State.NAMED:
            await self._speak_for(kept.user, argument)

    async def _start_afresh(self, target: Target | None) -> None:
        """Connect to the same server again: few of them change users."""
        await self._leave_server()
        self._kept = None
        if target is not None and await self._reach(target):
            self._greeting = None

    async def _rein(self) -> None:
        fixed = self._target if self._how is How.FIXED else None
        await self._leave_server()
        self._standing = False
        self._kept, self._candidates = None, ()
        self.state = State.START
        self._target = fixed
        self._desk.forget_login()
        await self._desk.tell(replies.NEW_USER)


def as_230(text: bytes, code: int) -> bytes:
    """Return a reply of one code as 230, if it is another success."""
    if code in {230, 332}:
        return text
    lines = text.splitlines(keepends=True)
    lines[0] = b"230" + lines[0][3:]
    lines[-1] = b"230" + lines[-1][3:]
    return b"".join(lines)
