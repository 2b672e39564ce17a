"""What this process holds open, so that tests can see that nothing stays behind."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OPEN = Path("/proc/self/fd")


def open_files() -> Counter[str]:
    """Return how many descriptors there are of each kind: socket, pipe, a path."""
    kinds: Counter[str] = Counter()
    for link in OPEN.iterdir():
        try:
            kinds[str(link.readlink()).partition(":")[0]] += 1
        except FileNotFoundError:  # the one that lists the folder
            continue
    return kinds


@contextmanager
def nothing_left_open() -> Iterator[None]:
    """Fail if there are more or fewer descriptors after the block than before."""
    before = open_files()
    yield
    after = open_files()
    assert after == before, f"opened {after - before}, closed {before - after}"
