"""Who is an account of the gateway: the question, not the answers.

Not here: any source of accounts. Invariant: a source that cannot be asked says neither
right nor wrong.
"""

import unicodedata
from enum import Enum, auto
from typing import Protocol

from portway.model import Credentials

NAME_BYTES = 64
# what separates a name from a host, a port, a path or a comment
SEPARATORS = frozenset(":@/#%")


class Verification(Enum):
    """What a directory says to a login."""

    OK = auto()
    WRONG = auto()  # the account is there; the password is not its own, or it is off
    UNKNOWN = auto()  # there is no such account


class Directory(Protocol):
    """Tells right logins from wrong ones."""

    async def verify(self, credentials: Credentials) -> Verification:
        """Check *credentials*, in a time that does not tell unknown from wrong.

        Raises Refused LOGIN_UNAVAILABLE if nobody can be asked now.
        """

    async def knows(self, user: str) -> bool:
        """Say whether *user* is an account. Raises as `verify` does."""


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
