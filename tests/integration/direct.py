"""The real FTP clients, told nothing of any proxy: they call the server itself.

Not here: how they go through a proxy (clients.py). Invariant: as there, each one lists
``files``, fetches ``files/sample.bin`` and, if it can, stores ``up.bin``.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.integration import clients
from tests.integration.clients import Call
from tests.integration.network import Namespace

ALL = ("PASV4", "EPSV4", "PORT4", "EPRT4", "EPSV6", "EPRT6")
CLASSIC = ("PASV4", "PORT4", "EPSV6", "EPRT6")  # on IPv4 only what RFC 959 has


@dataclass(frozen=True, slots=True)
class Direct(Call):
    """One run of a client; *host* is an address, and it is the server's."""

    @property
    def gateway(self) -> str:
        return self.host

    @property
    def netloc(self) -> str:
        return f"[{self.host}]" if self.family == 6 else self.host


def lftp(call: Call, place: Namespace) -> tuple[int, str]:
    script = f"""\
set cmd:fail-exit yes
set net:max-retries 1
set net:timeout 8
set ftp:passive-mode {"yes" if call.passive else "no"}
open -u {call.user},{call.password} ftp://{call.netloc}
put up.bin -o files/{call.upload}
get files/sample.bin -o down.bin
ls files
quit
"""
    (call.folder / "script").write_text(script)
    return clients._run(call, place, "lftp", "--norc", "-d", "-f", "script")


def ncftp(call: Call, place: Namespace) -> tuple[int, str]:
    login = f"-d log -u '{call.user}' -p '{call.password}'"
    how = f"{login} {'-F' if call.passive else '-E'} -t 8 -r 1"
    (call.folder / call.upload).write_bytes(call.up.read_bytes())
    shell = f"""\
set -e
ncftpput {how} -V {call.host} files {call.upload}
ncftpget {how} -V -c {call.host} files/sample.bin >down.bin
ncftpls {login} {"-F" if call.passive else "-E"} -l ftp://{call.host}/files/ >listing
"""
    return clients._run(call, place, "sh", "-c", shell)


def tnftp(call: Call, place: Namespace) -> tuple[int, str]:
    netrc = call.folder / ".netrc"
    login = f"login {call.user} password {call.password}"
    netrc.write_text(f"machine {call.host} {login}\n")
    netrc.chmod(0o600)
    lines = [
        "prompt off",
        f"passive {'on' if call.passive else 'off'}",
        f"epsv{call.family} {'on' if call.mode in ('EPSV', 'EPRT') else 'off'}",
        f"open {call.host}",
        "binary",
        f"put up.bin files/{call.upload}",
        "get files/sample.bin down.bin",
        "dir files",
        "quit",
    ]
    given = "\n".join(lines) + "\n"
    return clients._run(call, place, "tnftp", "-v", "-q", "8", given=given)


_FTPLIB = """\
import ftplib, socket, sys
host, family, passive, user, password, upload = sys.argv[1:]
ftp = ftplib.FTP(host, user, password, timeout=8)
ftp.set_pasv(passive == "yes")
with open("up.bin", "rb") as source:
    ftp.storbinary(f"STOR files/{upload}", source)
with open("down.bin", "wb") as sink:
    ftp.retrbinary("RETR files/sample.bin", sink.write)
ftp.retrlines("LIST files")
ftp.quit()
"""


def ftplib(call: Call, place: Namespace) -> tuple[int, str]:
    """As it comes: it dials the address it knows, whatever the 227 says."""
    words = [call.host, str(call.family), "yes" if call.passive else "no"]
    words += [call.user, call.password, call.upload]
    return clients._run(call, place, sys.executable, "-c", _FTPLIB, *words)


_PERL = """\
use strict; use warnings;
BEGIN { *CORE::GLOBAL::getpwuid = sub { ("x") x 7, $ENV{HOME} } }
use Net::FTP;
my ($host, $passive, $user, $password, $upload) = @ARGV;
my $ftp = Net::FTP->new($host, Passive => $passive, Timeout => 8) or die "new: $@";
my $done = sub { my $what = shift; die "$what: " . $ftp->message unless shift };
$done->("login", $ftp->login($user, $password));
$done->("binary", $ftp->binary);
$done->("put", $ftp->put("up.bin", "files/$upload"));
$done->("get", $ftp->get("files/sample.bin", "down.bin"));
print "$_\\n" for $ftp->dir("files");
$ftp->quit;
"""


def net_ftp(call: Call, place: Namespace) -> tuple[int, str]:
    words = [call.host, "1" if call.passive else "0", call.user, call.password]
    return clients._run(call, place, "perl", "-e", _PERL, *words, call.upload)


Client = Callable[[Call, Namespace], tuple[int, str]]

CLIENTS: Mapping[str, tuple[Client, tuple[str, ...]]] = {
    "curl": (clients.curl, ALL),
    "lftp": (lftp, CLASSIC),
    "ncftp": (ncftp, ("PASV4", "PORT4")),
    "tnftp": (tnftp, ALL),
    "wget": (clients.wget, CLASSIC),
    "inetutils": (clients.inetutils, ALL),
    "ftplib": (ftplib, CLASSIC),
    "Net::FTP": (net_ftp, CLASSIC),
}
