"""Whether a rule lets everyone go anywhere, which makes a proxy an open one.

Not here: which listeners strangers can reach, and whether they must log in. Invariant:
what counts is the addresses, however they were written: half of all that there are is
everyone.
"""

from collections.abc import Iterable, Iterator

from portway.policy.clients import Clients
from portway.policy.lists import Ranges
from portway.policy.match import Networks, Place, Target
from portway.policy.rule import Rule

# Half of the addresses in use: of IPv6, they all begin with 2000::/3.
_HALVES = {4: 1 << 31, 6: 1 << 124}


def open_rule(rules: Iterable[Rule]) -> Rule | None:
    """Return the first rule that lets everyone go anywhere, if there is one."""
    return next(
        (
            rule
            for rule in rules
            if rule.allows and is_everyone(rule.who) and is_anywhere(rule.to.all)
        ),
        None,
    )


def is_everyone(who: Clients) -> bool:
    """Say whether *who* is half of all clients or more, by their addresses."""
    if who.everyone:
        return True
    networks = (*who.networks, *(net for one in who.groups for net in one.networks))
    return _is_half(networks, [listed.ranges for listed in who.lists])


def is_anywhere(targets: Iterable[Target]) -> bool:
    """Say whether *targets* are half of all servers or more."""
    targets = tuple(targets)
    if any(one.place is Place.OUTSIDE for one in targets):
        return True
    networks = tuple(net for one in targets for net in one.networks)
    return _is_half(networks, [one.listed.ranges for one in targets if one.listed])


def _is_half(networks: Networks, ranges: Iterable[Ranges]) -> bool:
    ranges = tuple(ranges)
    for version, half in _HALVES.items():
        spans = [
            (int(network.network_address), int(network.broadcast_address))
            for network in networks
            if network.version == version
        ]
        spans += (span for one in ranges for span in one.spans(version))
        if sum(_sizes(spans)) >= half:
            return True
    return False


def _sizes(spans: list[tuple[int, int]]) -> Iterator[int]:
    """Yield how many addresses each of *spans* adds to those before it."""
    reached = -1
    for first, last in sorted(spans):
        if last > reached:
            yield last - max(first, reached + 1) + 1
            reached = last
