"""A real PostgreSQL on a socket of its own, from Debian's unpacked package.

Not here: what is asked of it. Invariant: what is started is stopped by its number.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg

BINARIES = Path(__file__).parents[2] / ".peers/postgres/usr/lib/postgresql/15/bin"
NOBODY = 65534  # it refuses to run as root
ROLE = "portway"

SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{folder}'
fsync = {fsync}
full_page_writes = {fsync}
jit = off
shared_buffers = 128MB
max_connections = 40
log_min_messages = fatal
"""


class Postgres:
    """One cluster in a folder of its own. *fsync* off is for tests: it is faster."""

    def __init__(self, *, fsync: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="portway-postgres-", dir="/tmp"))
        self._data = self.folder / "data"
        self._who = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        if os.geteuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
        else:
            self._who = {}
        self._run("initdb", "--no-sync", "-U", ROLE, "-A", "trust", "-E", "UTF8")
        settings = SETTINGS.format(folder=self.folder, fsync="on" if fsync else "off")
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(settings)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._run("pg_ctl", "-w", "-l", f"{self.folder}/log", "start")

    def stop(self, how: str = "immediate") -> None:
        """Stop it; *immediate* is as if the machine had lost it."""
        self._run("pg_ctl", "-w", "-m", how, "stop")

    def end(self) -> None:
        """Stop it, and remove all of it."""
        self.stop()
        shutil.rmtree(self.folder)

    def url(self, database: str) -> str:
        return f"postgresql://{ROLE}@/{database}?host={self.folder}"

    def connect(
        self, database: str = "postgres"
    ) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.url(database), autocommit=True)

    def make(self, database: str, more: str = "") -> str:
        """Make an empty database; return its URL."""
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {database} {more}")
        return self.url(database)

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [BINARIES / program, "-D", self._data, *words],
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
            **self._who,  # type: ignore[call-overload]
        )
        assert done.returncode == 0, done.stdout
