"""Who a rule is about: users, groups, addresses, and link-layer addresses.

Not here: who the client is, which the gate knows, and whether the groups in a
configuration make sense (groups.py). Invariant: a client is in a group if one word of
it, or of a group in it, fits, or if its account belongs to one of these groups.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from portway.model import Access
from portway.policy.lists import NamedList
from portway.policy.match import Networks, Prefixes, read_networks

LATER = "is not available in this version"

_MAC = re.compile(r"[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}")
_EXAMPLE = '"mac:00:11:22:33:44:55"'


class By(Enum):
    """What a word of ``who`` or of ``members`` knows a client by."""

    EVERYONE = auto()
    USER = auto()
    GROUP = auto()
    MAC = auto()
    NETWORK = auto()
    LIST = auto()


@dataclass(frozen=True, slots=True)
class Client:
    """One word of ``who`` or of ``members``, as it was written and as it was read.

    *name* is that of the user, the group or the list, or the MAC address in small
    letters.
    """

    text: str
    by: By
    name: str = ""
    networks: Networks = ()
    listed: NamedList | None = None


class Group:
    """All who are in a group, those of the groups in it too.

    *groups* is its own name and those of all groups in it: whose account belongs to
    one of them is in this group.
    """

    __slots__ = ("_prefixes", "groups", "macs", "name", "networks", "users")

    def __init__(
        self, name: str, members: Iterable[Client] = (), groups: Iterable[str] = ()
    ) -> None:
        members = tuple(members)
        self.name = name
        self.groups = frozenset((name, *groups))
        self.users = names(members, By.USER)
        self.macs = names(members, By.MAC)
        self.networks = networks(members)
        self._prefixes = Prefixes(dict.fromkeys(self.networks, True))

    def has(self, access: Access) -> bool:
        """Say whether the client is in the group."""
        if access.user in self.users or access.mac in self.macs:
            return True
        if not self.groups.isdisjoint(access.groups):
            return True
        return bool(self._prefixes.find(access.client))


class Clients:
    """A rule's ``who``; *groups* are those that its words name, in their order."""

    __slots__ = (
        "_prefixes",
        "everyone",
        "groups",
        "lists",
        "macs",
        "networks",
        "text",
        "users",
        "words",
    )

    def __init__(self, words: Iterable[Client], groups: Mapping[str, Group]) -> None:
        self.words = tuple(words)
        self.text = tuple(word.text for word in self.words)
        self.everyone = any(word.by is By.EVERYONE for word in self.words)
        self.users = names(self.words, By.USER)
        self.macs = names(self.words, By.MAC)
        self.networks = networks(self.words)
        self.groups = tuple(
            groups[word.name] for word in self.words if word.by is By.GROUP
        )
        self.lists = tuple(w.listed for w in self.words if w.listed is not None)
        self._prefixes = Prefixes(dict.fromkeys(self.networks, True))

    @property
    def reads_macs(self) -> bool:
        """Whether one of them is known by a MAC address."""
        return bool(self.macs) or any(group.macs for group in self.groups)

    def include(self, access: Access) -> bool:
        """Say whether the client is one of them."""
        if self.everyone or access.user in self.users or access.mac in self.macs:
            return True
        if self._prefixes.find(access.client) or self.group_of(access):
            return True
        return any(access.client in listed.ranges for listed in self.lists)

    def group_of(self, access: Access) -> str:
        """Return the first of the groups that the client is in, or nothing."""
        return next((group.name for group in self.groups if group.has(access)), "")


def names(words: Iterable[Client], by: By) -> frozenset[str]:
    """Return the names of those *words* that know a client so."""
    return frozenset(word.name for word in words if word.by is by)


def networks(words: Iterable[Client]) -> Networks:
    """Return the networks of all *words*."""
    return tuple(network for word in words for network in word.networks)


def read_client(word: str) -> Client:
    """Read one word of ``who``. Raises ValueError, which names the cure."""
    if word == "*":
        return Client(word, By.EVERYONE)
    kind, colon, name = word.partition(":")
    if colon and kind in {"user", "group"}:
        if not name.strip():
            example = {"user": "alice", "group": "lab"}[kind]
            raise ValueError(f'"{kind}:" has no name: write "{kind}:{example}"')
        by = By.USER if kind == "user" else By.GROUP
        return Client(word, by, unicodedata.normalize("NFC", name))
    if colon and kind == "mac":
        return Client(word, By.MAC, read_mac(name))
    try:
        return Client(word, By.NETWORK, networks=read_networks(word))
    except ValueError as error:
        if _MAC.fullmatch(word.lower()):
            raise ValueError(f'"{word}": a MAC is written "mac:{word}"') from error
        if "." in word or ":" in word or "/" in word:
            raise
        raise ValueError(
            f'"{word}" is neither "*" nor an address: a user is written "user:{word}"'
            f', a group "group:{word}"'
        ) from error


def read_mac(text: str) -> str:
    """Return a MAC address in small letters and with colons. Raises ValueError."""
    mac = text.strip().lower()
    if not _MAC.fullmatch(mac):
        raise ValueError(f'"{text}" is not a MAC address; write it like {_EXAMPLE}')
    return mac.replace("-", ":")
