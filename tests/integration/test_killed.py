"""``kill -9`` in the middle of a transfer: of the server, the client, the gateway.

Each in either direction. Whoever survives must see that the file is not whole, and the
ledger must say what happened.
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration import doors
from tests.integration.gateway import Gateway, Record
from tests.integration.nanoftpd import NanoFtpd, NanoSession, says
from tests.integration.network import INNER, Network, wan_address
from tests.integration.process import Process, eventually
from tests.integration.servers import PASSWORD, USER
from tests.integration.speaker import Closed, Speaker, read_all

BIG = 256 * 1024 * 1024  # more than all the buffers on the way
SOME = 2 * 1024 * 1024
PIECE = bytes(65536)
VICTIM = "third"


@pytest.fixture
def victim(network: Network, folder: Path, tmp_path: Path) -> Iterator[Process]:
    """A real server to be killed; it has ``big.bin``."""
    root = folder / f"victim-{tmp_path.name}"
    root.mkdir()
    with (root / "big.bin").open("wb") as big:
        big.truncate(BIG)
    address = wan_address(VICTIM, 4)
    program = str(Path(__file__).with_name("pyftpd.py"))
    command = [sys.executable, program, address, str(root), USER, PASSWORD]
    with Process(network.wan.command(*command), tmp_path / "server") as process:

        def up() -> bool:
            try:
                network.wan.connect(address, 21).close()
            except ConnectionRefusedError:
                return False
            return True

        eventually(up, "the server")
        yield process


def enter(network: Network, address: str, port: int) -> Speaker:
    client = Speaker(network.lan, INNER[4], port)
    client.login(f"{USER}@{address}", PASSWORD)
    client.expect("TYPE I", 200)
    return client


def only(records: list[Record], method: str) -> Record:
    """Return the one record of *method*."""
    [transfer] = [record for record in records if record["method"] == method]
    return transfer


def test_server_killed_in_a_download(
    network: Network, gateway: Gateway, victim: Process
) -> None:
    address, port = wan_address(VICTIM, 4), doors.port("none")
    with gateway.watched() as records, enter(network, address, port) as client:
        with client.data("RETR big.bin") as stream:
            got = 0
            while got < SOME:
                got += len(stream.recv(65536))
            victim.kill()
            with pytest.raises(ConnectionResetError):  # a clean end would look whole
                read_all(stream)
        assert client.reply().code == 426
        assert client.reply().code == 421
        assert client.closed()
    transfer = only(records, "RETR")
    assert transfer["outcome"] == "cut"
    assert transfer["side"] == "server"
    assert SOME <= int(str(transfer["bytes_down"])) < BIG


def test_server_killed_in_an_upload(
    network: Network, gateway: Gateway, victim: Process
) -> None:
    address, port = wan_address(VICTIM, 4), doors.port("none")
    with gateway.watched() as records, enter(network, address, port) as client:
        with client.data("STOR up.bin") as stream:
            for _ in range(SOME // len(PIECE)):
                stream.sendall(PIECE)
            victim.kill()
            with pytest.raises(ConnectionError):
                stream.sendall(bytes(BIG))
        assert client.reply().code == 426
        assert client.reply().code == 421
        assert client.closed()
    transfer = only(records, "STOR")
    assert transfer["outcome"] == "cut"
    assert transfer["side"] == "server"


@pytest.fixture
def nano(network: Network) -> Iterator[NanoFtpd]:
    with NanoFtpd(network.wan, wan_address("nano", 4)) as made:
        yield made
        assert not made.failures


def run_curl(network: Network, folder: Path, *words: str) -> Process:
    """Start a client that would take a minute."""
    curl = ["curl", "-sS", "--limit-rate", "1M", "--max-time", "60", *words]
    return Process(network.lan.command(*curl), folder / "curl")


def curl_url(name: str) -> str:
    user = f"{USER}%40{wan_address('nano', 4)}"
    return f"ftp://{user}:{PASSWORD}@{INNER[4]}:{doors.port('none')}/{name}"


def test_client_killed_in_a_download(
    network: Network, gateway: Gateway, nano: NanoFtpd, tmp_path: Path
) -> None:
    with gateway.watched() as records:
        seen: list[str] = []

        def send_for_ever(session: NanoSession, _: str) -> None:
            session.say("150 Here it comes")
            with session.data() as stream:
                try:
                    stream.sendall(bytes(BIG))
                except ConnectionError as lost:
                    seen.append(type(lost).__name__)
                    return
            seen.append("all was taken")

        nano.scripts["SIZE"] = says(f"213 {BIG}")
        nano.scripts["RETR"] = send_for_ever
        target = tmp_path / "down.bin"
        curl = run_curl(network, tmp_path, "-o", str(target), curl_url("big.bin"))
        eventually(lambda: target.exists() and target.stat().st_size > 100_000, "bytes")
        curl.kill()
    transfer = only(records, "RETR")
    assert transfer["outcome"] == "cut"
    assert transfer["side"] == "client"
    eventually(lambda: bool(seen), "the server sees it")
    assert seen[0] in ("ConnectionResetError", "BrokenPipeError")
    assert nano.ended.wait(5)


def test_client_killed_in_an_upload(
    network: Network, gateway: Gateway, nano: NanoFtpd, tmp_path: Path
) -> None:
    with gateway.watched() as records:
        seen: list[str] = []
        taken = [0]

        def take(session: NanoSession, _: str) -> None:
            session.say("150 Send it")
            with session.data() as stream:
                try:
                    while part := stream.recv(65536):
                        taken[0] += len(part)
                except ConnectionResetError:
                    seen.append("reset")
                    return
            seen.append("a clean end: it would look whole")

        nano.scripts["STOR"] = take
        source = tmp_path / "up.bin"
        with source.open("wb") as big:
            big.truncate(BIG)
        curl = run_curl(network, tmp_path, "-T", str(source), curl_url("up.bin"))
        eventually(lambda: taken[0] > 100_000, "bytes")
        curl.kill()
    transfer = only(records, "STOR")
    assert transfer["outcome"] == "cut"
    assert transfer["side"] == "client"
    eventually(lambda: bool(seen), "the server sees it")
    assert seen == ["reset"]


@pytest.fixture
def mortal(network: Network, folder: Path, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway to be killed."""
    place = folder / f"mortal-{tmp_path.name}"
    door = doors.door("ftp", 2199)
    text = doors.HEAD + door + doors.RULES
    with Gateway(network.gateway, place, text) as made:
        yield made


