"""How far one client has come on its way to a server.

Not here: the words that move it on: names (login.py), passwords (passwords.py).
Invariant: where a server is reached, or left, what was said before it was named is
forgotten with that.
"""

from portway.model import Endpoint
from portway.protocols.ftp import replies
from portway.protocols.ftp.desk import Desk, How, Kept, State, Target
from portway.protocols.ftp.dialects import PORT, BadTarget, Candidate, split_place
from portway.protocols.ftp.proxylogin import ProxyLogin
from portway.protocols.ftp.serverlogin import ServerLogin


class Approach:
    """What one client has said up to now, and what is done about it.

    *before* is the state while no server is connected. *kept* is a login that may be
    a server's, *noted* a server to be reached once the password is right, and
    *candidates* are the readings of a USER between which the password decides.
    *word_ignored* says that a word stood behind the place, which was not for us.
    *fixed* says that the door leads to a server by itself; *port* is where a server
    listens whose port the client does not name.
    """

    __slots__ = (
        "before",
        "candidates",
        "desk",
        "fixed",
        "kept",
        "noted",
        "port",
        "proxy",
        "server",
        "word_ignored",
    )

    def __init__(
        self, desk: Desk, need: str, *, fixed: bool = False, port: int = PORT
    ) -> None:
        self.desk = desk
        self.fixed = fixed
        self.port = port
        self.server = ServerLogin(desk)
        self.proxy = ProxyLogin(desk, need)
        self.before = State.START
        self.kept: Kept | None = None
        self.noted: Target | None = None
        self.candidates: tuple[Candidate, ...] = ()
        self.word_ignored = False

    @property
    def state(self) -> State:
        """Where the dialogue stands."""
        return self.server.state or self.before

    @property
    def at_rest(self) -> State:
        """The state in which nothing has been said of a server."""
        return State.READY if self.proxy.standing else State.START

    def wait_for_password(self, candidates: tuple[Candidate, ...] = ()) -> None:
        """A USER was heard; its PASS will decide between *candidates*, if any."""
        self.candidates, self.before = candidates, State.PASSWAIT

    async def read_place(self, argument: bytes) -> Endpoint | None:
        """Read a place; None: the client was told that it is none."""
        try:
            return split_place(argument, self.port)
        except BadTarget:
            await self.desk.tell(replies.BAD_PLACE)
            return None

    async def name_by(self, how: How, argument: bytes) -> None:
        """SITE, OPEN or ACCT names a server: reach it, and show its greeting."""
        place = await self.read_place(argument)
        if place is None:
            return
        target = Target(place, how)
        if self.proxy.due:
            self.noted = target
            await self.desk.tell(replies.NOTED)
            return
        kept = self.kept if self.before is State.READY else None
        connected = self.state.has_server
        self.proxy.forget_passing()
        if not await self.reach(target):
            return
        if kept is not None and not connected and not self.proxy.standing:
            self.server.arm(kept)
        await self.server.show_greeting()

    async def reach(self, target: Target) -> bool:
        """Connect to *target*; if that fails, the client knows and may try again."""
        self.candidates = ()
        self.noted = None
        self.word_ignored = False
        if not await self.server.reach(target):
            if self.before is not State.READY:
                self.before = self.at_rest
            return False
        self.kept = None
        self.before = self.at_rest
        return True

    async def leave_server(self) -> None:
        """Forget the target; what the client is to the proxy stays."""
        await self.server.leave()
        self.before = self.at_rest
        self.noted = None

    async def forget_words(self) -> bool:
        """What was said in clear counts no more; a login that was verified does.

        So does the name of the server. False: it could not be reached anew, where that
        had to be, and the client was told.
        """
        self.kept, self.candidates, self.word_ignored = None, (), False
        if self.noted is not None and self.noted.how is How.PROXYUSER:
            self.noted = None  # who was to log in there was said in clear, too
        self.before = self.at_rest
        return await self.server.forget_words()

    async def refuse_login(self) -> None:
        """Refuse the proxy login that was verified last."""
        self.before = self.at_rest
        self.kept, self.candidates = None, ()
        self.proxy.forget_passing()
        await self.proxy.refuse()

    async def start_again(self) -> None:
        """REIN: forget all of it."""
        self.proxy.forget()
        await self.leave_server()
        self.kept, self.candidates = None, ()
