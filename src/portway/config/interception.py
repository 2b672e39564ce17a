"""The table of interception: ``[ca]``.

Not here: the authority itself (net.authority). Invariant: each word of *permitted* that
was taken is a domain or a network, as a certificate can have it.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Literal

from msgspec import Struct

from portway.config.locate import Path
from portway.config.report import quoted

_DOMAIN = re.compile(r"(?=.{1,253}\Z)([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")


class Ca(Struct, frozen=True, kw_only=True):
    """``[ca]``: what clients are shown in place of a server's certificate, and when.

    *permitted* are the domains, with all below, and the networks that are opened at
    all. *bad_certificate*: what a client gets whose server cannot be trusted.
    *client_certificate*: what becomes of servers that ask for one of the client's.
    *pinned*: whether hosts stay closed to a client that took no certificate of ours.
    """

    permitted: tuple[str, ...] = ()
    bad_certificate: Literal["page", "cut"] = "page"
    client_certificate: Literal["deny", "tunnel"] = "deny"
    pinned: Literal["report", "tunnel"] = "report"

    def problems(self) -> Iterable[tuple[Path, str]]:
        """Yield what is wrong: a key within the table, and why."""
        for place, word in enumerate(self.permitted):
            why = _fault(word)
            if not why and word in self.permitted[:place]:
                why = "is there twice; take one out"
            if why:
                yield ("permitted", place), f"{quoted(word)} {why}"


def _fault(word: str) -> str:
    """Say why *word* is neither a domain nor a network; empty: it is one."""
    try:
        network = ip_network(word)
    except ValueError:
        network = None
    if network is not None:
        exact = str(network)
        return "" if word == exact else f"is a network; write {quoted(exact)}"
    bare = word.lower().removeprefix("*").strip(".")
    if _DOMAIN.fullmatch(word) and not word.rpartition(".")[2].isdigit():
        return ""
    if _DOMAIN.fullmatch(bare) and not bare.rpartition(".")[2].isdigit():
        return f"is no domain; {quoted(bare)} is one, and stands for all below it too"
    return 'is neither a domain, as "example.org", nor a network, as "10.0.0.0/8"'
