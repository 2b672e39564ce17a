"""Through another FTP proxy: how it is told of the server, and of our login to it.

Those are the dialects by which clients name servers to us, spoken from the other end.

Not here: the connection to it, and what it may hear of the client's words (hearing.py).
Invariant: our login goes to the parent in no other line than those that its dialect has
for it.
"""

from portway.errors import ParentError
from portway.exchange import Exchange
from portway.lines import shown
from portway.model import Access, Endpoint, Outcome, Reason
from portway.net.parent import Parent
from portway.protocols.ftp.desk import State
from portway.protocols.ftp.dialects import PORT
from portway.protocols.ftp.dialogue import Reply
from portway.protocols.ftp.greeting import Greeting, login_rewrite
from portway.protocols.ftp.hearing import (
    account_refusal,
    command_refusal,
    user_refusal,
)
from portway.protocols.ftp.upstream import Upstream, verb_of
from portway.protocols.ftp.wire import Command

WHOLE_LOGIN = {"user@host", "site", "open"}  # whose own login comes first, if any


class Straight:
    """The other end of the control connection is the server itself."""

    __slots__ = ()

    async def introduce(
        self, upstream: Upstream, visit: Exchange, hello: Reply
    ) -> Reply:
        """Return what the client sees as the server's greeting, or a refusal.

        *hello* is what we were greeted with. Raises PortwayError.
        """
        del upstream, visit
        return hello

    async def ask(self, upstream: Upstream, visit: Exchange, line: bytes) -> Reply:
        """Send USER or PASS for the client; return the reply."""
        del visit
        return await upstream.ask(line)

    def unfit(self, command: Command, state: State, code: int) -> bytes | None:
        """Return why the other end must not hear *command*; None: it may.

        *code* is that of the last reply to a word of the login.
        """
        del command, state, code
        return None

    async def relay(
        self,
        upstream: Upstream,
        visit: Exchange,
        line: bytes,
        greeting: Greeting | None,
    ) -> int:
        """Send the client's USER, PASS or ACCT, and pass the reply on."""
        del visit
        return await upstream.relay(line, login_rewrite(verb_of(line), greeting))


class ByParent(Straight):
    """The other end is *parent*, which has to be told where we want to go."""

    __slots__ = ("_method", "_parent", "_password", "_user")

    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._method = parent.method
        login = parent.credentials
        self._user = login.user.encode(errors="surrogateescape") if login else b""
        self._password = (
            login.password.encode(errors="surrogateescape") if login else b""
        )

    async def introduce(
        self, upstream: Upstream, visit: Exchange, hello: Reply
    ) -> Reply:
        """Log in to the parent and name the server, as far as that comes first."""
        if hello.code >= 300:
            raise self._refused(f"it does not serve us: {words_of(hello)}")
        place = place_of(visit.access)
        if self._method == "proxyuser@host":
            await self._log_in(upstream, self._user + b"@" + place)
        elif self._user and self._method in WHOLE_LOGIN:
            await self._log_in(upstream, self._user)
        if self._method in {"site", "open"}:
            hello = await say(upstream, self._method.upper().encode() + b" " + place)
            if hello.code >= 300:
                text = f"the next proxy {self._parent.at}: {words_of(hello)}"
                visit.end(Outcome.FAILED, reason=Reason.VIA, error=text)
        return hello

    async def _log_in(self, upstream: Upstream, user: bytes) -> None:
        answer = await say(upstream, b"USER " + user)
        if answer.code == 331:
            answer = await say(upstream, b"PASS " + self._password)
        if not answer.good:
            text = f"it refuses the login: {words_of(answer)}"
            raise self._refused(text, "login")

    def _refused(self, words: str, fault: str = "parent") -> ParentError:
        return ParentError(Reason.VIA, self._parent.at, fault, words)

    def unfit(self, command: Command, state: State, code: int) -> bytes | None:
        """Keep what may name a server from the parent; see hearing.py."""
        if command.verb == "USER":
            return user_refusal(self._method, command.argument, state)
        if command.verb == "ACCT":
            return account_refusal(code)
        return command_refusal(command, state)

    async def ask(self, upstream: Upstream, visit: Exchange, line: bytes) -> Reply:
        """Send USER or PASS as the parent wants it."""
        answer = await upstream.ask(self._said(line, visit.access))
        if self._wants_account(line, answer.code):
            answer = await upstream.ask(b"ACCT " + self._password)
        return answer

    async def relay(
        self,
        upstream: Upstream,
        visit: Exchange,
        line: bytes,
        greeting: Greeting | None,
    ) -> int:
        """Send the client's words as the parent wants them, and pass the reply on."""
        if self._method != "acct" or verb_of(line) != "PASS":
            return await super().relay(
                upstream, visit, self._said(line, visit.access), greeting
            )
        answer = await upstream.ask(line)
        if self._wants_account(line, answer.code):
            return await upstream.relay(b"ACCT " + self._password)
        await upstream.answer(answer.text)
        return answer.code

    def _wants_account(self, line: bytes, code: int) -> bool:
        return self._method == "acct" and verb_of(line) == "PASS" and code == 332

    def _said(self, line: bytes, access: Access) -> bytes:
        """Return the client's *line* in the parent's dialect."""
        verb = verb_of(line)
        if verb == "USER":
            name = line.partition(b" ")[2]
            return b"USER " + name + self._behind_user(place_of(access))
        if verb == "PASS" and self._method == "joined":
            return line + b"@" + self._password
        return line

    def _behind_user(self, place: bytes) -> bytes:
        if self._method == "user@host":
            return b"@" + place
        if self._method == "joined":
            return b"@" + self._user + b"@" + place
        if self._method == "acct":
            return b"@" + place + b" " + self._user
        return b""


STRAIGHT = Straight()


def manner_of(parent: Parent | None) -> Straight:
    """Return how logins are said by way of *parent*."""
    return ByParent(parent) if parent is not None and parent.is_ftp else STRAIGHT


async def say(upstream: Upstream, line: bytes) -> Reply:
    """Say *line* before the dialogue begins; return the final reply.

    Raises PeerError or ProtocolError.
    """
    await upstream.stream.send(line + b"\r\n")
    return await upstream.greeting()


def place_of(access: Access) -> bytes:
    """Return the server as dialects have it: the port where it is another than 21."""
    port = 0 if access.port == PORT else access.port
    return str(Endpoint(access.host, port)).encode()


def words_of(reply: Reply) -> str:
    """Return the words of a reply, to be shown."""
    return f"{reply.code} {shown(reply.words)}"
