"""BER, as far as LDAP goes: definite lengths, tags of one byte. RFC 4511, 5.1.

Not here: messages. Invariant: whatever bytes are read, the only error is ValueError.
"""

BOOLEAN = 0x01
INTEGER = 0x02
OCTETS = 0x04
ENUMERATED = 0x0A
SEQUENCE = 0x30
SET = 0x31


def element(tag: int, *parts: bytes) -> bytes:
    """Return an element of *parts*."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def number(value: int, tag: int = INTEGER) -> bytes:
    """Return a whole number that is not negative."""
    return element(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def flag(*, value: bool) -> bytes:
    """Return a boolean."""
    return element(BOOLEAN, b"\xff" if value else b"\0")


def total(data: bytes) -> int | None:
    """Return the size of the element that *data* begins with; None: more is needed.

    Raises ValueError if it begins with none.
    """
    if len(data) < 2:
        return None
    if data[1] < 0x80:
        return 2 + data[1]
    count = data[1] & 0x7F
    if not 0 < count <= 4:
        raise ValueError("a length of no use")
    if len(data) < 2 + count:
        return None
    return 2 + count + int.from_bytes(data[2 : 2 + count], "big")


class Reader:
    """Reads the elements of *data* one by one."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def next(self) -> tuple[int, bytes]:
        """Return the next element's tag and content. Raises ValueError."""
        begin = self._data[self._at : self._at + 6]
        size = total(begin)
        if size is None or self._at + size > len(self._data):
            raise ValueError("an element is cut")
        head = 2 if begin[1] < 0x80 else 2 + (begin[1] & 0x7F)
        content = self._data[self._at + head : self._at + size]
        self._at += size
        return begin[0], content

    def take(self, tag: int) -> bytes:
        """Return the content of the next element, which has *tag*."""
        found, content = self.next()
        if found != tag:
            raise ValueError(f"tag {found:#x} in the place of {tag:#x}")
        return content

    def take_number(self, tag: int = INTEGER) -> int:
        """Return the next element as a number."""
        return int.from_bytes(self.take(tag), "big", signed=True)
