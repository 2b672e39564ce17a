"""ABOR to the real Pure-FTPd, which swallows the form of it that has Telnet's signs."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration import servers
from tests.integration.network import Place
from tests.integration.process import Process, eventually
from tests.integration.speaker import read_all
from tests.sequences.conftest import Stage

SIZES = {"small": 200_000, "held": 8_000_000, "big": 40_000_000}
PATIENCE = 2.0  # after which the gateway asks whether an answer will come


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, stage: Stage) -> Iterator[str]:
    """A Pure-FTPd that has a file of each size."""
    folder: Path = tmp_path_factory.mktemp("pure-ftpd")
    for place in (*reversed(folder.parents), folder):
        if not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)  # it serves as somebody else
    root = folder / "root"
    root.mkdir()
    for name, size in SIZES.items():
        with (root / name).open("wb") as file:
            file.truncate(size)
    number = stage.server.address.removeprefix("127.21.")
    host = f"127.22.{number}"
    *command, output = servers._pure_ftpd(folder / "pure-ftpd", root, host)
    with Process(command, Path(output)) as process:

        def up() -> bool:
            assert process.status is None, process.output
            try:
                Place().connect(host, 21).close()
            except ConnectionRefusedError:
                return False
            return True

        eventually(up, "Pure-FTPd is ready")
        yield host


@pytest.mark.parametrize("name", ["small", "held", "big"])
@pytest.mark.parametrize("telnet", [False, True])
def test_an_abor_has_its_answer(
    stage: Stage, address: str, name: str, *, telnet: bool
) -> None:
    """A big file is on its way still, a small one has arrived, another is with us."""
    with stage.knock("none") as client:
        client.login(f"{servers.USER}@{address}", servers.PASSWORD)
        client.expect("TYPE I", 200)
        with client.data(f"RETR {name}") as stream:
            if name == "small":
                read_all(stream)
            else:
                assert stream.recv(1000)
            begun = time.monotonic()
            signs = b"\xff\xf4\xff\xf2" if telnet else b""
            client.control.sendall(signs + b"ABOR\r\n")
            assert client.reply().code in {226, 426}  # of the transfer
            assert client.reply().code == 226
        client.expect("NOOP", 200)
        assert time.monotonic() - begun < PATIENCE + 5
        client.expect("QUIT", 221)
