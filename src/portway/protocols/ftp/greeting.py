"""A server's greeting, and how the client gets to see it.

The client connected to the gateway, so it has had its 220 when the server's comes.
After SITE and OPEN the greeting is the reply; before the reply to another command its
lines stand in front, as RFC 959, section 4.2, lets a reply have many.

Not here: waiting for it. Invariant: what comes out is always one whole reply.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Greeting:
    """The lines of a greeting as they came; *hidden* shows its last line at most."""

    text: bytes
    hidden: bool = False

    def as_reply(self) -> bytes:
        """Return it as the reply to SITE or OPEN, which clients want to be a 220."""
        lines = self.text.splitlines()
        last = b"220 " + lines[-1][4:]
        if self.hidden or len(lines) == 1:
            return last + b"\r\n"
        first = b"220-" + lines[0][4:]
        return b"\r\n".join([first, *lines[1:-1], last, b""])

    def in_front_of(self, reply: bytes) -> bytes:
        """Return *reply*, or its first line, with the greeting's lines before it."""
        if self.hidden:
            return reply
        lines = self.text.splitlines()
        first = reply[:3] + b"-" + lines[0][4:]
        return b"\r\n".join([first, *(b" " + line for line in lines[1:]), reply])
