"""The gateway and its peers as processes, which a test can hurt and look into.

Not here: what is done to them. Invariant: nothing listens but on loopback, on a port
that the kernel chose or that was free a moment ago.
"""

import os
import re
import socket
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from tests.integration.gateway import PORTWAY, Gateway, Held
from tests.integration.nanoftpd import NanoFtpd
from tests.integration.network import Place
from tests.integration.process import Process, eventually, run
from tests.integration.speaker import Speaker

HERE = Path(__file__).parent
HOME = Place()
ADDRESS = "127.0.0.1"
LOOPS = ("asyncio", "uvloop")
MIB = 1 << 20
TICKS = os.sysconf("SC_CLK_TCK")

RULES = """\
[[rules]]
name = "this machine"
who = ["127.0.0.0/8", "::1"]
to = ["*", "inside"]
then = "allow"
"""


def configuration(
    *,
    gateway: str = "",
    listen: str = "",
    upstream: str = "",
    rules: str = RULES,
    more: str = "",
    port: int = 0,
) -> str:
    """Return a configuration with one door; each argument is lines of its table."""
    return f"""\
[gateway]
name = "edge"
state = "{{state}}"
{gateway}

[listen.ftp]
protocol = "ftp"
address = "{ADDRESS}:{port}"
{listen}

[listen.ftp.upstream]
{upstream}

{rules}
[[ledger.file]]
path = "{{records}}"

{more}
"""


class Running(Gateway):
    """A running gateway in *folder*.

    *first* is shell that runs before it in the same process, *wrap* a command that
    runs that shell in turn.
    """

    def __init__(
        self,
        folder: Path,
        text: str = "",
        *,
        loop: str = "uvloop",
        first: str = "",
        wrap: tuple[str, ...] = (),
        program: tuple[str, ...] = (PORTWAY,),
        users: Mapping[str, str] | None = None,
    ) -> None:
        # a gateway does not outlive a test run that was killed
        shell = f'{first}\nexec setpriv --pdeathsig KILL "$@" --loop {loop}'
        super().__init__(
            HOME,
            folder,
            text or configuration(),
            before=(*wrap, "sh", "-ec", shell, "sh"),
            program=program,
            users=users,
        )

    @property
    def port(self) -> int:
        """Where the door called ftp is."""
        found = re.search(
            r"^ftp listens on \S+:(\d+) \(listen.ftp\)$", self.output, re.MULTILINE
        )
        assert found, self.output
        return int(found[1])

    def client(self) -> Speaker:
        """Return a client that was greeted."""
        return Speaker(HOME, ADDRESS, self.port)

    def enter(self, server: "NanoFtpd | Served", password: str = "s3cret") -> Speaker:
        """Return a client that is logged in to *server*."""
        client = self.client()
        client.login(f"joe@{ADDRESS}:{server.port}", password)
        return client

    def raw(self) -> socket.socket:
        """Return a connection to the door, of which nothing was read."""
        return HOME.connect(ADDRESS, self.port)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return what *query* finds in the ledger."""
        path = self.state / "ledger.db"
        with closing(sqlite3.connect(path, timeout=5)) as connection:
            return connection.execute(query).fetchall()

    def record_of(
        self, method: str, server: "NanoFtpd | Served | None" = None
    ) -> Mapping[str, object]:
        """Wait for the one fresh record of *method*, at *server*; return it."""

        def of(records: list[Mapping[str, object]]) -> list[Mapping[str, object]]:
            return [
                one
                for one in records
                if one["method"] == method
                and (server is None or one["port"] == server.port)
            ]

        [record] = of(self.wait_for(lambda records: bool(of(records))))
        return record

    def says(self, word: str, seconds: float = 5.0) -> None:
        """Wait until *word* is in its output."""
        try:
            eventually(lambda: word in self.output, f"it says {word}", seconds)
        except AssertionError as error:
            msg = f"{error}:\n{self.output}"
            raise AssertionError(msg) from error

    def ends(self, seconds: float) -> int:
        """Wait for its end; return the exit status."""
        return self.process.wait(seconds)

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text()
        words = text.rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / TICKS

    @property
    def memory(self) -> int:
        """Bytes of memory that are its own."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB$", text, re.MULTILINE)
        assert found, text
        return int(found[1]) << 10

    @property
    def children(self) -> str:
        """The processes that it has started, by number."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return "".join((task / "children").read_text() for task in tasks)

    def nothing_left(self, before: Held) -> None:
        """Wait until it holds what it held *before*.

        The pool of pipes is its own affair, and so is the log file, which it opens
        with its first record.
        """
        self.lets_go(before)
        most = before.others + 1
        eventually(lambda: self.held.others <= most, f"no more than {most} others")
        assert self.children == ""
        assert "Traceback" not in self.output, self.output


class Served:
    """pyftpdlib in a process of its own: user joe, password s3cret, *folder*."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        command = [sys.executable, str(HERE / "server.py"), str(folder)]
        self.process = Process(command, folder.with_suffix(".output"))

        def up() -> bool:
            assert self.process.status is None, self.process.output
            return "port " in self.process.output

        eventually(up, "the server is up", 10)

    @property
    def port(self) -> int:
        found = re.search(r"^port (\d+)$", self.process.output, re.MULTILINE)
        assert found
        return int(found[1])

    def stop(self) -> None:
        self.process.stop(0)


def moving(gateway: Running, server: NanoFtpd, command: str, log: Path) -> Process:
    """Return a client in a process of its own that is amid the transfer *command*."""
    program = str(HERE / "client.py")
    where = [str(gateway.port), f"joe@{ADDRESS}:{server.port}", command]
    client = Process([sys.executable, program, *where], log)

    def amid() -> bool:
        assert client.status is None, client.output
        return "moving" in client.output

    eventually(amid, "the client is amid its transfer")
    return client


def read_exactly(stream: socket.socket, count: int) -> bytes:
    """Return the next *count* bytes."""
    parts: list[bytes] = []
    while count:
        data = stream.recv(min(count, 65536))
        assert data, "it ended too early"
        parts.append(data)
        count -= len(data)
    return b"".join(parts)


def read_to_the_end(stream: socket.socket) -> bytes:
    """Return all that comes until the end, be it a reset or not."""
    parts: list[bytes] = []
    try:
        while data := stream.recv(65536):
            parts.append(data)
    except ConnectionError:
        pass
    return b"".join(parts)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with HOME.listen(ADDRESS) as listener:
        port: int = listener.getsockname()[1]
        return port


def refused(port: int) -> bool:
    """Say whether nobody listens on *port*."""
    try:
        HOME.connect(ADDRESS, port).close()
    except ConnectionRefusedError:
        return True
    return False


def portway(folder: Path, *words: str, given: str = "") -> tuple[int, str]:
    """Run ``portway WORDS`` in *folder*; return its status and all that it prints."""
    environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    return run(
        [PORTWAY, *words],
        given=given,
        environment=environment,
        folder=folder,
        seconds=15,
    )


def one_line(output: str) -> str:
    """Return the one line that *output* must be."""
    assert "Traceback" not in output, output
    [line] = output.splitlines()
    return line
