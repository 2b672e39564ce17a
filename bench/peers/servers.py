"""The servers behind the proxies: vsftpd for bulk over FTP, our own for all else.

Not here: the proxies. Invariant: files lie in memory where there is room, so that no
disk decides who is fast.
"""

import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.peers.install import ROOT, version
from bench.peers.peer import binary, libraries
from bench.processes import LOOPBACK, Command, Running, free_port, run

ACCOUNT = "mail"  # vsftpd wants an account with a home for its anonymous users
PROGRAM = ("vsftpd", "usr/sbin/vsftpd")


@dataclass(frozen=True, slots=True)
class Vsftpd:
    """A vsftpd that runs; *uploads* is where STOR puts its files."""

    running: Running
    uploads: Path


def vsftpd_version() -> str:
    """Return vsftpd's version; empty if it is not there."""
    return version("vsftpd", "vsftpd")


def _inside_tls(pem: Path | None) -> dict[str, object]:
    """Return what makes vsftpd take nothing in clear; *pem* has certificate and key."""
    if pem is None:
        return {}
    wanted = ("ssl_enable", "allow_anon_ssl", "force_anon_logins_ssl")
    return {
        **dict.fromkeys([*wanted, "force_anon_data_ssl"], "YES"),
        "ssl_ciphers": "HIGH",
        "rsa_cert_file": pem,
    }


@contextmanager
def vsftpd(
    folder: Path, files: Path, size: int, *, pem: Path | None = None
) -> Iterator[Vsftpd]:
    """Run vsftpd with ``/big`` of *size* bytes to fetch, and ``/in`` to store to.

    *folder* is for its configuration, *files* for what it serves. With a *pem* it is
    inside TLS, control and data.
    """
    port = free_port()
    for path in (files, files / "in", folder / "empty"):
        path.mkdir(mode=0o755, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(files / "in", pwd.getpwnam(ACCOUNT).pw_uid, -1)
    block = bytes(1 << 20)
    with (files / "big").open("wb") as big:
        for _ in range(size >> 20):
            big.write(block)
    options = {
        "listen": "YES",
        "listen_ipv6": "NO",
        "listen_address": LOOPBACK,
        "listen_port": port,
        "background": "NO",
        "anonymous_enable": "YES",
        "no_anon_password": "NO",
        "ftp_username": ACCOUNT,
        "anon_root": files,
        "write_enable": "YES",
        "anon_upload_enable": "YES",
        "anon_other_write_enable": "YES",
        "anon_umask": "022",
        "secure_chroot_dir": folder / "empty",
        "seccomp_sandbox": "NO",
        "isolate": "NO",
        "isolate_network": "NO",
        "xferlog_enable": "NO",
        "run_as_launching_user": "NO" if os.geteuid() == 0 else "YES",
        **_inside_tls(pem),
    }
    configuration = folder / "vsftpd.conf"
    text = "".join(f"{name}={value}\n" for name, value in options.items())
    configuration.write_text(text, encoding="utf-8")
    words = (str(binary(*PROGRAM)), str(configuration))
    try:
        with run(Command(words, libraries("vsftpd")), port, folder) as running:
            yield Vsftpd(running, files / "in")
    finally:
        (files / "big").unlink()  # memory that the next one needs


def load_server(folder: Path) -> AbstractContextManager[Running]:
    """Run our own fast FTP server, which takes every login and costs little."""
    return _own("bench.server", folder, b"220")


def origin(folder: Path) -> AbstractContextManager[Running]:
    """Run our own fast HTTP server, which also echoes what is no request."""
    return _own("bench.origin", folder, b"")


def byte_server(folder: Path) -> AbstractContextManager[Running]:
    """Run our own server that gives and takes bytes, in clear."""
    return _own("bench.bytes", folder, b"")


@contextmanager
def _own(module: str, folder: Path, hello: bytes) -> Iterator[Running]:
    port = free_port()
    words = (sys.executable, "-m", module, str(port))
    command = Command(words, {"PYTHONPATH": str(ROOT)}, hello)
    with run(command, port, folder) as running:
        yield running
