"""Accounts that a RADIUS server answers for, by password (PAP).

Our own small client: those to be had do not demand that an answer be signed.

Not here: packets (radius_packet.py). Invariant: a packet that does not prove that it is
the answer changes nothing, but for the words of the error if none comes.
"""

import os
import secrets
import socket
from typing import TYPE_CHECKING

from portway.config.sources import Radius
from portway.model import Credentials, Endpoint
from portway.users import radius_packet as packets
from portway.users.asking import SECONDS, Asking, Unavailable, Until
from portway.users.directory import (
    UNKNOWN,
    Source,
    Verification,
    Verified,
    fault,
    normal,
)

NAME = "radius"
AGAIN = 1.0  # seconds until a request is repeated

_KINDS = {"class": packets.CLASS, "filter-id": packets.FILTER_ID}


class RadiusSource:
    """A source of accounts behind RADIUS servers, tried in their order.

    It cannot tell an unknown name from a wrong password, so it decides about whatever
    name it is asked for.
    """

    name = NAME

    def __init__(self, settings: Radius, *, seconds: float = SECONDS) -> None:
        self._servers = settings.servers
        secret = settings.secret.reveal()
        self._secret = secret.encode(errors="surrogateescape")
        self._identifier = settings.identifier.encode()
        self._groups = _KINDS.get(settings.groups)
        self._asking = Asking(NAME, seconds=seconds)

    async def verify(self, credentials: Credentials) -> Verified:
        """Check *credentials*; see `Source`."""
        if fault(credentials.user):
            return UNKNOWN
        user = normal(credentials.user)
        password = credentials.password.encode(errors="surrogateescape")
        # such a password cannot be sent: the end would be cut off, or nothing be left
        if not 0 < len(password) <= packets.PASSWORD or b"\0" in password:
            return Verified(Verification.WRONG, source=NAME)
        return await self._asking.ask(lambda until: self._verify(user, password, until))

    async def knows(self, user: str) -> bool | None:
        """Only a password tells."""
        return False if fault(user) else None

    async def renewed(self, verified: Verified) -> Verified:
        """Return *verified*: only a password tells."""
        return verified

    def close(self) -> None:
        """Let go of the threads."""
        self._asking.close()

    def _verify(self, user: str, password: bytes, until: Until) -> Verified:
        asked = packets.request(
            user.encode(),
            password,
            self._secret,
            self._identifier,
            identifier=secrets.randbelow(256),
            authenticator=os.urandom(16),
        )
        answer = self._answer(asked, until)
        if answer.code != packets.ACCEPT:  # a challenge is a no to us: RFC 2865, 4.4
            return Verified(Verification.WRONG, source=NAME)
        return Verified(
            Verification.OK, _name(answer, user), self._groups_of(answer), NAME
        )

    def _answer(self, asked: packets.Request, until: Until) -> packets.Answer:
        errors = []
        for count, server in enumerate(self._servers):
            share = until.share(len(self._servers) - count)
            try:
                return _ask(server, asked, share)
            except OSError as error:
                errors.append(f"{server}: {error.strerror or error}")
            except Unavailable as error:
                errors.append(f"{server}: {error}")
        raise Unavailable("; ".join(errors))

    def _groups_of(self, answer: packets.Answer) -> frozenset[str]:
        if self._groups is None:
            return frozenset()
        values = answer.values(self._groups)
        return frozenset(normal(value.decode(errors="replace")) for value in values)


def _name(answer: packets.Answer, user: str) -> str:
    """Return the name that the server has for *user*. RFC 2865, section 5.1."""
    names = answer.values(packets.USER_NAME)
    if not names:
        return user
    name = normal(names[0].decode(errors="replace"))
    if wrong := fault(name):
        raise Unavailable(f"the User-Name of the answer names no account: {wrong}")
    return name


def _ask(server: Endpoint, asked: packets.Request, until: Until) -> packets.Answer:
    """Send *asked* again and again, and return the answer."""
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    why = "no answer in time"
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(until.left())
        sock.connect((server.host, server.port))  # others are not heard
        while True:
            sock.send(asked.packet)
            again = Until(AGAIN)
            try:
                while True:
                    sock.settimeout(min(until.left(), again.left()))
                    try:
                        return packets.read_answer(sock.recv(65535), asked)
                    except ValueError as error:
                        why = str(error)
            except (TimeoutError, Unavailable):
                pass
            try:
                until.left()
            except Unavailable as error:
                raise Unavailable(why) from error


if TYPE_CHECKING:
    _: type[Source] = RadiusSource
