"""Feed a reader the same bytes in different pieces."""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import TypeVar

from portway.errors import ProtocolError

E = TypeVar("E")
Feed = Callable[[bytes], Iterable[E]]


def pieces(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """Cut *data* at each of *cuts* that lies within it."""
    places = sorted({0, len(data), *(cut for cut in cuts if 0 < cut < len(data))})
    for start, end in pairwise(places):
        yield data[start:end]


def events(feed: Feed[E], chunks: Iterable[bytes]) -> tuple[list[E], str]:
    """Return what came out of a reader, and the error that ended it."""
    found: list[E] = []
    try:
        for chunk in chunks:
            found.extend(feed(chunk))
    except ProtocolError as error:
        return found, str(error)
    return found, ""


def assert_same(one: tuple[list[E], str], other: tuple[list[E], str]) -> None:
    """Two ways to cut the same bytes must come to the same.

    Where the stream breaks off, what stood in the same piece before is lost; so one
    may have seen less than the other, but nothing else.
    """
    assert one[1] == other[1]
    shorter = min(len(one[0]), len(other[0]))
    assert one[0][:shorter] == other[0][:shorter]
    assert one[1] or len(one[0]) == len(other[0])
