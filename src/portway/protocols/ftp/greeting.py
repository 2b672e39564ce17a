"""A server's greeting, and how the client gets to see it.

The client connected to the gateway, so it has had its 220 when the server's comes.
After SITE and OPEN the greeting is the reply; before the reply to another command its
lines stand in front, as RFC 959, section 4.2, lets a reply have many.

Not here: waiting for it. Invariant: what comes out is always one whole reply.
"""

from collections.abc import Callable
from dataclasses import dataclass

from portway.protocols.ftp.wire import ReplyLine


@dataclass(frozen=True, slots=True)
class Greeting:
    """The lines of a greeting as they came; *hidden* shows its last line at most."""

    text: bytes
    hidden: bool = False

    def as_reply(self) -> bytes:
        """Return it as the reply to SITE or OPEN, which clients want to be a 220."""
        lines = self.text.splitlines()
        code, last = lines[0][:3], lines[-1]
        if last.startswith(code):  # else the greeting was cut before its end
            last = last[4:]
        last = b"220 " + last
        if self.hidden or len(lines) == 1:
            return last + b"\r\n"
        first = b"220-" + lines[0][4:]
        inner = lines[1:-1]
        if code != b"220":
            inner = [beside(b"220", line) for line in inner]
        return b"\r\n".join([first, *inner, last, b""])

    def in_front_of(self, reply: bytes) -> bytes:
        """Return *reply*, or its first line, with the greeting's lines before it."""
        if self.hidden:
            return reply
        lines = self.text.splitlines()
        first = reply[:3] + b"-" + lines[0][4:]
        return b"\r\n".join([first, *(b" " + line for line in lines[1:]), reply])


def login_rewrite(
    verb: str, greeting: Greeting | None
) -> Callable[[ReplyLine], bytes] | None:
    """Return how the reply to a relayed USER, PASS or ACCT changes on its way.

    *greeting* goes before a reply that lets the client go on; a refusal is passed
    bare. Any success of USER is a 230, the only one that clients know.
    """
    if greeting is None and verb != "USER":
        return None

    def rewrite(line: ReplyLine) -> bytes:
        text = line.line
        outer = line.first or line.final
        if verb == "USER" and 200 <= line.code < 300 and line.code != 230:
            text = b"230" + text[3:] if outer else beside(b"230", text)
        if greeting is not None and line.first and 200 <= line.code < 400:
            text = greeting.in_front_of(text)
        return text

    return rewrite


def as_230(text: bytes, code: int) -> bytes:
    """Return a kept reply of *code* as 230, if it is another success."""
    if not 200 <= code < 300 or code == 230:
        return text
    first, *inner = text.splitlines(keepends=True)
    last = [b"230" + line[3:] for line in inner[-1:]]
    inner = [beside(b"230", line) for line in inner[:-1]]
    return b"".join([b"230" + first[3:], *inner, *last])


def beside(code: bytes, line: bytes) -> bytes:
    """Return an inner *line* so that it cannot end a reply that has become *code*'s.

    RFC 959, section 4.2: a line that begins with such a number has a blank before it.
    """
    return b" " + line if line.startswith(code) else line
