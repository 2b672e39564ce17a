"""What every test shares: both event loops, and an end to those that hang."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping

import pytest
import uvloop
from hypothesis import HealthCheck, settings

# how long an example takes says how busy the machine is, and nothing else
settings.register_profile(
    "portway", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# What `make test-quick` asks for, by name; tests that want more take a multiple.
settings.register_profile("quick", settings.get_profile("portway"), max_examples=25)
settings.load_profile("portway")

SECONDS = 15.0  # less than a test's own timeout, whose signal uvloop does not heed


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_itemcollected(item: pytest.Item) -> None:
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        marker = item.get_closest_marker("timeout")
        seconds = float(marker.args[0]) - 1 if marker else SECONDS
        item.obj = with_an_end(item.obj, seconds)


def with_an_end(
    test: Callable[..., Awaitable[None]], seconds: float
) -> Callable[..., Awaitable[None]]:
    """Return *test* so that it fails where it waits when its time is up."""

    @functools.wraps(test)
    async def limited(*args: object, **words: object) -> None:
        async with asyncio.timeout(seconds):
            await test(*args, **words)

    return limited
