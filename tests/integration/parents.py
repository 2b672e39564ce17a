"""The real proxies that a gateway may have to go through, in the WAN.

Not here: what goes through them. Invariant: each listens on an address of its own, and
reaches servers from there.
"""

import os
import pwd
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.gateway import Gateway
from tests.integration.network import THIRD_PARTY, Namespace, wan_address
from tests.integration.process import Process, eventually, run
from tests.integration.servers import HASHED, PASSWORD, PEERS

HOST = THIRD_PARTY[4]
USER = "fu"
SOCKS, SOCKS_LOGIN, HTTP, HTTP_LOGIN, SUSE, OPEN, CLOSED = range(1080, 1087)
NOBODY = "nobody"
FORBIDDEN = wan_address("liar", 4)  # which none of them reaches


@dataclass(frozen=True, slots=True)
class Parents:
    """Those that run: *secret* is the file of the password, *logs* what they say."""

    secret: Path
    logs: tuple[Path, ...]


@contextmanager
def parents(place: Namespace, folder: Path) -> Iterator[Parents]:
    """Start them all in *place*."""
    folder.mkdir()
    folder.chmod(0o755)
    secret = folder / "secret"
    secret.write_text(f"{PASSWORD}\n")
    secret.chmod(0o600)
    with ExitStack() as stack:
        logs = []
        for name, port, command in (
            ("dante", SOCKS, _dante(folder / "dante", SOCKS)),
            ("dante-login", SOCKS_LOGIN, _dante(folder / "login", SOCKS_LOGIN)),
            ("squid", HTTP, _squid(folder / "squid", HTTP)),
            ("squid-login", HTTP_LOGIN, _squid(folder / "squid-login", HTTP_LOGIN)),
            ("suse", SUSE, _suse(folder / "suse")),
        ):
            log = folder / f"{name}.log"
            logs.append(log)
            process = Process(place.command(*command), log)
            stack.callback(process.stop, 1)
            _wait(process, place, port)
        users = {USER: PASSWORD}
        text = _portway()
        stack.enter_context(Gateway(place, folder / "portway", text, users=users))
        yield Parents(secret, tuple(logs))


def _wait(process: Process, place: Namespace, port: int) -> None:
    def up() -> bool:
        assert process.status is None, process.output
        try:
            place.connect(HOST, port).close()
        except ConnectionRefusedError:
            return False
        return True

    try:
        eventually(up, f"port {port} is open", 10)
    except AssertionError as error:
        raise AssertionError(process.output) from error


# Each of these returns the command that runs the proxy.


def _dante(folder: Path, port: int) -> list[str]:
    """With a login, it knows accounts of the system alone: it is given one."""
    folder.mkdir()
    settings = folder / "danted.conf"
    method = "username" if port == SOCKS_LOGIN else "none"
    settings.write_text(f"""\
logoutput: stderr
internal: {HOST} port = {port}
external: {HOST}
clientmethod: none
socksmethod: {method}
user.privileged: root
user.unprivileged: {NOBODY}
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks block {{ from: 0.0.0.0/0 to: {FORBIDDEN}/32 command: connect }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 command: bind connect }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 command: bindreply }}
""")
    program = [str(PEERS / "dante/usr/sbin/danted"), "-f", str(settings), "-N", "1"]
    program += ["-p", str(folder / "pid")]
    if method == "none":
        return program
    number = pwd.getpwnam(NOBODY).pw_uid
    for name, line in (
        ("passwd", f"{USER}:x:{number}:{number}::/:/bin/false\n"),
        ("shadow", f"{USER}:{HASHED}:19000:0:99999:7:::\n"),
    ):
        there = Path("/etc", name)
        (folder / name).write_text(there.read_text() + line)
    mounts = [
        f"mount --bind {shlex.quote(str(folder / name))} /etc/{name}"
        for name in ("passwd", "shadow")
    ]
    shell = " && ".join([*mounts, f"exec {shlex.join(program)}"])
    return ["unshare", "-m", "sh", "-c", shell]


def _squid(folder: Path, port: int) -> list[str]:
    folder.mkdir()
    tree = PEERS / "squid/usr"
    os.chown(folder, pwd.getpwnam(NOBODY).pw_uid, -1)
    login = ""
    if port == HTTP_LOGIN:
        users = folder / "users"
        status, output = run(["htpasswd", "-bc", str(users), USER, PASSWORD])
        assert status == 0, output
        users.chmod(0o644)
        helper = f"{tree}/lib/squid/basic_ncsa_auth {users}"
        login = f"""\
auth_param basic program {helper}
auth_param basic children 1
auth_param basic realm tests
acl known proxy_auth REQUIRED
http_access deny !known
"""
    settings = folder / "squid.conf"
    settings.write_text(f"""\
http_port {HOST}:{port}
tcp_outgoing_address {HOST}
{login}
acl forbidden dst {FORBIDDEN}/32
http_access deny forbidden
http_access allow all
cache deny all
cache_mem 8 MB
cache_effective_user {NOBODY}
access_log stdio:{folder}/access.log
cache_log {folder}/cache.log
cache_store_log none
pid_filename {folder}/squid.pid
coredump_dir {folder}
error_directory {tree}/share/squid/errors/templates
icon_directory {tree}/share/squid/icons
mime_table {tree}/share/squid/mime.conf
unlinkd_program {tree}/lib/squid/unlinkd
pinger_enable off
netdb_filename none
max_filedescriptors 1024
shutdown_lifetime 0 seconds
visible_hostname tests
""")
    return [str(tree / "sbin/squid"), "-N", "-f", str(settings)]


def _suse(folder: Path) -> list[str]:
    folder.mkdir()
    settings = folder / "ftp-proxy.conf"
    settings.write_text(f"""\
[-Global-]
ServerType standalone
Listen {HOST}
Port {SUSE}
DestinationAddress {FORBIDDEN}
AllowMagicUser yes
ForkLimit 10000
LogDestination {folder}/log
PidFile {folder}/pid
""")
    program = str(PEERS / "ftp-proxy/usr/sbin/ftp-proxy")
    return [program, "-d", "-n", "-f", str(settings)]


def _portway() -> str:
    """Portway itself, as a parent: one door without a login, one with."""
    return f"""\
[gateway]
name = "parent"
state = "{{state}}"

[listen.open]
protocol = "ftp"
address = "{HOST}:{OPEN}"

[listen.closed]
protocol = "ftp"
address = "{HOST}:{CLOSED}"
login = "required"

[[rules]]
name = "nobody goes there"
to = ["{FORBIDDEN}"]
then = "deny"

[[rules]]
name = "the gateway"
who = ["203.0.113.0/24"]
to = ["*", "inside"]
then = "allow"

[[ledger.file]]
path = "{{records}}"
"""
