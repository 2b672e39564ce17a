"""Limits as their users meet them: real clients, a real server, processes that die.

The rates are measured at the client, over ten seconds.
"""

import ftplib
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.integration.gateway import Record
from tests.integration.process import eventually
from tests.integration.speaker import Closed, read_all
from tests.resilience.running import ADDRESS, MIB, Running, Served, configuration
from tests.starved import forgiven

RATE = 625_000  # bytes a second: 5 Mbit/s
USERS = {"alice": "a-word", "bob": "b-word", "carol": "c-word"}


def rule(limit: str) -> str:
    return f"""\
[[rules]]
name = "students"
who = ["127.0.0.0/8"]
to = ["*", "inside"]
then = "allow"
limit = {limit}
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A real server in a process of its own; ``big`` is 64 MiB, ``some`` 1 MB."""
    made = Served(tmp_path / "served")
    with (made.folder / "big").open("wb") as file:
        file.truncate(64 * MIB)
    (made.folder / "some").write_bytes(bytes(1_000_000))
    yield made
    made.stop()


def curl(gateway: Running, served: Served, user: str, *words: str) -> list[str]:
    """Return curl's command for ``big``, by way of *gateway*, as *user*."""
    name = quote(f"joe@{user}@{ADDRESS}:{served.port}", safe="")
    password = quote(f"s3cret@{USERS[user]}", safe="")
    url = f"ftp://{name}:{password}@{ADDRESS}:{gateway.port}/big"
    return ["curl", "-sS", "--disable-epsv", "-o", "/dev/null", *words, url]


def fetch_for(
    seconds: float, gateway: Running, served: Served, user: str, into: list[float]
) -> None:
    """Fetch ``big`` with ftplib; put the bytes a second of that time into *into*."""
    with closing(ftplib.FTP(timeout=10)) as client:
        client.connect(ADDRESS, gateway.port)
        name = f"joe@{user}@{ADDRESS}:{served.port}"
        client.login(name, f"s3cret@{USERS[user]}")
        client.voidcmd("TYPE I")
        with client.transfercmd("RETR big") as stream:
            got = len(stream.recv(1))
            start = time.monotonic()
            while time.monotonic() < start + seconds:
                got += len(stream.recv(65536))
            into.append(got / (time.monotonic() - start))


def measured(process: "subprocess.Popen[str]") -> float:
    """Return the bytes a second that curl saw, from the first byte on."""
    output, _ = process.communicate(timeout=20)
    size, total, start = map(float, output.split())
    return size / (total - start)


@pytest.mark.timeout(60)
def test_each_user_gets_his_rate_within_five_percent(
    tmp_path: Path, served: Served
) -> None:
    text = configuration(
        listen='login = "required"', rules=rule('{ rate = "5 Mbit/s" }')
    )
    with Running(tmp_path / "gateway", text, users=USERS) as gateway:
        word = "%{size_download} %{time_total} %{time_starttransfer}"
        options = ("--max-time", "10.5", "-w", word)
        curls = [
            subprocess.Popen(
                curl(gateway, served, user, *options),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for user in ("alice", "carol", "carol")
        ]
        bob: list[float] = []
        with_ftplib = threading.Thread(
            target=fetch_for, args=(10.0, gateway, served, "bob", bob)
        )
        with_ftplib.start()
        alice, *carol = map(measured, curls)
        with_ftplib.join()
        records = gateway.wait_for(
            lambda found: [one["method"] for one in found].count("RETR") == 4, 10
        )
    assert alice == pytest.approx(RATE, rel=0.05)
    assert bob[0] == pytest.approx(RATE, rel=0.05)
    assert sum(carol) == pytest.approx(RATE, rel=0.05)
    assert min(carol) > 0.8 * max(carol)
    held = [record for record in records if record["method"] == "RETR"]
    assert all(int(str(record["limited_ms"])) > 8000 for record in held)


def test_a_quota_cuts_a_real_download_to_the_byte(
    tmp_path: Path, served: Served
) -> None:
    text = configuration(
        listen='login = "required"', rules=rule('{ quota = "2 MB/day" }')
    )
    with Running(tmp_path / "gateway", text, users=USERS) as gateway:
        options = ("-w", "%{size_download}", "-v")
        first = subprocess.run(
            curl(gateway, served, "alice", *options),
            capture_output=True,
            text=True,
            timeout=15,
            check=False,
        )
        assert first.returncode != 0
        assert int(first.stdout) <= 2_000_000
        record = gateway.record_of("RETR")
        assert (record["outcome"], record["reason"]) == ("cut", "quota")
        assert record["bytes_down"] == 2_000_000
        again = subprocess.run(
            curl(gateway, served, "alice", *options),
            capture_output=True,
            text=True,
            timeout=15,
            check=False,
        )
        assert again.returncode != 0
        told = "530 Quota used up: 2 MB a day; it is renewed at 00:00."
        assert told in again.stderr
        other = subprocess.run(
            curl(gateway, served, "bob", "-r", "0-999", "-w", "%{size_download}"),
            capture_output=True,
            text=True,
            timeout=15,
            check=False,
        )
        assert int(other.stdout) >= 1000


def used(gateway: Running) -> int:
    """Return what the file of the quotas says."""
    path = gateway.state / "quotas.db"
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path, timeout=5)) as connection:
            row = connection.execute("SELECT sum(used) FROM counters").fetchone()
    except sqlite3.OperationalError:
        return 0
    return int(row[0] or 0)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_quota_survives_the_gateway(
    tmp_path: Path, served: Served, end: signal.Signals
) -> None:
    text = configuration(rules=rule('{ quota = "1.5 MB/month" }'))
    with Running(tmp_path / "gateway", text) as gateway:
        with gateway.enter(served) as client:
            client.expect("TYPE I", 200)
            with client.data("RETR some") as stream:
                assert len(read_all(stream)) == 1_000_000
            assert client.reply().code == 226
            if end is signal.SIGKILL:
                eventually(lambda: used(gateway) == 1_000_000, "the counter", 5)
            gateway.process.signal(end)
            gateway.process.wait(10)
        gateway.start_again()
        with gateway.enter(served) as client:
            client.expect("TYPE I", 200)
            with (
                client.data("RETR some") as stream,
                pytest.raises(ConnectionResetError),
            ):
                read_all(stream)
            told = client.reply()
            assert told.code == 552
            assert "1500 kB a month" in told.text

        def cut(found: list[Record]) -> list[object]:
            return [one["bytes_down"] for one in found if one.get("reason") == "quota"]

        records = gateway.wait_for(lambda found: bool(cut(found)))
        assert cut(records) == [500_000]


