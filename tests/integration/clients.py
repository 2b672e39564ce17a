"""The real FTP clients: how each is told to go through a proxy, and made to work.

Not here: what is expected of them. Invariant: each one lists ``files``, fetches
``files/sample.bin`` and, if it can, stores ``up.bin`` into ``files`` under the name it
was given; it does so in a folder of its own, with nobody's settings but ours.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.integration.network import INNER, Namespace
from tests.integration.process import run

HERE = Path(__file__).parent
TIME_LIMIT = 15.0  # seconds; a run takes about half of one


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a client.

    *dialect* is a letter of ftp.md 2.1, *mode* the data mode of the client's side
    (PASV, EPSV, PORT or EPRT), *family* that of its control connection. *host* is the
    server as the client is told it, *port* where the gateway's door is.
    """

    dialect: str
    mode: str
    family: int
    port: int
    host: str
    user: str
    password: str
    upload: str
    folder: Path
    proxy_user: str = ""
    proxy_password: str = ""

    @property
    def gateway(self) -> str:
        return INNER[self.family]

    @property
    def gateway_name(self) -> str:
        return f"gateway{self.family}.test"

    @property
    def passive(self) -> bool:
        return self.mode in ("PASV", "EPSV")

    @property
    def netloc(self) -> str:
        """The gateway's address and port, as they stand in a URL."""
        host = f"[{self.gateway}]" if self.family == 6 else self.gateway
        return f"{host}:{self.port}"

    @property
    def down(self) -> Path:
        return self.folder / "down.bin"

    @property
    def up(self) -> Path:
        return self.folder / "up.bin"

    @property
    def login(self) -> tuple[str, str]:
        """What stands for user and password where all is put into these two."""
        user, password = self.user, self.password
        place, fu, fp = self.host, self.proxy_user, self.proxy_password
        return {
            "0": (user, password),
            "A": (f"{user}@{place}", password),
            "F": (f"{user}@{fu}@{place}", f"{password}@{fp}"),
            "G": (f"{user}@{place} {fu}", password),
            "I": (f"{user}@{place} 21", password),
            "L": (f"{fu}:{user}@{place}", f"{fp}:{password}"),
        }[self.dialect]


Client = Callable[[Call, Namespace], tuple[int, str]]


def _run(
    call: Call, place: Namespace, *command: str, given: str = ""
) -> tuple[int, str]:
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {
        "HOME": str(call.folder),
        "NCFTPDIR": str(call.folder / ".ncftp"),
        "PATH": path,
        "LC_ALL": "C",
        "TERM": "dumb",
    }
    return run(
        place.command(*command),
        seconds=TIME_LIMIT,
        given=given,
        environment=environment,
        folder=call.folder,
    )


def curl(call: Call, place: Namespace) -> tuple[int, str]:
    """A, F, G and L; every data mode, either family."""
    user, password = (quote(word, safe="") for word in call.login)
    url = f"ftp://{user}:{password}@{call.netloc}/files/"
    options = ["-sSv", "--max-time", "10", "--globoff"]
    if call.mode in ("PORT", "EPRT"):
        options += ["-P", "-"]
    if call.mode == "PORT":
        options.append("--disable-eprt")
    if call.mode == "PASV":
        options.append("--disable-epsv")
    if call.dialect == "G":
        options += ["--ftp-account", call.proxy_password]
    return _run(
        call, place, "curl",
        *options, "-T", "up.bin", url + call.upload, "--next",
        *options, "-o", "down.bin", url + "sample.bin", "--next",
        *options, "-o", "listing", url,
    )  # fmt: skip


_LFTP_AUTH = {
    "A": "user",
    "B": "user",
    "D": "open",
    "E": "proxy-user@host",
    "F": "joined",
    "G": "joined-acct",
}


def lftp(call: Call, place: Namespace) -> tuple[int, str]:
    """A, B, D, E, F and G; PASV, EPSV and PORT on IPv4, EPSV and EPRT on IPv6."""
    login = ""
    if call.proxy_user:
        login = f"{call.proxy_user}:{call.proxy_password}@"
    script = f"""\
set cmd:fail-exit yes
set net:max-retries 1
set net:timeout 8
set net:reconnect-interval-base 1
set ftp:proxy ftp://{login}{call.netloc}
set ftp:proxy-auth-type {_LFTP_AUTH[call.dialect]}
set ftp:passive-mode {"yes" if call.passive else "no"}
set ftp:prefer-epsv {"yes" if call.mode == "EPSV" else "no"}
open -u {call.user},{call.password} ftp://{call.host}
put up.bin -o files/{call.upload}
get files/sample.bin -o down.bin
ls files
quit
"""
    (call.folder / "script").write_text(script)
    return _run(call, place, "lftp", "--norc", "-d", "-f", "script")


