import os
import socket
import subprocess
import sys
from pathlib import Path

from portway.net.systemd import notify, take_sockets


def test_without_systemd_there_are_no_sockets() -> None:
    assert take_sockets({}) == {}
    assert take_sockets({"LISTEN_FDS": "1", "LISTEN_PID": "1"}) == {}


def test_sockets_that_were_handed_over_are_taken_once() -> None:
    program = """
import os, socket
from portway.net.systemd import take_sockets
environment = {"LISTEN_FDS": "2", "LISTEN_PID": str(os.getpid())}
found = take_sockets(environment)
for endpoint, sock in found.items():
    print(endpoint, sock.gettimeout(), os.get_inheritable(sock.fileno()))
print(environment, take_sockets(environment))
"""
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):

        def place() -> None:
            os.dup2(tcp.fileno(), 93)
            os.dup2(udp.fileno(), 94)
            os.dup2(93, 3)
            os.dup2(94, 4)

        done = subprocess.run(
            [sys.executable, "-c", program],
            preexec_fn=place,
            pass_fds=(3, 4),
            capture_output=True,
            text=True,
            check=True,
        )
        port = tcp.getsockname()[1]
    assert done.stdout.splitlines() == [f"127.0.0.1:{port} 0.0 False", "{} {}"]


def test_readiness_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.settimeout(5)
        notify("READY=1", {"NOTIFY_SOCKET": path})
        assert systemd.recv(64) == b"READY=1"


def test_nobody_to_tell_is_no_fault(tmp_path: Path) -> None:
    notify("READY=1", {})
    notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "gone")})
