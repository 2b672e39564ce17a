import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest
from tests.wires import until

from portway.errors import UpstreamError
from portway.model import Reason
from portway.net import resolve as module
from portway.net.guard import fold
from portway.net.resolve import Addresses, SystemResolver, look_up

ONE: Addresses = (ip_address("203.0.113.1"),)
TWO: Addresses = (ip_address("2001:db8::1"), ip_address("203.0.113.2"))


class Names:
    """A system that knows *known*, and hangs at the names in *hanging*."""

    def __init__(self, known: dict[str, Addresses]) -> None:
        self.known = known
        self.hanging: set[str] = set()
        self.asked: list[str] = []
        self.release = threading.Event()

    def look_up(self, host: str) -> Addresses:
        self.asked.append(host)
        if host in self.hanging:
            self.release.wait(10)
        if host not in self.known:
            raise UpstreamError(Reason.NAME, f"{host}: no such name")
        return self.known[host]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    names = Names({"one.example": ONE, "two.example": TWO})
    monkeypatch.setattr(module, "look_up", names.look_up)
    yield names
    names.release.set()


@contextmanager
def resolver(*, workers: int = 8, seconds: float = 5.0) -> Iterator[SystemResolver]:
    made = SystemResolver(workers, seconds)
    try:
        yield made
    finally:
        made.close()


async def test_a_name_gives_all_its_addresses_best_first(names: Names) -> None:
    with resolver() as system:
        assert await system.resolve("two.example") == TWO


async def test_an_address_is_its_own_and_nobody_is_asked(names: Names) -> None:
    with resolver() as system:
        assert await system.resolve("203.0.113.1") == ONE
        assert await system.resolve("::ffff:203.0.113.1") == ONE
        assert await system.resolve("2001:db8::1") == TWO[:1]
    assert names.asked == []


