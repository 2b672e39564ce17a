"""What one session has read and written last, so that it need not be made again.

Programs send the same fields with every request, and servers with many a reply. What is
the same, byte for byte, is understood in the same way.

Not here: reading (wire.py), writing (framing.py). Invariant: what is recalled is what
would be made anew; it belongs to one client's connection, and goes with it.
"""

from collections.abc import Hashable

from portway.model import Headers
from portway.protocols.http.wire import (
    CRLF,
    RequestHead,
    ResponseHead,
    parse_next,
    parse_request,
    parse_response,
)

MOST = 4096  # bytes of a head; longer ones are made anew

Asked = tuple[bytes, Headers | None, int]  # Host, the rule's fields, the minor version
Told = tuple[str, bool, int]  # the method, whether the connection stays, minor version


class Recall:
    """The last request and reply of one client. *ties*: see Turn."""

    __slots__ = (
        "_asked",
        "_fields",
        "_head",
        "_lines",
        "_reply",
        "_reply_block",
        "_request_lines",
        "_told",
        "_told_head",
        "ties",
    )

    def __init__(self) -> None:
        self.ties: set[Hashable] | None = None
        self._fields = b""  # of the last request
        self._head: RequestHead | None = None
        self._asked: Asked | None = None
        self._lines = b""  # which the server got then, from the first line's end on
        self._request_lines: object = None  # the fields that those were made of
        self._reply_block = b""
        self._reply: ResponseHead | None = None
        self._told: Told | None = None
        self._told_head = b""

    def request(self, block: bytes) -> RequestHead:
        """Read a request's head; see `parse_request`. Raises BadMessage."""
        end = block.find(CRLF)
        if self._head is not None and block[end:] == self._fields and end:
            return parse_next(block[:end], self._head)
        head = parse_request(block)
        if end and len(block) <= MOST:
            self._fields, self._head = block[end:], head
        else:
            self._fields, self._head = b"", None
        return head

    def reply(self, block: bytes, *, tolerant: bool) -> ResponseHead:
        """Read a reply's head; see `parse_response`. Raises BadMessage."""
        if self._reply is not None and block == self._reply_block:
            return self._reply
        head = parse_response(block, tolerant=tolerant)
        self._told = None
        if len(block) <= MOST and not tolerant:
            self._reply_block, self._reply = block, head
        else:
            self._reply_block, self._reply = b"", None
        return head

    def lines_for(self, head: RequestHead, asked: Asked) -> bytes:
        """Return what the server got when it was *asked* just so; empty: never."""
        if self._request_lines is head.fields and self._asked == asked:
            return self._lines
        return b""

    def asked(self, head: RequestHead, asked: Asked, sent: bytes) -> None:
        """Take note of what was *sent*: the whole head of a request with no body."""
        if len(sent) <= MOST:
            self._request_lines, self._asked = head.fields, asked
            self._lines = sent[sent.find(CRLF) :]

    def told_for(self, head: ResponseHead, told: Told) -> bytes:
        """Return what the client was told of this very reply; empty: nothing yet."""
        return self._told_head if self._reply is head and self._told == told else b""

    def told(self, head: ResponseHead, told: Told, sent: bytes) -> None:
        """Take note of what was *sent*: the whole head of a reply."""
        if self._reply is head:
            self._told, self._told_head = told, sent
