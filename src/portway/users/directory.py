"""Who is an account of the gateway: the question, not the answers.

Not here: any source of accounts. Invariant: a source that cannot be asked says neither
right nor wrong.
"""

import unicodedata
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from portway.errors import Refused
from portway.model import Credentials, Reason

NAME_BYTES = 64
# what separates a name from a host, a port, a path or a comment
SEPARATORS = frozenset(":@/#%")


class Verification(Enum):
    """What a directory says to a login."""

    OK = auto()
    WRONG = auto()  # the account is there; the password is not its own, or it is off
    UNKNOWN = auto()  # there is no such account


@dataclass(frozen=True, slots=True)
class Verified:
    """The answer to a login, by the *source* that decided.

    *user* is the account's name in normal form, *groups* are those that the source
    knows it in; both are empty unless the answer is OK. *stamp* is what a source knows
    a login again by, once it has been taken (see `Directory.renewed`); 0 where it
    cannot tell.
    """

    verification: Verification
    user: str = ""
    groups: frozenset[str] = frozenset()
    source: str = ""
    stamp: int = 0


UNKNOWN = Verified(Verification.UNKNOWN)


class Overloaded(Refused):
    """More logins at once than may wait: that says nothing of any source."""

    def __init__(self) -> None:
        super().__init__(Reason.LOGIN_UNAVAILABLE, "too many logins at once")


class Source(Protocol):
    """One place that keeps accounts: a file, a directory server, the system."""

    @property
    def name(self) -> str:
        """The source's word in ``[login] sources``."""

    async def verify(self, credentials: Credentials) -> Verified:
        """Check *credentials*, in a time that does not tell unknown from wrong.

        WRONG where the source cannot tell whether the account is there at all. Raises
        Refused LOGIN_UNAVAILABLE if it cannot be asked now; its `because` may say why
        in one line without a secret, for the log. `Overloaded` is for more logins
        than it can check. Nothing else is raised. It may be
        cancelled, and is when it takes longer than the chain allows.
        """

    async def knows(self, user: str) -> bool | None:
        """Say whether *user* is an account; None: that takes a password to tell.

        Raises as `verify` does.
        """

    async def renewed(self, verified: Verified) -> Verified | None:
        """Return *verified*, an OK of this source, as it would be now.

        None: it does not count any more, for its password is another, or the account
        is off, over, or gone. Asked before each request, so it must be cheap; a source
        that can only tell by a password returns what it was given. Raises nothing.
        """

    def close(self) -> None:
        """Let go of what is held; what is under way may still be answered."""


class Directory(Protocol):
    """Tells right logins from wrong ones."""

    async def verify(self, credentials: Credentials) -> Verified:
        """Check *credentials*, in a time that does not tell unknown from wrong.

        Raises Refused LOGIN_UNAVAILABLE if nobody can be asked now; Overloaded, which
        is one, if there are more logins than can be checked.
        """

    async def knows(self, user: str) -> bool:
        """Say whether *user* is an account. Raises as `verify` does.

        No, too, where that takes a password to tell.
        """

    async def renewed(self, verified: Verified) -> Verified | None:
        """Return a login that was taken as it is now; None: it does not count more."""

    def close(self) -> None:
        """Let go of what is held; what is under way may still be answered."""


def normal(name: str) -> str:
    """Return *name* in the one form that accounts and rules have it in: NFC."""
    return unicodedata.normalize("NFC", name)


def fault(name: str) -> str:
    """Say what is wrong with *name* as the name of an account; empty: nothing."""
    name = normal(name)
    if not name:
        return "a name may not be empty"
    if len(name.encode(errors="replace")) > NAME_BYTES:
        return f"a name may have at most {NAME_BYTES} bytes"
    if not SEPARATORS.isdisjoint(name):
        return "a name may not have any of : @ / # %"
    # Z: all that is blank; C: control, direction, bytes that were no UTF-8
    if any(unicodedata.category(sign)[0] in "ZC" for sign in name):
        return "a name may have no blank and no control character"
    return ""
