"""kill -9, of each of the three, amid a transfer.

The receiver of a file that was cut must be able to tell: its data connection is reset,
or its dialogue says that the transfer failed.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.nanoftpd import NanoFtpd
from tests.integration.process import eventually
from tests.integration.speaker import Speaker, read_all
from tests.resilience.running import (
    MIB,
    Running,
    Served,
    moving,
    read_exactly,
    read_to_the_end,
)
from tests.starved import forgiven

Start = Callable[..., Running]


def has_a_row(gateway: Running, method: str) -> None:
    """Wait until the transfer in progress stands in the ledger."""
    query = f"SELECT 1 FROM records WHERE method = '{method}' AND outcome = 'open'"
    eventually(lambda: bool(gateway.rows(query)), "its row")


def is_lost_after_a_restart(gateway: Running, method: str) -> None:
    gateway.start_again()
    assert gateway.rows("PRAGMA integrity_check") == [("ok",)]
    query = f"SELECT outcome FROM records WHERE method = '{method}'"
    assert gateway.rows(query) == [("lost",)]
    assert gateway.rows("SELECT count(*) FROM records WHERE outcome = 'open'") == [(0,)]
    [outcome] = [one["outcome"] for one in gateway.records() if one["method"] == method]
    assert outcome == "lost"
    assert f'"{method}"' in gateway.portway("log", "--json")


def test_gateway_in_a_download(loop: str, start: Start, nano: NanoFtpd) -> None:
    gateway = start(loop=loop)
    with gateway.enter(nano) as client, client.data("RETR big") as stream:
        read_exactly(stream, MIB)
        has_a_row(gateway, "RETR")
        gateway.process.kill()
        with pytest.raises(ConnectionResetError):
            read_all(stream)
        assert client.closed()
    assert nano.ended.wait(5)
    is_lost_after_a_restart(gateway, "RETR")
    with gateway.enter(nano) as client:
        assert client.fetch("RETR small") == nano.files["small"]


def test_gateway_in_an_upload(loop: str, start: Start, nano: NanoFtpd) -> None:
    gateway = start(loop=loop)
    with gateway.enter(nano) as client, client.data("STOR up.bin") as stream:
        stream.sendall(bytes(MIB))
        has_a_row(gateway, "STOR")
        gateway.process.kill()
        assert client.closed()
        with pytest.raises(ConnectionError):
            for _ in range(3):
                stream.sendall(bytes(MIB))
    assert nano.ended.wait(5)
    assert "up.bin" not in nano.files  # for a whole file it takes what ends by FIN
    is_lost_after_a_restart(gateway, "STOR")


def test_gateway_loses_the_records_of_the_last_second_at_most(
    loop: str, start: Start, nano: NanoFtpd
) -> None:
    gateway = start(loop=loop)
    answered: dict[str, float] = {}
    with gateway.enter(nano) as client:
        began = time.monotonic()
        while time.monotonic() < began + 2.5 + forgiven([*answered.values()]):
            name = f"d{len(answered)}"
            client.expect(f"MKD {name}", 257)
            answered[name] = time.monotonic()
            time.sleep(0.01)
        gateway.process.kill()
        killed = time.monotonic()
    gateway.start_again()
    assert gateway.rows("PRAGMA integrity_check") == [("ok",)]
    found = gateway.rows(
        "SELECT path FROM records WHERE method = 'MKD' ORDER BY number"
    )
    kept = [str(path).rpartition("/")[2] for (path,) in found]
    assert kept == list(answered)[: len(kept)]  # each once, in order, without a gap
    due = killed - 1.0 - forgiven([*answered.values()])
    must = [name for name, moment in answered.items() if moment < due]
    assert len(must) > 20
    assert len(kept) >= len(must)


def test_client_in_a_download(
    loop: str, start: Start, nano: NanoFtpd, tmp_path: Path
) -> None:
    gateway = start(loop=loop)
    before = gateway.held
    with moving(gateway, nano, "RETR big", tmp_path / "client") as client:
        client.kill()
        assert nano.ended.wait(5)
    record = gateway.record_of("RETR")
    assert (record["outcome"], record["side"]) == ("cut", "client")
    gateway.nothing_left(before)


@pytest.mark.parametrize("run", range(3))
def test_client_in_an_upload(
    run: int, loop: str, start: Start, nano: NanoFtpd, tmp_path: Path
) -> None:
    gateway = start(loop=loop)
    before = gateway.held
    with moving(gateway, nano, "STOR up.bin", tmp_path / "client") as client:
        client.kill()
        assert nano.ended.wait(5)
    assert "up.bin" not in nano.files
    record = gateway.record_of("STOR")
    assert (record["outcome"], record["side"]) == ("cut", "client")
    assert record["bytes_up"] == MIB
    gateway.nothing_left(before)


def is_told_and_closed(client: Speaker) -> None:
    """The client learns that its transfer failed, and then that the server is gone."""
    assert client.reply().code == 426
    assert client.reply().code == 421
    assert client.closed()


def test_server_in_a_download(loop: str, start: Start, served: Served) -> None:
    gateway = start(loop=loop)
    before = gateway.held
    with gateway.enter(served) as client, client.data("RETR big") as stream:
        read_exactly(stream, MIB)
        served.process.kill()
        read_to_the_end(stream)
        is_told_and_closed(client)
    record = gateway.record_of("RETR")
    assert (record["outcome"], record["side"]) == ("cut", "server")
    gateway.nothing_left(before)


def test_server_in_an_upload(loop: str, start: Start, served: Served) -> None:
    gateway = start(loop=loop)
    before = gateway.held
    with gateway.enter(served) as client, client.data("STOR up.bin") as stream:
        stream.sendall(bytes(MIB))
        eventually((served.folder / "up.bin").exists, "it has begun")
        served.process.kill()
        is_told_and_closed(client)
        with pytest.raises(ConnectionError):
            for _ in range(3):
                stream.sendall(bytes(MIB))
    record = gateway.record_of("STOR")
    assert (record["outcome"], record["side"]) == ("cut", "server")
    gateway.nothing_left(before)
