"""Which rules an access may be about, found without trying them all.

Not here: what follows from it (rules.py). Invariant: no rule that matches is left out,
and of those that are found only paths and ports of targets, and unresolved networks,
are still in question.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from datetime import datetime, tzinfo
from typing import TypeVar

from portway.model import Access
from portway.policy.clients import Clients, Group
from portway.policy.match import Names, Place, Prefixes
from portway.policy.rule import Rule, deeds, reads_address

K = TypeVar("K", bound=Hashable)

A_MINUTE = 60  # seconds: schedules know no less
MOST_METHODS = 1000  # that are remembered: more than all protocols have


class Index:
    """For all that an access may hold, the rules that ask for it.

    A set of rules is an integer: bit n stands for the rule at place n. Ten thousand
    rules are 1250 bytes, which are joined and cut in less time than one rule takes.
    """

    __slots__ = (
        "_any_port",
        "_awake",
        "_clients",
        "_deeds",
        "_depth",
        "_doing",
        "_everyone",
        "_folders",
        "_groups",
        "_inside",
        "_listed_clients",
        "_lists",
        "_macs",
        "_names",
        "_networks",
        "_outside",
        "_ports",
        "_reads_paths",
        "_reads_ports",
        "_schedules",
        "_servers",
        "_users",
    )

    def __init__(self, rules: Sequence[Rule]) -> None:
        bits = [(1 << place, rule) for place, rule in enumerate(rules)]
        targets = [(bit, target) for bit, rule in bits for target in rule.to.all]
        places = _gather((target.place, bit) for bit, target in targets)
        self._outside = places.get(Place.OUTSIDE, 0)
        self._inside = places.get(Place.INSIDE, 0)
        reading = _gather((reads_address(target), bit) for bit, target in targets)
        self._networks = reading.get(True, 0)
        self._lists = _gather((t.listed, bit) for bit, t in targets if t.listed)
        self._everyone = sum(bit for bit, rule in bits if rule.who.everyone)
        self._read_clients(bits)
        self._schedules = _gather((rule.when, bit) for bit, rule in bits if rule.when)
        self._awake = (-1, 0)  # a minute, and the rules that may hold in it
        self._deeds = _gather((deed, bit) for bit, rule in bits for deed in rule.do)
        self._doing: dict[tuple[str, ...], int] = {}
        self._names = Names(
            _gather((t.name, bit) for bit, t in targets if t.place is Place.NAME)
        )
        self._servers = Prefixes(
            _gather((net, bit) for bit, target in targets for net in target.networks)
        )
        self._ports = _gather((target.port, bit) for bit, target in targets)
        self._folders = _gather(
            (t.path.folder if t.path else "", bit) for bit, t in targets
        )
        self._depth = max((f.count("/") for f in self._folders), default=0)
        self._any_port = self._ports.get(0, 0)
        self._reads_ports = self._ports.keys() != {0}
        self._reads_paths = self._folders.keys() != {""}

    def _read_clients(self, bits: Iterable[tuple[int, Rule]]) -> None:
        """Take up who is in which rules, by a group or by a word of their own."""
        groups: dict[str, Group] = {}
        named: defaultdict[str, int] = defaultdict(int)
        for bit, rule in bits:
            for group in rule.who.groups:
                groups[group.name] = group
                named[group.name] |= bit
        whose: list[tuple[int, Clients | Group]] = [(b, rule.who) for b, rule in bits]
        whose += [(named[name], group) for name, group in groups.items()]
        self._users = _gather((user, bit) for bit, who in whose for user in who.users)
        self._macs = _gather((mac, bit) for bit, who in whose for mac in who.macs)
        self._groups = _gather(
            (account_group, named[name])
            for name, group in groups.items()
            for account_group in group.groups
        )
        self._clients = Prefixes(
            _gather((net, bit) for bit, who in whose for net in who.networks)
        )
        self._listed_clients = _gather(
            (listed, bit) for bit, rule in bits for listed in rule.who.lists
        )

    def find(self, access: Access, now: float, *, inside: bool) -> tuple[int, int]:
        """Return the rules that may match *access*.

        First those that do so by what is known and by *inside*, then those whose
        networks decide, if there is no address.
        """
        asked = self._asking(access)
        # most rules ask for no port, for no path, and at any time
        if self._reads_ports:
            port = self._any_port
            if access.port in self._ports:
                port |= self._ports[access.port]
            asked &= port
        if self._reads_paths:
            asked &= self._under(access.path)
        if self._schedules:
            asked &= self._awake_at(now)
        if not asked:
            return 0, 0
        to = self._inside if inside else self._outside
        for bits in self._names.find(access.host):
            to |= bits
        for listed, bits in self._lists.items():
            if bits & asked & ~to and listed.has(access.host, access.address):
                to |= bits
        if access.address is None:
            return asked & to, asked & self._networks
        for bits in self._servers.find(access.address):
            to |= bits
        return asked & to, 0

    def _asking(self, access: Access) -> int:
        """Return the rules that are about the client, and about what it does."""
        who = self._everyone
        if access.user in self._users:
            who |= self._users[access.user]
        for bits in self._clients.find(access.client):
            who |= bits
        for listed, bits in self._listed_clients.items():
            if access.client in listed.ranges:
                who |= bits
        for group in access.groups:
            who |= self._groups.get(group, 0)
        if access.mac in self._macs:
            who |= self._macs[access.mac]
        what = access.protocol, access.method, access.action, access.also
        doing = self._doing.get(what)
        if doing is None:
            doing = 0
            for deed in deeds(access):
                doing |= self._deeds.get(deed, 0)
            if len(self._doing) < MOST_METHODS:
                self._doing[what] = doing
        return who & doing

    def _awake_at(self, now: float) -> int:
        """Return the rules whose times cover *now*, and those that have none.

        They are the same for a whole minute, and are remembered for it.
        """
        minute = int(now // A_MINUTE)
        known, awake = self._awake
        if known != minute:
            awake = -1
            moments: dict[tzinfo | None, datetime] = {}  # one, as it happens
            for schedule, bits in self._schedules.items():
                zone = schedule.zone
                if zone not in moments:
                    moments[zone] = datetime.fromtimestamp(now, zone)
                if not schedule.covers_local(moments[zone]):
                    awake &= ~bits
            self._awake = (minute, awake)  # at once: another thread may read it
        return awake

    def _under(self, path: str) -> int:
        """Return the rules with a pattern whose folder is *path* or above it."""
        found = self._folders.get("", 0)
        end = 0
        for _ in range(self._depth):
            end = path.find("/", end + 1)
            if end < 0:
                return found | self._folders.get(path, 0)
            found |= self._folders.get(path[:end], 0)
        return found


def _gather(pairs: Iterable[tuple[K, int]]) -> dict[K, int]:
    """Return, for each key, all the bits that stand beside it."""
    found: defaultdict[K, int] = defaultdict(int)
    for key, bits in pairs:
        found[key] |= bits
    return dict(found)
