"""A disk that is full, a folder that cannot be written, two gateways on one folder."""

import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.integration.gateway import PORTWAY
from tests.integration.nanoftpd import NanoFtpd
from tests.integration.process import Process, eventually, run
from tests.resilience.running import (
    ADDRESS,
    HOME,
    MIB,
    Running,
    configuration,
    free_port,
    one_line,
    portway,
    read_exactly,
)

Start = Callable[..., Running]
APART = ("unshare", "-Urm")  # a mount namespace of its own


def on_a_small_disk(tmp_path: Path, size: str) -> str:
    """Return shell that mounts a disk of *size* where the state is to be."""
    state = tmp_path / "gateway/state"
    return f'mkdir -p "{state}" && mount -t tmpfs -o size={size} none "{state}"'


def inside(gateway: Running) -> Path:
    """Return the state folder as the gateway sees it."""
    return Path(f"/proc/{gateway.process.pid}/root{gateway.state}")


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


@pytest.mark.timeout(30)
def test_a_full_disk_stops_no_client_and_loses_nothing(
    loop: str, start: Start, nano: NanoFtpd, tmp_path: Path
) -> None:
    disk = on_a_small_disk(tmp_path, "4m")
    gateway = start(loop=loop, wrap=APART, first=disk)
    state = inside(gateway)
    with gateway.enter(nano) as client:
        client.expect("MKD first", 257)
        fill(state / "ballast")
        names = [f"folder-{number}-{'x' * 200}" for number in range(300)]
        for name in names:
            client.expect(f"MKD {name}", 257)
        gateway.says("ledger.failing", 8)
        [line] = [one for one in gateway.output.splitlines() if "failing" in one]
        assert "make room on the disk" in line
        assert client.fetch("RETR small") == nano.files["small"]
        with gateway.enter(nano) as another:
            another.expect("MKD last", 257)
        (state / "ballast").unlink()
        gateway.says("ledger.works", 10)
        assert gateway.output.count("ledger.failing") == 1

        def all_there() -> bool:
            done = {str(one.get("path")) for one in gateway.records()}
            return {f"/{name}" for name in ["first", *names, "last"]} <= done

        eventually(all_there, "the records")
    assert gateway.process.status is None
    query = "SELECT path FROM records WHERE method = 'MKD'"
    copy = tmp_path / "copy.db"
    for end in ("", "-wal"):
        copy.with_name(f"copy.db{end}").write_bytes(
            (state / f"ledger.db{end}").read_bytes()
        )
    gateway.process.stop()
    assert sorted(path for (path,) in rows(copy, query)) == sorted(
        f"/{name}" for name in ["first", *names, "last"]
    )


def rows(path: Path, query: str) -> list[tuple[str]]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return connection.execute(query).fetchall()


def test_it_ends_in_time_on_a_full_disk(
    loop: str, start: Start, nano: NanoFtpd, tmp_path: Path
) -> None:
    gateway = start(loop=loop, wrap=APART, first=on_a_small_disk(tmp_path, "2m"))
    fill(inside(gateway) / "ballast")
    with gateway.enter(nano) as client:
        for number in range(50):
            client.expect(f"MKD {number}-{'x' * 2000}", 257)
    gateway.says("ledger.failing", 8)
    begun = time.monotonic()
    gateway.process.signal(signal.SIGTERM)
    assert gateway.ends(10) == 0
    assert time.monotonic() - begun < 9
    gateway.says("ledger.unwritten")
    assert "Traceback" not in gateway.output


def serve(folder: Path, text: str, *shell: str) -> tuple[int, str]:
    """Run a gateway that ought to refuse to start."""
    path = folder / "refused.toml"
    path.write_text(text)
    if not shell:
        return portway(folder, "serve", "-c", str(path))
    command = [*APART, "sh", "-ec", f'{shell[0]}\nexec "$@"', "sh"]
    return run([*command, PORTWAY, "serve", "-c", str(path)], seconds=10)


def state_at(path: Path, port: int = 0) -> str:
    text = configuration(port=port).replace("{state}", str(path))
    return text.replace("{records}", str(path.parent / "records.json"))


def test_a_state_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for state in (tmp_path / "file", tmp_path / "file/below"):
        status, output = serve(tmp_path, state_at(state))
        assert status == 1
        line = one_line(output)
        assert line.startswith("portway: ")
        assert str(tmp_path / "file") in line


