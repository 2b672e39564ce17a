"""The real FTP servers, each on port 21 of an address of its own in the WAN.

Not here: the scripted one (nanoftpd.py). Invariant: every server serves a folder laid
out alike: ``files/sample.bin`` to fetch, and ``files`` itself to write into.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.network import Namespace, wan_address
from tests.integration.process import Process, eventually, run

PEERS = Path(__file__).parents[2] / ".peers"
SAMPLE_SIZE = 300_007  # no multiple of any buffer
NAMES = ("vsftpd", "proftpd", "pure-ftpd", "pyftpdlib")
USER = "joe"
PASSWORD = "s3cret"
HASHED = "$5$portway$icMEk30G0nSUCi9mB3cTKW1yu9/to.rdc2rVy8/7Ty."  # crypt(3) of it
OWNER = 1  # the account that pure-ftpd and proftpd serve as: Debian's ``daemon``


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: *addresses* by family, the *folder* it serves, its login."""

    name: str
    addresses: Mapping[int, str]
    folder: Path
    user: str
    password: str
    processes: tuple[Process, ...] = field(repr=False)

    @property
    def files(self) -> Path:
        return self.folder / "files"

    @property
    def sample(self) -> str:
        """The digest of ``files/sample.bin``."""
        return digest(self.files / "sample.bin")

    @property
    def output(self) -> str:
        return "\n".join(process.output for process in self.processes)

    def stop(self) -> None:
        for process in self.processes:
            process.stop(1)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, or a word if it is not there."""
    if not path.exists():
        return "no such file"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def start(name: str, place: Namespace, folder: Path) -> Server:
    """Start the server called *name*, once for each family, and wait until it is up.

    *folder* is where it finds its files, and keeps its configuration and its log.
    """
    root = folder / "root"
    files = root / "files"
    files.mkdir(parents=True)
    for path in (*reversed(folder.parents), folder):
        if not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)  # they serve as somebody else
    root.chmod(0o755)
    files.chmod(0o777)
    (files / "sample.bin").write_bytes(os.urandom(SAMPLE_SIZE))
    prepare, login = SERVERS[name]
    addresses = {family: wan_address(name, family) for family in (4, 6)}
    processes = tuple(
        _run(name, place, address, prepare(folder / f"ipv{family}", root, address))
        for family, address in addresses.items()
    )
    return Server(name, addresses, root, *login, processes)


def _run(name: str, place: Namespace, address: str, command: list[str]) -> Process:
    log = Path(command.pop())
    process = Process(place.command(*command), log)

    def up() -> bool:
        if process.status is not None:
            msg = f"{name} ended with {process.status}:\n{process.output}"
            raise AssertionError(msg)
        try:
            place.connect(address, 21).close()
        except ConnectionRefusedError:
            return False
        return True

    eventually(up, f"{name} at {address}:\n{process.output}")
    return process


# Each of these returns the command that runs the server, and then where it logs.


def _vsftpd(folder: Path, root: Path, address: str) -> list[str]:
    folder.mkdir()
    empty = folder / "empty"
    empty.mkdir(mode=0o555)
    v6 = ":" in address
    settings = folder / "vsftpd.conf"
    settings.write_text(f"""\
listen={"NO" if v6 else "YES"}
listen_ipv6={"YES" if v6 else "NO"}
{"listen_address6" if v6 else "listen_address"}={address}
anonymous_enable=YES
ftp_username=mail
anon_root={root}
local_enable=NO
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_world_readable_only=NO
anon_umask=022
secure_chroot_dir={empty}
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
background=NO
connect_from_port_20=NO
xferlog_enable=NO
vsftpd_log_file={folder}/vsftpd.log
""")
    program = str(PEERS / "vsftpd/usr/sbin/vsftpd")
    return [program, str(settings), str(folder / "output")]


def _proftpd(folder: Path, root: Path, address: str) -> list[str]:
    folder.mkdir()
    users = folder / "passwd"
    users.write_text(f"{USER}:{HASHED}:{OWNER}:{OWNER}::{root}:/bin/false\n")
    users.chmod(0o600)
    tree = PEERS / "proftpd"
    settings = folder / "proftpd.conf"
    settings.write_text(f"""\
ModulePath {tree}/usr/lib/proftpd
ServerType standalone
ServerName "proftpd of the tests"
ServerIdent on "ProFTPD of the tests"
DefaultAddress {address}
SocketBindTight on
UseIPv6 on
Port 21
User daemon
Group daemon
DefaultServer on
DefaultRoot ~
AuthOrder mod_auth_file.c
AuthUserFile {users}
RequireValidShell off
UseFtpUsers off
UseReverseDNS off
WtmpLog off
TransferLog none
PidFile {folder}/pid
ScoreboardFile {folder}/scoreboard
DelayEngine off
AllowOverwrite on
AllowStoreRestart on
Umask 022
""")
    program = str(tree / "usr/sbin/proftpd")
    command = [program, "-n", "-q", "-c", str(settings)]
    return [*command, str(folder / "output")]


def _pure_ftpd(folder: Path, root: Path, address: str) -> list[str]:
    folder.mkdir()
    tree = PEERS / "pure-ftpd/usr"
    users = folder / "users"
    base = folder / "users.pdb"
    # By hand, since pure-pw hashes so thoroughly that a login takes seconds.
    users.write_text(f"{USER}:{HASHED}:{OWNER}:{OWNER}::{root}/./{':' * 12}\n")
    make = [str(tree / "bin/pure-pw"), "mkdb", str(base), "-f", str(users)]
    status, output = run(make)
    if status:
        msg = f"pure-pw: {output}"
        raise AssertionError(msg)
    command = [
        str(tree / "sbin/pure-ftpd"),
        "-S",
        f"{address},21",
        "-l",
        f"puredb:{base}",
        *["-E", "-H", "-A", "-u", "1"],
        "-g",
        str(folder / "pid"),
    ]
    return [*command, str(folder / "output")]


def _pyftpdlib(folder: Path, root: Path, address: str) -> list[str]:
    folder.mkdir()
    program = str(Path(__file__).with_name("pyftpd.py"))
    command = [sys.executable, program, address, str(root), USER, PASSWORD]
    return [*command, str(folder / "output")]


SERVERS: Mapping[
    str, tuple[Callable[[Path, Path, str], list[str]], tuple[str, str]]
] = {
    "vsftpd": (_vsftpd, ("anonymous", "me@example.org")),
    "proftpd": (_proftpd, (USER, PASSWORD)),
    "pure-ftpd": (_pure_ftpd, (USER, PASSWORD)),
    "pyftpdlib": (_pyftpdlib, (USER, PASSWORD)),
}
