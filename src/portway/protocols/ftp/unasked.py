"""The verbs of FTP that no rule is ever asked about, and what to write instead.

Not here: what becomes of these verbs (login.py, answers.py, visit.py). Invariant: a
verb that is an exchange, or is one where a rule names it, is not listed here.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from portway.protocols.ftp.commands import VERBS, Kind

_LOGIN = 'a login to a server is asked for as "connect", before it'
_TLS = "TLS is between the client and the gateway; it is set with tls"
_ALWAYS = "leave it out"

_ASKED_OTHERWISE = {
    "USER": _LOGIN,
    "PASS": _LOGIN,
    "ACCT": _LOGIN,
    "REIN": f"a client may always log out; {_ALWAYS}",
    "QUIT": f"a client may always leave; {_ALWAYS}",
    "ABOR": f"a client may always end its own transfer; {_ALWAYS}",
}


def _unasked() -> Iterator[tuple[str, str]]:
    yield from _ASKED_OTHERWISE.items()
    for name, verb in VERBS.items():
        if verb.kind is Kind.SECURITY:
            yield name, _TLS
        elif verb.kind is Kind.NOT_OFFERED:
            yield name, f"it is never let through; {_ALWAYS}"


UNASKED: Mapping[str, str] = MappingProxyType(dict(_unasked()))