def test_a_state_folder_that_cannot_be_written(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    mount = f'mount -t tmpfs -o ro none "{state}"'
    status, output = serve(tmp_path, state_at(state), mount)
    assert status == 1
    assert str(state) in one_line(output)


def test_a_disk_that_is_full_from_the_start(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    mount = f"""\
mount -t tmpfs -o size=64k none "{state}"
head -c 65536 /dev/zero >"{state}/ballast" || true"""
    status, output = serve(tmp_path, state_at(state), mount)
    assert status == 1
    line = one_line(output)
    assert "full" in line or "No space left" in line


def test_a_ledger_that_is_none_is_set_aside_aloud(
    loop: str, start: Start, nano: NanoFtpd, tmp_path: Path
) -> None:
    state = tmp_path / "gateway/state"
    state.mkdir(parents=True)
    garbage = b"garbage! " * 1000
    (state / "ledger.db").write_bytes(garbage)
    gateway = start(loop=loop)
    gateway.says("ledger.damaged")
    [old] = state.glob("ledger.db.corrupt-*")
    assert old.read_bytes() == garbage
    assert old.name in gateway.output
    with gateway.enter(nano) as client:
        client.expect("MKD new", 257)
    assert gateway.record_of("MKD")["outcome"] == "ok"
    told = gateway.portway("log", "--json", "--method", "ADMIN")
    assert old.name in told


def test_who_follows_goes_on_with_the_ledger_after_a_damaged_one(
    loop: str, start: Start, nano: NanoFtpd
) -> None:
    gateway = start(configuration(port=free_port()), loop=loop)
    state = gateway.state
    with gateway.enter(nano) as client:
        client.expect("MKD before", 257)
        made = "SELECT 1 FROM records WHERE method = 'MKD'"
        eventually(lambda: bool(gateway.rows(made)), "its row")
    with following(gateway) as follower:
        gateway.process.kill()
        for name in ("ledger.db", "ledger.db-wal"):
            with (state / name).open("r+b") as file:
                file.write(bytes(100))
        gateway.start_again()
        assert gateway.output.count("ledger.damaged") == 2
        assert len(list(state.glob("ledger.db.corrupt-*"))) >= 2
        with gateway.enter(nano) as client:
            for number in range(20):
                client.expect(f"MKD after-{number}", 257)
        eventually(lambda: "/after-19" in follower.output, "what follows")
        found = follower.output
    assert found.count("/after-") == 20
    assert found.count("/before") == 1


def following(gateway: Running) -> Process:
    """Return ``portway log --follow`` once it has shown what there is."""
    words = [
        "log",
        "-c",
        str(gateway.configuration),
        "--follow",
        "--format",
        "combined",
    ]
    process = Process([PORTWAY, *words], gateway.state / "follower")
    eventually(lambda: "/before" in process.output, "what was there")
    return process


def test_a_port_that_is_taken_is_named_with_its_line(tmp_path: Path) -> None:
    with HOME.listen(ADDRESS) as taken:
        port = taken.getsockname()[1]
        text = state_at(tmp_path / "state", port)
        status, output = serve(tmp_path, text)
    number = 1 + text.splitlines().index(f'address = "{ADDRESS}:{port}"')
    line = one_line(output)
    assert status == 2
    start = f"{tmp_path / 'refused.toml'}:"
    assert line.startswith(start)
    assert line.removeprefix(start).split(":")[0] in {str(number), str(number - 2)}
    assert f"{ADDRESS}:{port}" in line
    assert "in use" in line


def test_a_second_gateway_on_one_state_folder_is_refused(
    loop: str, start: Start, nano: NanoFtpd, tmp_path: Path
) -> None:
    gateway = start(loop=loop)
    with gateway.enter(nano) as client, client.data("RETR big") as stream:
        read_exactly(stream, MIB)
        query = "SELECT outcome FROM records WHERE method = 'RETR'"
        eventually(lambda: gateway.rows(query) == [("open",)], "its row")
        status, output = serve(tmp_path, state_at(gateway.state))
        assert status == 1
        line = one_line(output)
        assert str(gateway.state) in line
        assert "another gateway" in line
        assert gateway.rows(query) == [("open",)]
        gateway.portway("reload")  # the control socket is still the first one's


def test_what_a_dead_gateway_left_behind_is_no_hindrance(
    loop: str, start: Start, nano: NanoFtpd
) -> None:
    gateway = start(configuration(port=free_port()), loop=loop)
    gateway.process.kill()
    assert (gateway.state / "control.sock").exists()
    gateway.start_again()
    gateway.portway("reload")
    with gateway.enter(nano) as client:
        client.expect("NOOP", 200)


def test_a_control_socket_takes_whatever_is_said(loop: str, start: Start) -> None:
    gateway = start(loop=loop)
    before = gateway.held
    path = str(gateway.state / "control.sock")
    assert Path(path).stat().st_mode & 0o077 == 0
    for words in (b"", b"\0\xff\n", b"[]\n", b'{"command": 5}\n', b"x" * (2 * MIB)):
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(5)
            stream.connect(path)
            try:
                stream.sendall(words)
                stream.shutdown(socket.SHUT_WR)
                stream.recv(1000)
            except ConnectionError:
                pass
    gateway.portway("reload")
    gateway.nothing_left(before)
