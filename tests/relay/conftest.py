from collections.abc import Iterator

import pytest

from portway.relay.pipes import Pipes
from tests.fds import nothing_left_open


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    """Pools for one test, after which nothing may be left open or lent."""
    with nothing_left_open():
        pipes = Pipes()
        yield pipes
        pipes.close()
        assert pipes.total == 0
        assert pipes._lent == 0
