"""Line ends of text on its way: CR LF on the wire, LF in the files. RFC 959, 3.1.1.1.

Not here: deciding that it is text. Invariant: however the bytes are cut, the result is
the same.
"""


class ToWire:
    """LF becomes CR LF; a CR LF that is one already stays."""

    __slots__ = ("_after_return",)

    def __init__(self) -> None:
        self._after_return = False

    def feed(self, data: bytes) -> bytes:
        """Return what *data* is on the wire."""
        if not data:
            return b""
        kept = self._after_return and data[:1] == b"\n"
        self._after_return = data[-1:] == b"\r"
        if kept:
            return b"\n" + _with_returns(data[1:])
        return _with_returns(data)

    def end(self) -> bytes:
        """Return what is left at the end of the data."""
        return b""


class FromWire:
    """CR LF becomes LF; any other CR stays."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what *data* is in the file, as far as that can be told yet."""
        data = self._held + data
        self._held = b"\r" if data[-1:] == b"\r" else b""
        return data.removesuffix(b"\r").replace(b"\r\n", b"\n")

    def end(self) -> bytes:
        """Return what is left at the end of the data."""
        held, self._held = self._held, b""
        return held


class Unchanged:
    """Bytes are bytes."""

    __slots__ = ()

    def feed(self, data: bytes) -> bytes:
        """Return *data*."""
        return data

    def end(self) -> bytes:
        """Return nothing."""
        return b""


Lines = ToWire | FromWire | Unchanged


def _with_returns(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
