"""A server's no, on an errand.

Not here: what the client is told of it. Invariant: the server's words are no part of
the error's text, which may be shown: they may repeat a password.
"""

from portway.errors import PortwayError
from portway.model import Reason, Side
from portway.protocols.ftp.dialogue import Reply


class Said(PortwayError):  # noqa: N818 - it is an answer
    """The server said no: *reply* is what it answered *verb*."""

    def __init__(self, verb: str, reply: Reply) -> None:
        text = f"the server answers {verb} with {reply.code}"
        super().__init__(Side.SERVER, Reason.PROTOCOL, text)
        self.verb = verb
        self.reply = reply

    @property
    def denied(self) -> bool:
        """Whether its words speak of permission."""
        words = self.reply.text.lower()
        return b"denied" in words or b"permission" in words
