"""Whose a limit is, and what counts as one client.

Not here: what a limit allows. Invariant: whoever counts and whoever explains say the
same of a member; two members never have the same text.
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from portway.model import Access, IPAddress, Per

_NETWORK6 = ((1 << 64) - 1) << 64  # one household: it may use any address of it


class Kind(StrEnum):
    """What a member is."""

    USER = "user"
    CLIENT = "client"
    GROUP = "group"
    ALL = "all"  # whom the rule allows


@dataclass(frozen=True, slots=True)
class Member:
    """One of those who have a limit for themselves; as text, as ``who`` writes it."""

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        if self.kind is Kind.ALL:
            return "*"
        if self.kind is Kind.CLIENT:
            return self.name
        return f"{self.kind}:{self.name}"


def member_of(per: Per, access: Access, group: str) -> Member:
    """Return whose a limit that is *per* is for *access*; *group* is the verdict's."""
    if per is Per.RULE:
        return Member(Kind.ALL)
    if per is Per.GROUP and group:
        return Member(Kind.GROUP, group)
    if per is Per.USER and access.user:
        return Member(Kind.USER, access.user)
    client = access.client
    network = "" if isinstance(client, IPv4Address) else "/64"
    return Member(Kind.CLIENT, f"{place_of(client)}{network}")


def place_of(address: IPAddress) -> IPAddress:
    """Return what counts as one client: of IPv6, the first address of its /64."""
    if isinstance(address, IPv4Address):
        return address
    return IPv6Address(int(address) & _NETWORK6)