def logged(gateway: Gateway) -> list[Record]:
    """What ``portway log`` says."""
    return [json.loads(line) for line in gateway.portway("log", "--json").splitlines()]


def wait_for_start_row(gateway: Gateway, method: str) -> None:
    """An exchange of more than a second has a row that says it is open."""
    eventually(
        lambda: any(
            record["method"] == method and record["outcome"] == "open"
            for record in logged(gateway)
        ),
        f"the row of an open {method}",
        8,
    )


@pytest.mark.parametrize("method", ["RETR", "STOR"])
def test_gateway_killed(
    method: str, network: Network, mortal: Gateway, nano: NanoFtpd
) -> None:
    """Nobody is told that it went well, and the ledger survives."""
    heard: list[str] = []

    def move(session: NanoSession, _: str) -> None:
        session.say("150 Go on")
        with session.data() as stream:
            try:
                if method == "RETR":
                    while True:
                        stream.sendall(PIECE)
                while stream.recv(65536):
                    pass
            except ConnectionError as error:
                heard.append(type(error).__name__)
            else:
                heard.append("end")  # a killed process closes its sockets
        session.line()  # no more words come, only an end

    nano.scripts[method] = move
    with enter(network, wan_address("nano", 4), 2199) as client:
        assert client.fetch("LIST") == b""
        with client.data(f"{method} big.bin") as stream:
            if method == "RETR":
                assert stream.recv(65536)
            else:
                stream.sendall(PIECE)
            wait_for_start_row(mortal, method)
            mortal.process.kill()
            if method == "RETR":
                with contextlib.suppress(ConnectionResetError):
                    read_all(stream)
        with pytest.raises(Closed):
            client.reply()
    assert nano.ended.wait(5)
    assert heard
    mortal.start_again()
    after = {str(record["method"]): record for record in logged(mortal)}
    assert after["LIST"]["outcome"] == "ok"
    assert after[method]["outcome"] == "lost"
    assert after["CONNECT"]["outcome"] == "lost"
    with enter(network, wan_address("nano", 4), 2199) as client:
        assert client.fetch("LIST") == b""


def test_what_has_its_row_survives(
    network: Network, mortal: Gateway, nano: NanoFtpd
) -> None:
    nano.files["sample.bin"] = b"x" * 1000
    with enter(network, wan_address("nano", 4), 2199) as client:
        for _ in range(50):
            client.fetch("RETR sample.bin")
        eventually(lambda: fetched(mortal) == 50, "the rows of all 50")
        mortal.process.kill()
    mortal.start_again()
    assert fetched(mortal) == 50


def fetched(gateway: Gateway) -> int:
    return sum(record["method"] == "RETR" for record in logged(gateway))
