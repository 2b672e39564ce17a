"""The login to the gateway itself, as far as one client has come with it.

Not here: in which words a client gives it (login.py), and the accounts. Invariant: it
stands only for a password that the account store has just taken.
"""

from portway.lines import shown
from portway.protocols.ftp.desk import Desk
from portway.users.directory import Verification

NEVER_ACCOUNTS = {"", "anonymous", "ftp"}


class ProxyLogin:
    """Who the client is to the gateway. *need*: none, optional or required.

    *standing* says that the login counts for the next server too; one that came along
    with the name of a server counts for that server alone.
    """

    __slots__ = ("_desk", "_unknown", "need", "standing")

    def __init__(self, desk: Desk, need: str) -> None:
        self.need = need
        self.standing = False
        self._desk = desk
        self._unknown: bytes | None = None  # who is no account, and goes unrecorded

    @property
    def due(self) -> bool:
        """Whether the client must log in before a server is reached."""
        return self.need == "required" and not self.standing

    async def check(self, user: bytes, password: bytes) -> Verification:
        """Verify a login; where it is optional, only of a name that may be one."""
        if self.need == "none":
            return Verification.OK  # listed by hand: any password is taken
        if self.need == "optional" and (
            shown(user).lower() in NEVER_ACCOUNTS or not await self._desk.knows(user)
        ):
            return Verification.UNKNOWN
        return await self.verify(user, password)

    async def verify(self, user: bytes, password: bytes) -> Verification:
        """Verify a login that can be nothing else."""
        verified = await self._desk.verify(user, password)
        self._unknown = user if verified is Verification.UNKNOWN else None
        return verified

    async def refuse(self) -> None:
        """Tell the client that the login verified last is refused."""
        unknown, self._unknown = self._unknown, None
        await self._desk.refuse_login(unknown)

    def forget_passing(self) -> None:
        """Forget a login that came along with the name of another server."""
        if not self.standing:
            self._desk.forget_login()

    def forget(self) -> None:
        """Forget who the client is."""
        self.standing = False
        self._desk.forget_login()
