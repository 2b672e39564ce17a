"""The rules' word on one access, and on where it leads: inside, to ourselves.

Not here: resolving names, and what a verdict does. Invariant: whoever asks for a live
request, and whoever asks about a recorded one, hears the same.
"""

from collections.abc import Callable
from dataclasses import replace

from portway.model import Access, IPAddress, Reason, Verdict
from portway.net.doors import Doors
from portway.net.guard import is_inside, is_inside_name
from portway.policy.rules import Ruleset

# SOCKS's method that asks whether datagrams may be sent at all: its door says so, and
# rules say where to.
BY_LISTENER = "ASSOCIATE"


def judge(  # noqa: PLR0913 - all that a verdict depends on
    rules: Ruleset,
    doors: Doors,
    access: Access,
    now: float,
    is_ours: Callable[[IPAddress], bool],
    *,
    by_name: bool = False,
) -> Verdict:
    """Return what *rules* say to *access* at *now*, in seconds since the epoch.

    *is_ours* says whether an address is this machine's, which is as good as inside.
    *by_name*: a name is all that will ever be known, since another proxy resolves it.
    Raises NeedsAddress if the answer depends on an address that is not known; Refused,
    BUSY, if there is no descriptor to find out with.
    """
    if access.method == BY_LISTENER:
        return Verdict(allowed=True)
    address = access.address
    if address is None and by_name:
        inside = is_inside_name(access.host)
        verdict = rules.decide_by_name(access, now, inside=inside)
        if verdict.reason is Reason.DEFAULT and inside:
            return replace(verdict, reason=Reason.INSIDE)
        return verdict
    if address is None:
        return rules.decide(access, now)
    if doors.is_ours(address, access.port):
        verdict = rules.decide(access, now)
        return replace(verdict, allowed=False, reason=Reason.LOOP)
    inside = is_inside(address)
    ours = not inside and is_ours(address)
    verdict = rules.decide(access, now, ours=ours)
    if verdict.reason is Reason.DEFAULT and (inside or ours):
        return replace(verdict, reason=Reason.INSIDE)
    return verdict
