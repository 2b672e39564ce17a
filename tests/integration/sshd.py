"""OpenSSH's server with SFTP, which most SFTP servers are.

It wants accounts of the system, so it sees files of ours in place of the machine's, in
a mount namespace of its own.

Not here: what is asked of it. Invariant: it lets in the one user of the tests, by the
password or by the key that lies in its folder.
"""

import os
import shlex
from pathlib import Path

from tests.integration.network import Namespace, wan_address
from tests.integration.process import Process, eventually, run
from tests.integration.servers import (
    HASHED,
    OWNER,
    PASSWORD,
    PEERS,
    SAMPLE_SIZE,
    USER,
    Server,
)

SSHD = PEERS / "openssh/usr/sbin/sshd"
HOST = "vsftpd"  # the host of the WAN whose addresses it shares, at port 22


def start(place: Namespace, folder: Path) -> Server:
    """Start it on port 22 of either family, and wait until it is up."""
    root = folder / "root"
    files = root / "files"
    files.mkdir(parents=True)
    files.chmod(0o777)
    (files / "sample.bin").write_bytes(os.urandom(SAMPLE_SIZE))
    for name in ("host", "user"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        status, output = run(make)
        assert status == 0, output
    addresses = {family: wan_address(HOST, family) for family in (4, 6)}
    process = Process(place.command(*_command(folder, root)), folder / "log")

    def up() -> bool:
        assert process.status is None, process.output
        try:
            for address in addresses.values():
                place.connect(address, 22).close()
        except ConnectionRefusedError:
            return False
        return True

    eventually(up, f"sshd:\n{process.output}")
    return Server("sshd", addresses, root, USER, PASSWORD, (process,))


def _command(folder: Path, root: Path) -> list[str]:
    addresses = "\n".join(
        f"ListenAddress {address if ':' not in address else f'[{address}]'}"
        for address in (wan_address(HOST, family) for family in (4, 6))
    )
    settings = folder / "sshd_config"
    settings.write_text(f"""\
Port 22
{addresses}
HostKey {folder}/host
PidFile none
UsePAM no
UseDNS no
StrictModes no
PasswordAuthentication yes
KbdInteractiveAuthentication no
AuthorizedKeysFile {folder}/user.pub
Subsystem sftp internal-sftp
MaxStartups 100
""")
    lines = {
        "passwd": (
            "sshd:x:74:74::/run/sshd:/usr/sbin/nologin\n"
            f"{USER}:x:{OWNER}:{OWNER}::{root}:/bin/sh\n"
        ),
        "shadow": f"{USER}:{HASHED}:19000:0:99999:7:::\n",
    }
    steps = []
    for name, more in lines.items():
        (folder / name).write_text(Path("/etc", name).read_text() + more)
        steps.append(f"mount --bind {shlex.quote(str(folder / name))} /etc/{name}")
    tiny = root / "tiny"
    tiny.mkdir()
    steps += [
        "mount -t tmpfs tmpfs /run",
        "mkdir /run/sshd",
        f"mount -t tmpfs -o size=1m,mode=777 tmpfs {shlex.quote(str(tiny))}",
    ]
    program = shlex.join([str(SSHD), "-D", "-e", "-f", str(settings)])
    return ["unshare", "-m", "sh", "-c", " && ".join([*steps, f"exec {program}"])]


def known(folder: Path) -> str:
    """Return the lines of a known_hosts file that its key has."""
    kind, key, *_ = (folder / "host.pub").read_text().split()
    names = ",".join(wan_address(HOST, family) for family in (4, 6))
    return f"{names} {kind} {key}\n"
