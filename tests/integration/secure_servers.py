"""The real FTP servers inside TLS, each as strict as it can be told to be.

They stand beside the plain ones, on ports of their own: one for each version of TLS.

Not here: the servers without TLS (servers.py). Invariant: none of them takes a login in
clear, and those that can refuse data which resume no session do refuse them.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import Certificates, issue
from tests.integration.network import Namespace, wan_address, wan_name
from tests.integration.process import Process, eventually
from tests.integration.servers import (
    NAMES,
    SAMPLE_SIZE,
    SERVERS,
    Server,
)

VERSIONS = ("1.2", "1.3")
# Port 990 is for TLS at once, which vsftpd alone is made to have here.
PORTS = {"1.2": 2112, "1.3": 2113, "implicit": 990}
CERTIFIED = tuple(wan_name(name, 4) for name in NAMES)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One server to be: *kind* is a key of PORTS."""

    name: str
    kind: str
    folder: Path
    pem: Path

    @property
    def port(self) -> int:
        return PORTS[self.kind]

    @property
    def version(self) -> str:
        return self.kind if self.kind in VERSIONS else "1.3"


def certificates(folder: Path) -> Certificates:
    """Return certificates for all the servers."""
    return issue(folder, *CERTIFIED)


def start(
    name: str, kind: str, place: Namespace, folder: Path, signed: Certificates
) -> Server:
    """Start the server called *name*, on IPv4, and wait until it is up."""
    root = folder / "root"
    files = root / "files"
    files.mkdir(parents=True)
    for path in (*reversed(folder.parents), folder, root):
        path.chmod(path.stat().st_mode | 0o055)  # they serve as somebody else
    files.chmod(0o777)
    (files / "sample.bin").write_bytes(os.urandom(SAMPLE_SIZE))
    pem = folder / "server.pem"
    parts = (Path(signed.key), Path(signed.certificate))
    pem.write_bytes(b"".join(part.read_bytes() for part in parts))
    pem.chmod(0o600)
    wanted = Wanted(name, kind, folder, pem)
    address = wan_address(name, 4)
    prepare, login = SERVERS[name]
    *command, log = prepare(folder / "plain", root, address)
    command = _SECURE[name](wanted, command)
    process = Process(place.command(*command), Path(log))

    def up() -> bool:
        assert process.status is None, f"{name} ended:\n{process.output}"
        try:
            place.connect(address, wanted.port).close()
        except ConnectionRefusedError:
            return False
        return True

    eventually(up, f"{name} at {address}:\n{process.output}")
    return Server(name, {4: address}, root, *login, (process,))


def _only(wanted: Wanted, command: list[str]) -> list[str]:
    """Make OpenSSL speak one version to *command*, which has no key for it."""
    settings = wanted.folder / "openssl.cnf"
    settings.write_text(f"""\
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = default
[default]
MinProtocol = TLSv{wanted.version}
MaxProtocol = TLSv{wanted.version}
""")
    return ["env", f"OPENSSL_CONF={settings}", *command]


# Each of these makes the command of a plain server one that runs it inside TLS.


def _vsftpd(wanted: Wanted, command: list[str]) -> list[str]:
    with Path(command[1]).open("a") as settings:
        settings.write(f"""\
listen_port={wanted.port}
implicit_ssl={"YES" if wanted.kind == "implicit" else "NO"}
ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
require_ssl_reuse=YES
strict_ssl_read_eof=YES
strict_ssl_write_shutdown=YES
ssl_ciphers=HIGH
rsa_cert_file={wanted.pem}
""")
    return _only(wanted, command)


def _proftpd(wanted: Wanted, command: list[str]) -> list[str]:
    settings = Path(command[-1])
    text = settings.read_text().replace("Port 21\n", f"Port {wanted.port}\n")
    head, _, rest = text.partition("ServerType")
    settings.write_text(f"""{head}LoadModule mod_tls.c
ServerType{rest}
TLSEngine on
TLSRequired on
TLSProtocol TLSv{wanted.version}
TLSECCertificateFile {wanted.pem}
TLSECCertificateKeyFile {wanted.pem}
TLSLog {wanted.folder}/tls.log
""")
    return command


def _pure_ftpd(wanted: Wanted, command: list[str]) -> list[str]:
    at = command.index("-S") + 1
    command[at] = command[at].replace(",21", f",{wanted.port}")
    return _only(wanted, [*command, "-Y", "2", "-2", str(wanted.pem)])


def _pyftpdlib(wanted: Wanted, command: list[str]) -> list[str]:
    program = str(Path(__file__).with_name("secure_pyftpd.py"))
    words = [str(wanted.pem), wanted.version, str(wanted.port)]
    return [sys.executable, program, *words, *command[2:]]


_SECURE: Mapping[str, Callable[[Wanted, list[str]], list[str]]] = {
    "vsftpd": _vsftpd,
    "proftpd": _proftpd,
    "pure-ftpd": _pure_ftpd,
    "pyftpdlib": _pyftpdlib,
}
