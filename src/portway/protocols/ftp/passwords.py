"""Passwords, before a server or for it: PASS, ACCT, and AUTH with RESP.

Not here: the names that they go with (login.py), and checking them (proxylogin.py).
Invariant: a password goes to the store or to the server, as the dialect says, and
never to both.
"""

from dataclasses import replace

from portway.protocols.ftp import replies
from portway.protocols.ftp.approach import Approach
from portway.protocols.ftp.desk import (
    How,
    Kept,
    Replay,
    State,
    Target,
    fixed_target,
)
from portway.protocols.ftp.dialects import Candidate
from portway.protocols.ftp.wire import Command
from portway.users.directory import Verification

TLS_WORDS = {b"TLS", b"SSL", b"TLS-C", b"TLS-P"}
LATER = {
    "acct": (State.ACCTWAIT, replies.SEND_ACCT),
    "resp": (State.HELD, replies.HELD),
}


class Passwords:
    """The passwords of one client's *approach*; *opens*: ACCT may name a server."""

    __slots__ = ("_approach", "_desk", "_opens", "_proxy", "_proxy_user", "_server")

    def __init__(self, approach: Approach, *, opens: bool) -> None:
        self._approach = approach
        self._desk = approach.desk
        self._proxy = approach.proxy
        self._server = approach.server
        self._opens = opens
        self._proxy_user = b""  # given by AUTH, waits for RESP

    # PASS.

    async def password(self, argument: bytes) -> None:
        """PASS, whoever it is for."""
        approach, server = self._approach, self._server
        noted = approach.noted
        if server.replay is Replay.DONE:
            await server.password_after_replay(argument)
        elif approach.state.has_server:
            await server.relay_password("PASS", argument)
        elif approach.state is not State.PASSWAIT:
            await self._desk.tell(replies.SEND_USER_FIRST)
        elif approach.candidates:
            await self._decide(argument)
        elif noted is not None and noted.how is How.PROXYUSER:
            await self._named_by_nobody(noted, argument)
        else:
            await self._plain(argument)

    async def _plain(self, password: bytes) -> None:
        approach = self._approach
        kept = approach.kept or Kept(b"anonymous", nameless=True)
        if self._proxy.need != "none" and not self._proxy.standing:
            verified = await self._proxy.check(kept.user, password)
            if verified is Verification.OK:
                self._proxy.standing = True
                approach.kept = None
                await self._proxy_login_done(kept.user)
                return
            if verified is Verification.WRONG or self._proxy.need == "required":
                await approach.refuse_login()
                return
        approach.kept = replace(kept, password=password)
        approach.before = State.READY
        await self._desk.tell(replies.LOGIN_OK)

    async def _proxy_login_done(self, user: bytes) -> None:
        """The proxy knows *user*; a server known by now is dialled."""
        self._approach.before = State.READY
        noted = self._approach.noted
        if noted is None and self._approach.fixed:
            noted = fixed_target(user)
        if noted is None:
            await self._desk.tell(replies.LOGIN_OK)
        elif await self._approach.reach(noted):
            await self._server.tell_with_greeting(replies.LOGIN_OK)

    async def _named_by_nobody(self, target: Target, password: bytes) -> None:
        """The PASS after ``USER @host``."""
        if await self._approach.reach(target):
            self._server.arm(Kept(b"anonymous", password, nameless=True))
            await self._server.tell_with_greeting(replies.LOGIN_OK)

    async def _decide(self, words: bytes) -> None:
        """Try each way to read USER and PASS together; the first that holds wins."""
        self._proxy.forget_passing()
        for candidate in self._approach.candidates:
            password, proxy_password = candidate.split_password(words)
            if candidate.method in LATER:
                await self._wait_for_proxy_password(candidate, words)
                return
            if candidate.method == "user@host":
                await self._enter(candidate, words)
                return
            if proxy_password is None:
                continue
            verified = await self._proxy.check(candidate.account, proxy_password)
            if verified is Verification.OK:
                await self._proxy_password_held(candidate, password)
                return
            if verified is Verification.WRONG:
                break
        await self._approach.refuse_login()

    async def _proxy_password_held(
        self, candidate: Candidate, password: bytes | None
    ) -> None:
        if candidate.method != "proxyuser@host":
            await self._enter(candidate, password or b"")
            return
        self._proxy.standing = self._proxy.need != "none"
        if await self._approach.reach(Target(candidate.place, How.PROXYUSER)):
            await self._server.tell_with_greeting(replies.LOGIN_OK)

    async def _enter(self, candidate: Candidate, password: bytes) -> None:
        """Connect to the candidate's server and log in there for the client."""
        target = Target(candidate.place, How.AT)
        if not candidate.place.host:
            target = fixed_target(candidate.user)
        if await self._approach.reach(target):
            await self._server.speak_for(candidate.user, password)

    # A proxy password that comes after the server's.

    async def _wait_for_proxy_password(
        self, candidate: Candidate, password: bytes
    ) -> None:
        approach = self._approach
        approach.candidates = (candidate,)
        approach.kept = Kept(candidate.user, password)
        approach.before, answer = LATER[candidate.method]
        await self._desk.tell(answer)

    async def account(self, argument: bytes) -> None:
        """ACCT: a proxy password, the name of a server, or the server's own."""
        approach = self._approach
        state = approach.state
        if state is State.ACCTWAIT:
            await self._proxy_password_comes(approach.candidates[0].account, argument)
        elif state is State.READY and self._opens:
            await self._account_names(argument)
        elif not state.has_server:
            await self._desk.tell(replies.SEND_USER_FIRST)
        elif approach.word_ignored and state is not State.NAMED:
            await self._desk.tell(replies.ACCT_NOT_NEEDED)
        else:
            await self._server.relay_password("ACCT", argument)

    async def _account_names(self, argument: bytes) -> None:
        """``USER u``, ``PASS p``, ``ACCT host``."""
        approach = self._approach
        self._proxy.forget_passing()
        kept = approach.kept
        if kept is None:  # it was a proxy login
            await approach.name_by(How.OPEN, argument)
            return
        place = await approach.read_place(argument)
        if place is not None and await approach.reach(Target(place, How.OPEN)):
            await self._server.speak_for(kept.user, kept.password or b"")

    async def held(self, command: Command) -> bool:
        """AUTH and RESP, or their SITE forms, after a login that is held."""
        verb, argument = command.verb, command.argument
        if verb == "SITE":
            word, _, argument = argument.partition(b" ")
            verb = {b"AUTHENTICATE": "AUTH", b"RESPONSE": "RESP"}.get(word.upper(), "")
        elif verb == "AUTH" and argument.upper() in TLS_WORDS:
            return False
        if verb == "AUTH":
            self._proxy_user = argument
            await self._desk.tell(replies.SEND_RESP)
        elif verb == "RESP" and self._proxy_user:
            user, self._proxy_user = self._proxy_user, b""
            await self._proxy_password_comes(user, argument, stands=True)
        else:
            await self._desk.tell(replies.SEND_AUTH_FIRST)
        return True

    async def _proxy_password_comes(
        self, user: bytes, password: bytes, *, stands: bool = False
    ) -> None:
        """The proxy's password comes after the server's, which was kept."""
        candidate, kept = self._approach.candidates[0], self._approach.kept
        verified = await self._proxy.verify(user, password)
        if verified is not Verification.OK or kept is None:
            await self._approach.refuse_login()
            return
        self._proxy.standing = self._proxy.standing or stands
        await self._enter(candidate, kept.password or b"")
