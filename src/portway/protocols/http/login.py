"""Proxy logins: Basic, RFC 7617, on every request.

A pair that was verified is remembered for a while, under a keyed hash: checking one
takes 25 ms and more, and browsers send theirs each time.

Not here: checking a pair (the gate). Invariant: no password is kept, and no login opens
anything to a request that does not carry it.
"""

import asyncio
import binascii
import hmac
import os
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portway.errors import PortwayError, Refused
from portway.model import Access, Credentials, Reason, read_address
from portway.policy.rule import Condition, Rule, deeds
from portway.protocols.http.methods import action_of, naming_of
from portway.users.directory import Verification, Verified

if TYPE_CHECKING:
    from portway.protocols.http.turn import Turn

KEPT = 300.0  # seconds
MOST = 4096  # pairs
LONGEST = 4096  # bytes of a field that are looked at


def read_basic(field: bytes) -> Credentials | None:
    """Return the login in the value of an Authorization field, if it is a Basic one.

    RFC 7617, section 2: user, colon, password, in UTF-8; Latin-1 where it is not.
    """
    scheme, _, encoded = field.partition(b" ")
    if scheme.lower() != b"basic" or len(field) > LONGEST:
        return None
    try:
        pair = binascii.a2b_base64(encoded.strip(), strict_mode=True)
    except ValueError:
        return None
    user, colon, password = pair.partition(b":")
    if not colon or not user:
        return None
    return Credentials(_text(user), _text(password))


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


@dataclass(frozen=True, slots=True)
class _Kept:
    login: Verified
    until: float


class Logins:
    """The logins of one door that were verified lately."""

    __slots__ = ("_kept", "_key")

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def known(self, field: bytes, now: float) -> tuple[Verified, float] | None:
        """Return the login that *field* was verified as, and until when that counts."""
        name = self._name(field)
        kept = self._kept.get(name)
        if kept is None:
            return None
        if kept.until <= now:
            del self._kept[name]
            return None
        return kept.login, kept.until

    def keep(self, field: bytes, login: Verified, now: float) -> float:
        """Remember that *field* is *login*; return until when, in the time of *now*."""
        name = self._name(field)
        self._kept[name] = _Kept(login, now + KEPT)
        self._kept.move_to_end(name)
        if len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return now + KEPT

    def forget(self, field: bytes) -> None:
        """Take *field* for unknown again."""
        self._kept.pop(self._name(field), None)

    def _name(self, field: bytes) -> bytes:
        return hmac.digest(self._key, field, "sha256")


def would_help(turn: "Turn", error: PortwayError) -> bool:
    """Say whether a login may open what *error* refuses to somebody unknown.

    That is, whether a rule before the one that decided allows it to accounts.
    """
    gate, target = turn.gate, turn.target
    if turn.house.login != "optional" or gate.identity.user:
        return False
    if not isinstance(error, Refused) or error.verdict is None:
        return False
    naming = naming_of(target.scheme)
    access = Access(
        protocol="http",
        client=gate.address,
        user="",
        action=action_of(turn.head.method),
        method=turn.head.method,
        host=target.host,
        port=target.port,
        address=read_address(target.host),
        path=target.view,
        scheme=naming.scheme,
    )
    now, decided = gate.services.clock(), error.verdict
    for rule in gate.services.rules.rules:
        if (rule.name, rule.where) == (decided.rule, decided.rule_at):
            return False
        if rule.allows and _opens_to_accounts(rule, access, now):
            return True
    return False


def _opens_to_accounts(rule: Rule, access: Access, now: float) -> bool:
    who = rule.who
    if who.include(access) or not (who.users or who.groups):
        return False
    if rule.do.isdisjoint(deeds(access)):
        return False
    if rule.when is not None and not rule.when.covers(now):
        return False
    mismatch = rule.to.mismatch(access, inside=False)
    return mismatch is None or mismatch is Condition.ADDRESS


Said = tuple[bytes, float]  # what a client sent, and until when that counts
NOTHING: Said = (b"", 0.0)


async def log_in(turn: "Turn", before: Said) -> Said:
    """Log the client of *turn* in, as its request says; *before* is what held so far.

    Raises Refused, with its record left.
    """
    gate, house = turn.gate, turn.house
    said = turn.head.known.get(house.login_field)
    now = asyncio.get_running_loop().time()
    if said is None:
        gate.log_out()
        if house.login == "required":
            refused = Refused(Reason.LOGIN)
            gate.leave(refused, "LOGIN")
            raise refused
        return NOTHING
    if said == before[0] and now < before[1] and gate.taken is not None:
        return before
    gate.log_out()
    kept = house.logins.known(said, now)
    if kept is not None:
        gate.take(kept[0])
        if await gate.renew():
            return said, kept[1]
        gate.log_out()
        house.logins.forget(said)
    return await _verify(turn, said, now)


async def _verify(turn: "Turn", said: bytes, now: float) -> Said:
    gate, house = turn.gate, turn.house
    credentials = read_basic(said)
    if credentials is None:
        refused = Refused(Reason.LOGIN)
        gate.leave(refused, "LOGIN")
        raise refused
    verification = await gate.login(credentials)
    if verification is Verification.UNKNOWN:
        await gate.refuse_unknown(credentials.user)
    if verification is not Verification.OK or gate.taken is None:
        raise Refused(Reason.LOGIN_WRONG)
    return said, house.logins.keep(said, gate.taken, now)
