"""What the gateway answers a client by itself, without asking any server.

Not here: the login and data commands. Invariant: nothing is offered that a server
still to be named may lack.
"""

from collections.abc import Iterable, Sequence

from portway.protocols.ftp import replies
from portway.protocols.ftp.commands import Kind, kind_of
from portway.protocols.ftp.dialogue import Reply
from portway.protocols.ftp.wire import Command, multi_reply, reply

OURS = ("EPRT", "EPSV")  # features of the client's data leg, whatever the server has
# What a server's FEAT may name that ends at the gateway, or would go past it.
NOT_PASSED = frozenset(
    {
        "AUTH",
        "PBSZ",
        "PROT",
        "CCC",
        "ADAT",
        "EPRT",
        "EPSV",
        "CEPR",
        "CPSV",
        "SSCN",
        "LPRT",
        "LPSV",
    }
)
NAMING = {
    "user@host": "USER user@host",
    "site": "SITE host",
    "open": "OPEN host",
    "proxyuser@host": "USER proxyuser@host",
    "joined": "USER user@proxyuser@host, PASS password@proxypassword",
    "acct": "USER user@host proxyuser, PASS password, ACCT proxypassword",
    "colon": "USER proxyuser:user@host, PASS proxypassword:password",
    "resp": "USER user@host, PASS password, AUTH proxyuser, RESP proxypassword",
}


def everywhere(command: Command) -> bytes | None:
    """Return the answer to what no server ever gets to see, in any state."""
    if not command.verb:
        return reply(500, "No command.")
    kind = kind_of(command)
    if kind is Kind.NOT_OFFERED:
        return replies.NOT_OFFERED
    return None


class Waiting:
    """The answers to a client that has not named its server yet.

    *ours* are more lines for FEAT: what the client's side offers beside data.
    """

    __slots__ = ("_host", "_methods", "_options", "_ours")

    def __init__(self, methods: tuple[str, ...], ours: Sequence[bytes] = ()) -> None:
        self._methods = methods
        self._ours = ours
        self._host = b""
        self._options: tuple[bytes, ...] = ()

    def forget(self) -> None:
        """Believe nothing of what was said up to now."""
        self._host, self._options = b"", ()

    def answer(self, command: Command) -> bytes | None:
        """Return the answer to *command*; None: a server would be needed for it."""
        verb, argument = command.verb, command.argument
        if verb == "OPTS":
            return self._opts(command)
        if verb == "LANG":
            return reply(200 if argument.lower() in {b"", b"en"} else 504, "LANG en.")
        if verb == "CLNT":
            self._remember(command.line)
            return reply(200, "Noted.")
        if verb == "HOST":
            self._host = argument
            return reply(220, "Host noted.")
        fixed = {
            "FEAT": features((b"UTF8",), self._ours),
            "SYST": reply(215, "UNIX Type: L8"),
            "NOOP": reply(200, "OK."),
            "STAT": reply(211, "No server is named."),
        }
        if verb == "HELP":
            return self._help()
        return fixed.get(verb)

    def _opts(self, command: Command) -> bytes:
        if command.argument.upper().split() not in ([b"UTF8", b"ON"], [b"UTF8"]):
            return reply(501, "Option not known.")
        self._remember(command.line)
        return reply(200, "UTF8 noted.")

    def _remember(self, line: bytes) -> None:
        if line not in self._options and len(self._options) < 2:
            self._options += (line,)

    def _help(self) -> bytes:
        lines = [NAMING[method] for method in self._methods]
        return multi_reply(214, "Name the server in one of these ways:", lines, "End.")

    def before_login(self, host: str) -> Iterable[bytes]:
        """Yield what to tell the server *host* before USER."""
        if self._host.lower() == host.encode():
            yield b"HOST " + self._host

    def after_login(self) -> Iterable[bytes]:
        """Yield what to tell a server right after the login."""
        return self._options


def features(lines: Iterable[bytes], more: Sequence[bytes] = ()) -> bytes:
    """Return the reply to FEAT: a server's *lines*, without codes, ours, and *more*.

    RFC 2389, section 3.
    """
    passed = [line for line in lines if _passes(line)]
    ours = [word.encode() for word in OURS]
    return multi_reply(211, "Features:", [*passed, *ours, *more], "End")


def _passes(line: bytes) -> bool:
    words = line.upper().split()
    if not words or words[0].decode("ascii", "replace") in NOT_PASSED:
        return False
    return words[:2] != [b"MODE", b"Z"]


def features_of(answer: Reply, more: Sequence[bytes] = ()) -> bytes:
    """Return the client's reply to FEAT, from the server's, with *more* of ours."""
    lines = answer.text.splitlines()[1:-1] if answer.good else []
    return features((line.strip() for line in lines), more)
