"""The login to one server: relayed, spoken for the client, or replayed.

Where a client logs in before it names its server, nobody can tell yet whether that
login is for the server: it is kept, and replayed when something must be relayed.

Not here: how the server was named, and proxy logins (login.py). Invariant: a login is
told to the server that the client named with it, and to no other.
"""

from portway.lines import shown
from portway.protocols.ftp import replies
from portway.protocols.ftp.desk import Desk, Kept, Replay, State, Target
from portway.protocols.ftp.dialogue import Reply
from portway.protocols.ftp.greeting import Greeting, as_230
from portway.protocols.ftp.wire import Command, reply

NAMELESS = {b"anonymous", b"ftp"}
ADDRESS = 256  # bytes; RFC 5321, section 4.5.3.1.3, has as many


class ServerLogin:
    """What was said to one server after another about who the client is.

    *state* is None while no server is connected. *heard* says that the server was told
    something of the client's.
    """

    __slots__ = (
        "_address",
        "_code",
        "_desk",
        "_greeting",
        "_kept",
        "_name",
        "heard",
        "refusal",
        "replay",
        "state",
        "target",
    )

    def __init__(self, desk: Desk) -> None:
        self.state: State | None = None
        self.target: Target | None = None
        self.heard = False
        self.replay = Replay.OFF
        self.refusal: bytes | None = None  # of a replay that nobody waited for
        self._desk = desk
        self._kept: Kept | None = None  # what is, or was, to be replayed
        self._code = 0  # of the last reply to a word of the login
        self._name = b""  # the last USER's, which a PASS completes
        self._address = b""  # that PASS, if it holds no secret: see `_remember`
        self._greeting: Greeting | None = None  # until the client has seen it

    async def reach(self, target: Target) -> bool:
        """Leave the server there is and connect to *target*.

        False: the client was told why not, and no server is connected.
        """
        await self.leave()
        greeting = await self._desk.reach(target)
        if greeting is None:
            return False
        self.target = target
        self._greeting = greeting
        self.state = State.NAMED
        return True

    async def leave(self) -> None:
        """Take leave of the server, if one is connected."""
        if self.state is not None:
            await self._desk.drop_server()
        self.state = self.target = self.refusal = self._greeting = None
        self.heard, self._code = False, 0
        self.replay = Replay.OFF
        self._kept = None

    async def forget_words(self) -> bool:
        """Forget what was said in clear; a server that heard of it is reached anew.

        False: it could not be, and the client was told.
        """
        self._kept, self.replay, self.refusal = None, Replay.OFF, None
        self._name = self._address = b""
        return not self.heard or await self._start_afresh()

    # The greeting, which the client sees once.

    async def show_greeting(self) -> None:
        """Answer SITE and OPEN with the greeting itself, as 220."""
        greeting, self._greeting = self._greeting, None
        if greeting is not None:
            await self._desk.tell(greeting.as_reply())

    async def tell_with_greeting(self, text: bytes) -> None:
        """Answer with *text*, the greeting before it."""
        greeting, self._greeting = self._greeting, None
        await self._desk.tell(text if greeting is None else greeting.in_front_of(text))

    # A login that the client drives.

    async def relay_user(self, user: bytes) -> None:
        """Pass USER on; a login kept for a replay is forgotten."""
        if await self._is_unfit("USER", user):
            return
        self._kept, self.replay, self.refusal = None, Replay.OFF, None
        self._name = user
        if self.state is not State.SESSION:
            self.state = State.LOGIN
        await self._relay("USER", user)

    async def relay_password(self, verb: str, argument: bytes) -> None:
        """Pass PASS or ACCT on."""
        if not await self._is_unfit(verb, argument):
            await self._relay(verb, argument)

    async def _is_unfit(self, verb: str, argument: bytes) -> bool:
        """Say whether words must not be sent; the client was told why, if so."""
        no = self._unfit(verb, argument)
        if no is not None:
            await self._desk.tell(no)
        return no is not None

    def _unfit(self, verb: str, argument: bytes) -> bytes | None:
        command = Command(verb, argument, line_of(verb, argument))
        return self._desk.unfit(command, self._code)

    async def _relay(self, verb: str, argument: bytes) -> None:
        greeting, self._greeting = self._greeting, None
        if verb != "ACCT":
            self._remember(argument if verb == "PASS" else b"")
        self.heard = True
        self._code = code = await self._desk.relay(line_of(verb, argument), greeting)
        if 200 <= code < 300:
            await self._is_in()

    # A login that is spoken for the client.

    async def speak_for(self, user: bytes, password: bytes) -> None:
        """Log in on the client's behalf, and tell it what came of it."""
        answer = await self._log_in(user, password)
        if answer.good or answer.code == 332:
            await self.tell_with_greeting(as_230(answer.text, answer.code))
        else:
            self._greeting = None
            await self._desk.tell(answer.text)

    async def _log_in(self, user: bytes, password: bytes) -> Reply:
        no = self._unfit("USER", user)
        if no is not None:
            return Reply(int(no[:3]), no)
        self._name = user
        self.state = State.LOGIN
        self.heard = True
        answer = await self._desk.ask(line_of("USER", user))
        self._remember(password if answer.code == 331 else b"")
        if answer.code == 331:
            answer = await self._desk.ask(line_of("PASS", password))
        self._code = answer.code
        if answer.good:
            await self._is_in()
        return answer

    async def _is_in(self) -> None:
        self.state = State.SESSION
        await self._desk.logged_in(self._name, self._address)

    def _remember(self, password: bytes) -> None:
        """Keep an anonymous client's password: by custom its electronic address.

        RFC 1635, section 4. Any other is a secret, and forgotten.
        """
        anonymous = self._name.lower() in NAMELESS
        self._address = password[:ADDRESS] if anonymous else b""

    # A login that was given before SITE or OPEN.

    def arm(self, kept: Kept) -> None:
        """Keep a login for this server, until something must be relayed."""
        self._kept = kept
        self.replay = Replay.ARMED

    async def run_replay(self) -> None:
        """Give the server the login that was kept for it."""
        kept = self._kept
        self.replay = Replay.OFF
        if kept is None:
            return
        password = kept.password or b""
        if kept.user.lower() in NAMELESS and not password:
            password = b"anonymous@"
        answer = await self._log_in(kept.user, password)
        if answer.good:
            self.replay = Replay.DONE
        elif answer.code != 332:
            self.state = State.NAMED
            self.refusal = reply(530, shown(answer.words) or "Login refused.")

    async def tell_refusal(self) -> None:
        """Tell the client what the server said to the replay."""
        refusal, self.refusal = self.refusal, None
        if refusal is not None:
            await self._desk.tell(refusal)

    async def user_after_replay(self, user: bytes) -> None:
        """The client logs in although we have: locally, if it is the same login."""
        if self._kept is not None and user == self._kept.user:
            self._name = user
            await self._desk.tell(replies.SEND_PASSWORD)
        elif await self._start_afresh():
            await self.relay_user(user)

    async def password_after_replay(self, password: bytes) -> None:
        """The password behind a USER that was answered locally."""
        kept = self._kept
        if kept is None or password == kept.password:
            await self._desk.tell(replies.LOGIN_OK)
        elif await self._start_afresh():
            await self.speak_for(kept.user, password)

    async def _start_afresh(self) -> bool:
        """Connect to the same server again: few of them change users."""
        target = self.target
        if target is None or not await self.reach(target):
            return False
        self._greeting = None  # which the client has seen
        return True


def line_of(verb: str, argument: bytes) -> bytes:
    """Return a command line; without an argument, without a blank behind the verb."""
    return verb.encode() + (b" " + argument if argument else b"")
