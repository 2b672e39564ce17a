import asyncio
import logging
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

import pytest
from tests.starved import forgiven

from portway.model import Access, Action, Limit, Per, Period, Quota, Verdict
from portway.relay.counters import KEPT, NAME, PACE, Counters
from portway.relay.limiter import Limiter
from portway.relay.quotas import Allowance, Calendar, Key

NOW = 1_800_000_000.0


def clock() -> float:
    return NOW


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / NAME


@pytest.fixture
def counters(path: Path) -> Iterator[Counters]:
    made = Counters(path, clock)
    yield made
    made.close()
    assert "quotas" not in {thread.name for thread in threading.enumerate()}


def allowance(counters: Counters, member: str = "user:alice") -> Allowance:
    quota = Quota(1 << 40, Period.MONTH)
    calendar = Calendar(clock, None)
    return Allowance(Key("r", 0, member), Per.USER, quota, calendar, counters)


def use(quota: Allowance, count: int) -> None:
    quota.reserve(count)
    quota.charge(count)


def used(path: Path) -> dict[str, int]:
    """Return what the file says that each member used."""
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT member, used FROM counters"))


def soon(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Wait for what a thread does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def there(path: Path) -> bool:
    try:
        return bool(used(path))
    except sqlite3.OperationalError:
        return False


def test_where_there_is_no_quota_there_is_no_file_and_no_thread(path: Path) -> None:
    counters = Counters(path, clock)
    assert counters.read() == []
    threads = threading.active_count()
    counters.close()
    assert not path.exists()
    assert threading.active_count() == threads


def test_what_is_used_is_in_the_file_within_a_second(
    counters: Counters, path: Path
) -> None:
    quota = allowance(counters)
    use(quota, 100)
    assert PACE <= 0.5  # the rest of the second is for the disk
    soon(lambda: there(path))
    for _ in range(5):
        use(quota, 10)
    soon(lambda: used(path) == {"user:alice": 150})
    assert counters.read() == [quota.row()]


def test_the_last_changes_are_written_at_the_end(path: Path) -> None:
    counters = Counters(path, clock)
    one, other = allowance(counters, "a"), allowance(counters, "b")
    use(one, 1)
    use(other, 2)
    use(one, 3)
    counters.close()
    assert used(path) == {"a": 4, "b": 2}


def test_changes_gather(counters: Counters, path: Path) -> None:
    quotas = [allowance(counters, str(n)) for n in range(50)]
    for _ in range(200):
        for quota in quotas:
            use(quota, 1)
    assert len(counters._changed) <= 50
    soon(lambda: there(path) and set(used(path).values()) == {200})


def test_what_ended_long_ago_is_forgotten(path: Path) -> None:
    counters = Counters(path, clock)
    quota = allowance(counters)
    use(quota, 5)
    counters.close()
    ended = quota.ends
    late = Counters(path, lambda: ended + KEPT - 1.0)
    assert len(late.read()) == 1
    later = Counters(path, lambda: ended + KEPT + 1.0)
    assert later.read() == []
    assert used(path) == {}


def test_a_disk_that_fails_is_told_once_and_made_up_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "state"
    counters = Counters(folder / NAME, clock)  # there is no such folder yet
    quota = allowance(counters)
    use(quota, 100)
    soon(lambda: "quotas.failing" in caplog.text)
    use(quota, 50)
    time.sleep(2 * PACE)
    folder.mkdir()
    soon(lambda: there(folder / NAME))
    assert used(folder / NAME) == {"user:alice": 150}
    counters.close()
    failures = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert [one.message for one in failures] == ["quotas.failing"]
    assert "quotas.works" in caplog.text


def test_a_broken_file_is_set_aside_with_a_loud_word(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(b"this is no database at all, " * 100)
    counters = Counters(path, clock)
    assert counters.read() == []
    assert "quotas.broken" in caplog.text
    (kept,) = path.parent.glob(f"{NAME}.corrupt-*")
    assert kept.read_bytes().startswith(b"this is no")
    use(allowance(counters), 7)
    counters.close()
    assert used(path) == {"user:alice": 7}


def test_a_file_of_a_later_version_is_left_alone(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    counters = Counters(path, clock)
    assert counters.read() == []
    use(allowance(counters), 7)
    counters.close()
    assert "quotas.failing" in caplog.text
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)


# What must not be lost.


def kept(path: Path, **used: int) -> None:
    """Leave a file in which each member has used so much."""
    counters = Counters(path, clock)
    for member, count in used.items():
        use(allowance(counters, member), count)
    counters.close()


def break_into(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"garbage" * 100)


def limiter(path: Path) -> Limiter:
    return Limiter(clock, store=Counters(path, clock))


ALL = Limit(per=Per.USER, quotas=(Quota(1000, Period.MONTH),))


def left(of: Limiter, user: str) -> int:
    """Return how much of `ALL` the limiter leaves *user*."""
    access = Access("ftp", ip_address("10.0.0.7"), user, Action.READ, "RETR", "h", 21)
    verdict = Verdict(allowed=True, rule="r", limits=(ALL,))
    permit = of.admit(verdict, access, "S")
    (quota,) = permit.accounts[0].quotas
    permit.release()
    return quota.left()


async def test_a_file_that_is_locked_at_the_start_is_added_once_it_is_free(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept(path, **{"user:alice": 600, "user:bob": 500})
    here = limiter(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        await asyncio.to_thread(here.start)
        assert left(here, "alice") == 1000  # nobody is stopped
        use(here._quotas[Key("r", 0, "user:alice"), Period.MONTH], 10)
        await asyncio.sleep(2 * PACE)
        other.execute("ROLLBACK")
    try:
        async with asyncio.timeout(5):
            while left(here, "bob") == 1000:
                await asyncio.sleep(0.02)
        assert (left(here, "alice"), left(here, "bob")) == (390, 500)
    finally:
        await asyncio.to_thread(here.close)
    assert used(path) == {"user:alice": 610, "user:bob": 500}
    assert caplog.messages.count("quotas.failing") == 1
    assert caplog.messages.count("quotas.works") == 1
    assert not [*path.parent.glob("*.corrupt-*")]


async def test_one_that_is_free_only_at_the_end_is_added_then(path: Path) -> None:
    kept(path, **{"user:alice": 600})
    here = limiter(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        await asyncio.to_thread(here.start)
        left(here, "alice")
        use(here._quotas[Key("r", 0, "user:alice"), Period.MONTH], 10)
        other.execute("ROLLBACK")
    await asyncio.to_thread(here.close)
    assert used(path) == {"user:alice": 610}


def test_a_count_never_becomes_less_within_its_period(path: Path) -> None:
    kept(path, alice=600)
    kept(path, alice=100)  # by one who has not read it
    assert used(path) == {"alice": 600}


def test_a_new_period_begins_anew(path: Path) -> None:
    kept(path, alice=600)
    late = NOW + 40 * 86_400
    counters = Counters(path, lambda: late)
    quota = Quota(1 << 40, Period.MONTH)
    calendar = Calendar(lambda: late, None)
    use(Allowance(Key("r", 0, "alice"), Per.USER, quota, calendar, counters), 7)
    counters.close()
    assert used(path) == {"alice": 7}


@pytest.mark.parametrize("harm", ["break", "delete", "replace"])
def test_a_file_lost_while_it_runs_is_written_anew_whole(
    counters: Counters, path: Path, harm: str
) -> None:
    kept(path, alice=600)
    assert len(counters.read()) == 1  # and alice does not move again
    use(allowance(counters, "bob"), 5)
    soon(lambda: used(path) == {"alice": 600, "bob": 5})
    if harm == "break":
        break_into(path)
    else:
        path.unlink()
    if harm == "replace":
        kept(path, carol=3)
    use(allowance(counters, "dora"), 7)
    whole = {"alice": 600, "bob": 5, "dora": 7}
    if harm == "replace":
        whole["carol"] = 3
    soon(lambda: intact(path) == whole)
    assert bool([*path.parent.glob(f"{NAME}.corrupt-*")]) == (harm == "break")


def intact(path: Path) -> dict[str, int]:
    try:
        return used(path)
    except sqlite3.Error:
        return {}


def test_one_that_nobody_writes_to_any_more_is_mended_at_the_end(path: Path) -> None:
    counters = Counters(path, clock)
    use(allowance(counters, "alice"), 600)
    soon(lambda: there(path))
    break_into(path)
    counters.close()  # sets it aside
    counters.close()
    assert used(path) == {"alice": 600}


def test_what_can_be_read_of_a_broken_file_is_saved(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept(path, **{f"user:{number:04}": number + 1 for number in range(2000)})
    size = path.stat().st_size
    with path.open("r+b") as file:  # a page in the middle
        file.seek(size // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096)
    counters = Counters(path, clock)
    found = {row.member: row.used for row in counters.read()}
    counters.close()
    assert "quotas.saved" in caplog.text
    assert 1500 < len(found) < 2000
    assert all(int(name[5:]) + 1 == count for name, count in found.items())
    assert used(path) == found  # though nobody has moved anything


def test_an_error_that_is_no_damage_leaves_a_healthy_file_where_it_is(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1")
        connection.execute("CREATE TABLE counters (rule TEXT)")
    counters = Counters(path, clock)
    counters.read()
    use(allowance(counters), 7)
    counters.close()
    assert "quotas.failing" in caplog.text
    assert [one.name for one in path.parent.glob("*.corrupt-*")] == []


def test_only_its_owner_may_read_it_even_when_it_is_set_aside(path: Path) -> None:
    kept(path, alice=1)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)  # as it was made once
    counters = Counters(path, clock)
    counters.read()
    assert path.stat().st_mode & 0o777 == 0o600
    break_into(path)
    path.chmod(0o644)
    counters.read()
    counters.close()
    (aside,) = path.parent.glob(f"{NAME}.corrupt-*")
    assert aside.stat().st_mode & 0o777 == 0o600


PROGRAM = """
import sys, time
from pathlib import Path
from portway.model import Per, Period, Quota
from portway.relay.counters import Counters
from portway.relay.quotas import Allowance, Calendar, Key
counters = Counters(Path(sys.argv[1]), time.time)
quota = Allowance(Key("r", 0, "m"), Per.RULE, Quota(1 << 50, Period.DAY),
                  Calendar(time.time, None), counters)
while True:
    quota.reserve(1)
    quota.charge(1)
    print(quota.used, time.monotonic(), flush=True)
    time.sleep(0.001)
"""


def test_kill_minus_nine_loses_a_second_at_most(path: Path) -> None:
    program = [sys.executable, "-c", PROGRAM, str(path)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        try:
            soon(lambda: there(path))
            time.sleep(1.7)
        finally:
            process.kill()
        output, _ = process.communicate()
    lines = [line.split() for line in output.splitlines() if line.count(" ") == 1]
    moments = [float(at) for _, at in lines]
    due = moments[-1] - 1 - forgiven(moments)
    then = [int(count) for count, at in lines if float(at) < due]
    (kept,) = used(path).values()
    assert kept >= (then[-1] if then else 1)
    assert kept <= int(lines[-1][0]) + 1