async def test_a_name_is_remembered_for_a_while(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    with resolver() as system:
        for _ in range(3):
            assert await system.resolve("one.example") == ONE
        assert names.asked == ["one.example"]
        loop = asyncio.get_running_loop()
        due, found = system._known["one.example"]
        assert 0 < due - loop.time() <= module.KEPT_FOR
        system._known["one.example"] = (loop.time(), found)
        await system.resolve("one.example")
        assert len(names.asked) == 2


async def test_what_is_remembered_is_bounded(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    names.known |= {f"{n}.example": ONE for n in range(5)}
    with resolver() as system:
        for n in range(5):
            await system.resolve(f"{n}.example")
        assert set(system._known) == {"3.example", "4.example"}


async def test_who_asks_for_the_same_name_waits_for_the_same_answer(
    names: Names,
) -> None:
    names.hanging.add("one.example")
    with resolver() as system:
        async with asyncio.TaskGroup() as tasks:
            answers = [
                tasks.create_task(system.resolve("one.example")) for _ in range(5)
            ]
            await until(lambda: bool(names.asked))
            names.release.set()
        assert [answer.result() for answer in answers] == [ONE] * 5
        assert names.asked == ["one.example"]


async def test_a_name_that_is_none_is_an_error_and_asked_for_anew(
    names: Names,
) -> None:
    with resolver() as system:
        for _ in range(2):
            with pytest.raises(UpstreamError) as caught:
                await system.resolve("none.example")
            assert caught.value.reason is Reason.NAME
    assert names.asked == ["none.example"] * 2


async def test_a_resolver_that_hangs_is_told_in_time_and_others_are_served(
    names: Names,
) -> None:
    names.hanging.add("slow.example")
    with resolver(workers=2, seconds=0.5) as system:
        waiting = asyncio.ensure_future(system.resolve("slow.example"))
        assert await system.resolve("one.example") == ONE
        with pytest.raises(UpstreamError) as caught:
            await waiting
        assert caught.value.reason is Reason.RESOLVER
        assert "slow.example" in caught.value.text
        names.known["slow.example"] = TWO
        names.release.set()
        await until(lambda: "slow.example" in system._known)  # a late answer counts
        assert await system.resolve("slow.example") == TWO


async def test_threads_and_questions_are_bounded_while_names_hang(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ASKED", 5)
    names.hanging |= {f"{n}.slow" for n in range(6)}
    with resolver(workers=2) as system:
        waiting = [asyncio.ensure_future(system.resolve(f"{n}.slow")) for n in range(5)]
        await until(lambda: len(names.asked) == 2)
        await asyncio.sleep(0.02)
        assert len(names.asked) == 2  # the others wait for a thread
        with pytest.raises(UpstreamError) as caught:
            await system.resolve("5.slow")
        assert caught.value.reason is Reason.RESOLVER
        names.release.set()
        for one in waiting:
            with pytest.raises(UpstreamError):
                await one
        with pytest.raises(UpstreamError):
            await system.resolve("5.slow")
        assert not system._asked


async def test_eight_names_that_hang_keep_no_other_waiting(names: Names) -> None:
    names.hanging |= {f"{n}.slow" for n in range(8)}
    system = SystemResolver()
    try:
        waiting = [asyncio.ensure_future(system.resolve(f"{n}.slow")) for n in range(8)]
        await until(lambda: len(names.asked) == 8)
        async with asyncio.timeout(4):  # before the others are given up
            assert await system.resolve("one.example") == ONE
        names.release.set()
        await asyncio.wait(waiting)
        assert all(one.exception() for one in waiting)
    finally:
        system.close()


async def test_who_comes_when_every_thread_hangs_is_told_at_once(names: Names) -> None:
    names.hanging |= {"1.slow", "2.slow"}
    with resolver(workers=2, seconds=0.05) as system:
        for host in ("1.slow", "2.slow"):
            with pytest.raises(UpstreamError, match="does not answer"):
                await system.resolve(host)
        await asyncio.sleep(0.01)  # uvloop's clock ticks in milliseconds
        with pytest.raises(UpstreamError, match="too many names") as caught:
            await system.resolve("one.example")  # no "does not answer": nobody waited
        assert caught.value.reason is Reason.RESOLVER
        assert "one.example" not in system._asked
        names.release.set()
        await until(lambda: not system._asked)
        assert await system.resolve("one.example") == ONE


async def test_a_name_that_hangs_is_asked_for_once(names: Names) -> None:
    names.hanging.add("1.slow")
    with resolver(workers=2, seconds=0.05) as system:
        for _ in range(3):
            with pytest.raises(UpstreamError):
                await system.resolve("1.slow")
        assert names.asked == ["1.slow"]
        assert await system.resolve("one.example") == ONE


async def test_a_cancelled_question_is_answered_to_nobody(names: Names) -> None:
    names.hanging.add("one.example")
    with resolver() as system:
        waiting = asyncio.ensure_future(system.resolve("one.example"))
        await until(lambda: bool(names.asked))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        names.release.set()
        await until(lambda: not system._asked)


async def test_threads_end_when_the_resolver_is_closed(names: Names) -> None:
    with resolver() as system:
        await system.resolve("one.example")
        (worker,) = [t for t in threading.enumerate() if t.name == "resolve"]
    await asyncio.to_thread(worker.join)
    assert not worker.is_alive()


def failing(error: Exception) -> Callable[..., object]:
    def getaddrinfo(*_: object, **__: object) -> object:
        raise error

    return getaddrinfo


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name not known"), Reason.NAME),
        (socket.gaierror(-5, "No address"), Reason.NAME),
        (socket.gaierror(socket.EAI_AGAIN, "Try again"), Reason.RESOLVER),
        (socket.gaierror(socket.EAI_FAIL, "Failure"), Reason.RESOLVER),
        (UnicodeError("label too long"), Reason.NAME),
    ],
)
def test_errors_of_the_system_become_reasons(
    error: Exception, reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", failing(error))
    with pytest.raises(UpstreamError) as caught:
        look_up("ftp.example")
    assert caught.value.reason is reason


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a\0b", "..", "a..b"])
def test_what_can_be_no_name_is_none(host: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        look_up(host)
    assert caught.value.reason is Reason.NAME


def test_addresses_are_folded_and_each_is_named_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [
        (socket.AF_INET6, 1, 6, "", ("::ffff:203.0.113.1", 0, 0, 0)),
        (socket.AF_INET, 1, 6, "", ("203.0.113.1", 0)),
        (socket.AF_INET6, 1, 6, "", ("2001:db8::1", 0, 0, 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert look_up("x") == (*ONE, *TWO[:1])


def test_fold_leaves_what_is_not_mapped() -> None:
    for text in ("203.0.113.1", "2001:db8::1", "::1"):
        assert fold(ip_address(text)) == ip_address(text)


async def test_the_system_knows_this_machine() -> None:
    with resolver() as system:
        assert ip_address("127.0.0.1") in await system.resolve("localhost")