_NCFTP_TYPES = {
    "A": "1",
    "B": "2",
    "C": "3",
    "D": "4",
    "F": "5",
    "E": "6",
    "G": "7",
    "A8": "8",
    "I": "9",
}


def ncftp(call: Call, place: Namespace) -> tuple[int, str]:
    """A to G and I (A8 is user@host:port); PASV and PORT on IPv4."""
    (call.folder / ".ncftp").mkdir(exist_ok=True)
    (call.folder / ".ncftp/firewall").write_text(f"""\
firewall-type={_NCFTP_TYPES[call.dialect]}
firewall-host={call.gateway_name}
firewall-port={call.port}
firewall-user={call.proxy_user}
firewall-password={call.proxy_password}
firewall-exception-list=
passive={"on" if call.passive else "off"}
""")
    login = ["-d", "log", "-u", call.user, "-p", call.password]
    how = [*login, "-F" if call.passive else "-E", "-t", "8"]
    (call.folder / call.upload).write_bytes(call.up.read_bytes())
    steps = [
        ["ncftpput", *how, "-r", "1", "-V", call.host, "files", call.upload],
        ["ncftpget", *how, "-r", "1", "-V", "-c", call.host, "files/sample.bin"],
        ["ncftpls", *how, "-l", f"ftp://{call.host}/files/"],
    ]
    said = ""
    for step, output in zip(steps, ("", "down.bin", "listing"), strict=True):
        shell = " ".join(f"'{word}'" for word in step)
        if output:
            shell += f" >{output}"
        status, more = _run(call, place, "sh", "-c", shell)
        said += more
        if status:
            log = call.folder / "log"
            trace = log.read_text(errors="replace") if log.exists() else ""
            return status, f"{step[0]}: {said}\n{trace}"
    return 0, said


def tnftp(call: Call, place: Namespace) -> tuple[int, str]:
    """A, in its gate mode; every data mode, either family."""
    netrc = call.folder / ".netrc"
    netrc.write_text(
        f"machine {call.host} login {call.user} password {call.password}\n"
    )
    netrc.chmod(0o600)
    epsv = f"epsv{call.family}"
    lines = [
        "prompt off",
        f"passive {'on' if call.passive else 'off'}",
        f"{epsv} {'on' if call.mode in ('EPSV', 'EPRT') else 'off'}",
        f"gate {call.gateway} {call.port}",
        f"open {call.host}",
        "binary",
        f"put up.bin files/{call.upload}",
        "get files/sample.bin down.bin",
        "dir files",
        "quit",
    ]
    given = "\n".join(lines) + "\n"
    return _run(call, place, "tnftp", "-v", "-q", "8", given=given)


def wget(call: Call, place: Namespace) -> tuple[int, str]:
    """A; PASV and PORT on IPv4, EPSV and EPRT on IPv6. It never stores."""
    user, password = call.login
    options = [
        "-d", "-t", "1", "-T", "8", "--no-netrc",
        f"--ftp-user={user}", f"--ftp-password={password}",
    ]  # fmt: skip
    if not call.passive:
        options.append("--no-passive-ftp")
    url = f"ftp://{call.netloc}/files/"
    first = _run(call, place, "wget", *options, "-O", "down.bin", url + "sample.bin")
    if first[0]:
        return first
    second = _run(call, place, "wget", *options, "-O", "listing", url)
    return second[0], first[1] + second[1]


_PERL_TYPES = {"A": "1", "B": "2", "C": "3", "D": "4", "F": "5", "E": "6", "J": "7"}

_PERL = """\
use strict; use warnings;
# Net::Netrc asks for the account's home and takes no notice of $HOME.
BEGIN { *CORE::GLOBAL::getpwuid = sub { ("x") x 7, $ENV{HOME} } }
use Net::FTP;
my ($host, $gateway, $type, $passive, $user, $password, $upload) = @ARGV;
my $ftp = Net::FTP->new($host, Firewall => $gateway, FirewallType => $type,
    Passive => $passive, Timeout => 8, Debug => 1) or die "connect: $@";
my $done = sub { my $what = shift; die "$what: " . $ftp->message unless shift };
$done->("login", $ftp->login($user, $password));
$done->("binary", $ftp->binary);
$done->("put", $ftp->put("up.bin", "files/$upload"));
$done->("get", $ftp->get("files/sample.bin", "down.bin"));
my @lines = $ftp->dir("files");
$done->("dir", scalar @lines);
print "$_\\n" for @lines;
$ftp->quit;
"""


