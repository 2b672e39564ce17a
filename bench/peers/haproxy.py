"""HAProxy, which knows no FTP: bytes in clear on one side, inside TLS on the other.

Not here: fetching it (install.py), and those that do know FTP (rivals.py). Invariant:
it is set up as Debian has it, checks the server's certificate, and logs nothing.
"""

from pathlib import Path

from bench.peers import install
from bench.peers.peer import binary, libraries
from bench.processes import LOOPBACK, Command

NAME = "HAProxy"


def version() -> str:
    """Return the version; empty if it is not there."""
    return install.version("haproxy", "haproxy")


def command(folder: Path, port: int, server: int, ca: Path) -> Command:
    """Write a configuration that leads to *server*, and return what to start."""
    configuration = folder / "haproxy.cfg"
    configuration.write_text(
        f"""defaults
  mode tcp
  timeout connect 10s
  timeout client 5m
  timeout server 5m

listen bench
  bind {LOOPBACK}:{port}
  server bytes {LOOPBACK}:{server} ssl verify required ca-file {ca}
""",
        encoding="utf-8",
    )
    program = str(binary("haproxy", "usr/sbin/haproxy"))
    words = (program, "-db", "-q", "-f", str(configuration))
    return Command(words, libraries("haproxy"), hello=b"")
