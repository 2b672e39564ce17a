import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from tests.fds import nothing_left_open

from portway.relay.pipes import Pipes


@contextmanager
def pools() -> Iterator[Pipes]:
    """Pools for one test, after which nothing may be left open or lent."""
    with nothing_left_open():
        pipes = Pipes()
        yield pipes
        pipes.close()
        assert pipes.total == 0
        assert pipes._lent == 0


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    with pools() as pipes:
        yield pipes


@pytest.fixture
async def loop_pipes() -> AsyncIterator[Pipes]:
    await asyncio.sleep(0)  # a loop opens what it needs when it runs
    with pools() as pipes:
        yield pipes