def net_ftp(call: Call, place: Namespace) -> tuple[int, str]:
    """Perl's: A to F and J; PASV and PORT on IPv4, EPSV and EPRT on IPv6."""
    gateway = f"{call.gateway_name}:{call.port}"
    netrc = call.folder / ".netrc"
    lines = [f"machine {gateway}"]
    if call.proxy_user:
        lines[0] += f" login {call.proxy_user} password {call.proxy_password}"
    netrc.write_text("\n".join(lines) + "\n")
    netrc.chmod(0o600)
    return _run(
        call, place, "perl", "-e", _PERL, call.host, gateway,
        _PERL_TYPES[call.dialect], "1" if call.passive else "0",
        call.user, call.password, call.upload,
    )  # fmt: skip


_GFTP_LOGINS = {
    "A": "USER %hu@%hh%nPASS %hp%n",
    "B": "USER %pu%nPASS %pp%nUSER %hu@%hh%nPASS %hp%n",
    "C": "USER %pu%nPASS %pp%nSITE %hh%nUSER %hu%nPASS %hp%n",
    "I": "USER %hu@%hh %ho%nPASS %hp%n",
    "J1": "USER %hu@%hh%nPASS %hp%nSITE AUTHENTICATE %pu%nSITE RESPONSE %pp%n",
}


def gftp(call: Call, place: Namespace) -> tuple[int, str]:
    """A, B, C, I and J1; PASV and PORT on IPv4, EPSV and EPRT on IPv6."""
    settings = call.folder / ".gftp"
    settings.mkdir(exist_ok=True)
    (settings / "gftprc").write_text(f"""\
ftp_proxy_host={call.gateway}
ftp_proxy_port={call.port}
ftp_proxy_username={call.proxy_user}
ftp_proxy_password={call.proxy_password}
ftp_use_proxy=1
proxy_config={_GFTP_LOGINS[call.dialect]}
passive_transfer={int(call.passive)}
ignore_pasv_address=0
network_timeout=8
maxkbs=0.00
retries=1
""")
    (call.folder / call.upload).write_bytes(call.up.read_bytes())
    # It asks for the account's home and takes no notice of $HOME: lay ours over that,
    # in the mount namespace that the command has for itself.
    shell = (
        'mount --bind . "$(getent passwd "$(id -u)" | cut -d: -f6)" && exec gftp-text'
    )
    url = f"ftp://{call.user}:{call.password}@{call.host}"
    given = f"open {url}\ncd files\nls\nput {call.upload}\nget sample.bin\nquit\n"
    status, output = _run(call, place, "sh", "-c", shell, given=given)
    fetched = call.folder / "sample.bin"
    if fetched.exists():
        fetched.rename(call.down)
    return status, output


def inetutils(call: Call, place: Namespace) -> tuple[int, str]:
    """A; every data mode, either family."""
    user, password = call.login
    lines = [
        f"open {call.gateway} {call.port}",
        f"user {user} {password}",
        "passive" if call.passive else "verbose",
        "epsv4" if call.mode in ("EPSV", "EPRT") else "prompt",
        "binary",
        f"put up.bin files/{call.upload}",
        "get files/sample.bin down.bin",
        "dir files",
        "quit",
    ]
    given = "\n".join(lines) + "\n"
    return _run(call, place, "inetutils-ftp", "-n", "-v", "-d", given=given)


def ftplib(call: Call, place: Namespace) -> tuple[int, str]:
    """Every dialect, every data mode, either family."""
    words = [
        call.gateway, str(call.port), call.dialect, call.mode, call.host, call.user,
        call.password, call.proxy_user, call.proxy_password, call.upload,
    ]  # fmt: skip
    program = os.fspath(HERE / "ftplib_client.py")
    return _run(call, place, sys.executable, program, *words)


CLIENTS: Mapping[str, Client] = {
    "curl": curl,
    "lftp": lftp,
    "ncftp": ncftp,
    "tnftp": tnftp,
    "wget": wget,
    "Net::FTP": net_ftp,
    "gftp": gftp,
    "inetutils": inetutils,
    "ftplib": ftplib,
}
NEVER_STORES = frozenset({"wget"})
SESSIONS = {"ncftp": 3, "wget": 2, "gftp": 3}  # connections of a run; the others: one
