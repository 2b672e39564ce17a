"""The real clients that speak TLS, told to do so at a door of the gateway.

Not here: what is expected of them. Invariant: as in clients.py; and each checks the
gateway's certificate, and goes on inside TLS or not at all.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import Certificates
from tests.integration.clients import Call
from tests.integration.network import Namespace
from tests.integration.process import run

ROOT = os.fspath(Path(__file__).parents[2])
TIME_LIMIT = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class Secure:
    """How one client speaks TLS: *implicit* or not; *own* is what it shows itself.

    It trusts *ca*. *more* are options for curl alone.
    """

    call: Call
    ca: str
    implicit: bool = False
    own: Certificates | None = None
    more: tuple[str, ...] = ()

    @property
    def scheme(self) -> str:
        return "ftps" if self.implicit else "ftp"


Client = Callable[[Secure, Namespace], tuple[int, str]]


def _run(how: Secure, place: Namespace, *command: str) -> tuple[int, str]:
    environment = {
        "HOME": str(how.call.folder),
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C",
        "TERM": "dumb",
        "PYTHONPATH": ROOT,
    }
    return run(
        place.command(*command),
        seconds=TIME_LIMIT,
        environment=environment,
        folder=how.call.folder,
    )


def curl(how: Secure, place: Namespace) -> tuple[int, str]:
    """PASV and EPSV, either family; the three transfers on one connection.

    Versions 7.87 and 7.88 forget TLS on data connections that they accept.
    """
    call = how.call
    user, password = call.login
    url = f"{how.scheme}://{call.netloc}/files/"
    options = [
        "-sSv", "--max-time", "15", "--globoff", "--ssl-reqd", "--cacert", how.ca,
        "--user", f"{user}:{password}", *how.more,
    ]  # fmt: skip
    if how.own is not None:
        options += ["--cert", how.own.certificate, "--key", how.own.key]
    if call.mode == "PASV":
        options.append("--disable-epsv")
    return _run(
        how, place, "curl",
        *options, "-T", "up.bin", url + call.upload, "--next",
        *options, "-o", "down.bin", url + "sample.bin", "--next",
        *options, "-o", "listing", url,
    )  # fmt: skip


def lftp(how: Secure, place: Namespace) -> tuple[int, str]:
    """GnuTLS: PASV and PORT on IPv4, EPSV and EPRT on IPv6.

    In the dialect D the gateway is its proxy, and AUTH comes behind OPEN; else the
    gateway is its server.
    """
    call = how.call
    if call.dialect == "D":
        user, password, target = call.user, call.password, f"ftp://{call.host}"
        proxy = f"set ftp:proxy ftp://{call.netloc}\nset ftp:proxy-auth-type open\n"
        proxy += "set ssl:check-hostname no\n"  # the certificate is the gateway's
    else:
        (user, password), target = call.login, f"{how.scheme}://{call.netloc}"
        proxy = ""
    script = f"""\
set cmd:fail-exit yes
set net:max-retries 1
set net:timeout 8
set net:reconnect-interval-base 1
set ssl:ca-file {how.ca}
set ftp:ssl-force yes
set ftp:ssl-protect-data yes
set ftp:ssl-protect-list yes
set ftp:passive-mode {"yes" if call.passive else "no"}
{proxy}open -u {user},{password} {target}
put up.bin -o files/{call.upload}
get files/sample.bin -o down.bin
ls files
quit
"""
    (call.folder / "script").write_text(script)
    return _run(how, place, "lftp", "--norc", "-d", "-f", "script")


_PERL = """\
use strict; use warnings;
use Net::FTP;
my ($gateway, $port, $ca, $implicit, $passive, $user, $password, $upload) = @ARGV;
my $ftp = Net::FTP->new($gateway, Port => $port, Passive => $passive, Timeout => 8,
    Debug => 1, SSL => $implicit, SSL_ca_file => $ca) or die "connect: $@";
my $done = sub { my $what = shift; die "$what: " . $ftp->message unless shift };
$done->("starttls", $ftp->starttls) unless $implicit;
$done->("login", $ftp->login($user, $password));
$done->("binary", $ftp->binary);
$done->("put", $ftp->put("up.bin", "files/$upload"));
$done->("get", $ftp->get("files/sample.bin", "down.bin"));
my @lines = $ftp->dir("files");
$done->("dir", scalar @lines);
print "$_\\n" for @lines;
$ftp->quit;
"""


def net_ftp(how: Secure, place: Namespace) -> tuple[int, str]:
    """Perl's, with IO::Socket::SSL; PASV and PORT on IPv4, EPSV and EPRT on IPv6."""
    call = how.call
    return _run(
        how, place, "perl", "-e", _PERL, call.gateway, str(call.port), how.ca,
        str(int(how.implicit)), str(int(call.passive)), *call.login, call.upload,
    )  # fmt: skip


def ftplib(how: Secure, place: Namespace) -> tuple[int, str]:
    """Python's FTP_TLS, its data resuming the session of its control connection."""
    call = how.call
    return _run(
        how, place, sys.executable, "-m", "tests.integration.ftplib_tls_client",
        call.gateway, str(call.port), how.ca, str(int(how.implicit)), call.mode,
        *call.login, call.upload,
    )  # fmt: skip


CLIENTS: Mapping[str, Client] = {
    "curl": curl,
    "lftp": lftp,
    "Net::FTP": net_ftp,
    "ftplib": ftplib,
}