def late(marks: list[tuple[float, int]]) -> float:
    """A rate lets go of some bytes ten times a second; more is the machine's."""
    moments = [at for at, _ in marks]
    slow = forgiven(moments)
    return slow if slow > 0.5 else 0.0


def test_a_transfer_that_dies_with_the_gateway_is_counted_but_for_a_second(
    tmp_path: Path, served: Served
) -> None:
    text = configuration(
        rules=rule('{ quota = "1 GB/day", rate = "2 MB/s", per = "rule" }')
    )
    with Running(tmp_path / "gateway", text) as gateway:
        with gateway.enter(served) as client:
            client.expect("TYPE I", 200)
            marks: list[tuple[float, int]] = []
            with client.data("RETR big") as stream:
                got, start = 0, time.monotonic()
                while time.monotonic() < start + 3 + late(marks):
                    got += len(stream.recv(65536))
                    marks.append((time.monotonic(), got))
                gateway.process.kill()
        killed = time.monotonic()
        due = killed - 1 - late(marks)
        before = max(got for at, got in marks if at < due)
        assert used(gateway) >= before
        assert before > 1_000_000


def test_one_connection_too_many_is_told(tmp_path: Path, served: Served) -> None:
    text = configuration(rules=rule('{ connections = 2, per = "client" }'))
    with Running(tmp_path / "gateway", text) as gateway:
        clients = [gateway.enter(served) for _ in range(2)]
        with gateway.client() as third:
            answer = third.ask(f"USER joe@{ADDRESS}:{served.port}")
            assert answer.code == 421
            assert answer.text == "Too many connections: 2 at once are allowed."
            with pytest.raises(Closed):
                third.reply()
        clients.pop().control.close()
        eventually(lambda: gateway.held.sockets < 9, "a place", 5)
        with gateway.enter(served) as third:
            third.expect("NOOP", 200)
        clients.pop().control.close()


def test_a_reload_keeps_what_was_used(tmp_path: Path, served: Served) -> None:
    text = configuration(rules=rule('{ quota = "1.2 MB/day" }'), port=0)
    with (
        Running(tmp_path / "gateway", text) as gateway,
        gateway.enter(served) as client,
    ):
        client.expect("TYPE I", 200)
        with client.data("RETR some") as stream:
            read_all(stream)
        assert client.reply().code == 226
        gateway.write(text.replace("1.2 MB", "1.9 MB"))
        gateway.portway("reload")
        with client.data("RETR some") as stream, pytest.raises(ConnectionResetError):
            read_all(stream)
        assert client.reply().code == 552
        gateway.write(text.replace("1.2 MB", "900 kB"))
        gateway.portway("reload")
        client.passive()
        answer = client.ask("RETR some")
        assert answer.code == 550
        assert "900 kB a day" in answer.text
        downs = [
            one["bytes_down"]
            for one in gateway.wait_for(
                lambda found: [one["method"] for one in found].count("RETR") == 3
            )
            if one["method"] == "RETR"
        ]
        assert downs == [1_000_000, 900_000, 0]
