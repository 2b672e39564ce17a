"""HAProxy, which leads to one server: bytes, TLS put on in between, or HTTP requests.

Not here: fetching it (install.py), and those that know more ways (rivals.py, doors.py).
Invariant: it is set up as Debian has it, checks the server's certificate where there is
TLS, and logs nothing but in front of HTTP.
"""

from pathlib import Path

from bench.peers import install
from bench.peers.peer import binary, libraries
from bench.processes import LOOPBACK, Command

NAME = "HAProxy"


def version() -> str:
    """Return the version; empty if it is not there."""
    return install.version("haproxy", "haproxy")


def _command(folder: Path, port: int, server: str, *options: str) -> Command:
    lines = "".join(f"  {option}\n" for option in options)
    configuration = folder / "haproxy.cfg"
    configuration.write_text(
        f"""defaults
  timeout connect 10s
  timeout client 5m
  timeout server 5m

listen bench
  bind {LOOPBACK}:{port}
{lines}  server bench {LOOPBACK}:{server}
""",
        encoding="utf-8",
    )
    program = str(binary("haproxy", "usr/sbin/haproxy"))
    words = (program, "-db", "-q", "-f", str(configuration))
    return Command(words, libraries("haproxy"), hello=b"")


def command(folder: Path, port: int, server: int, ca: Path) -> Command:
    """Return what starts a TCP proxy that leads to *server* inside TLS."""
    inside = f"{server} ssl verify required ca-file {ca}"
    return _command(folder, port, inside, "mode tcp")


def tcp(folder: Path, port: int, server: int) -> Command:
    """Return what starts a TCP proxy that leads to *server*, and may splice."""
    return _command(folder, port, str(server), "mode tcp", "option splice-auto")


def http(folder: Path, port: int, server: int) -> Command:
    """Return what starts a reverse proxy of *server*, with its log on its output."""
    options = ("mode http", "option httplog", "log stdout format raw local0")
    return _command(folder, port, str(server), *options, "option splice-auto")
