"""The real FTP clients that know TLS: each stores, fetches and lists, in one session.

They name their server in what they give for a user, `user@host`, and check the
certificate of the gateway as their users would.

Not here: what is expected of them, and the clients without TLS (clients.py, which has
their folder and their settings). Invariant: a client that is told to be inside TLS does
not go on outside of it.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.integration.clients import Call
from tests.integration.network import Namespace
from tests.integration.process import run

ROOT = Path(__file__).parents[2]
TIME_LIMIT = 15.0  # seconds
TLS = ("off", "private", "clear", "implicit")  # private and clear: PROT P and C
FORGETFUL = {"lftp"}  # ends some uploads without a close_notify: 1 in 100, if busy


@dataclass(frozen=True, slots=True)
class SecureCall:
    """One run of a client: *tls* is one of TLS, *ca* whom it trusts."""

    call: Call
    tls: str
    ca: str

    @property
    def scheme(self) -> str:
        return "ftps" if self.tls == "implicit" else "ftp"

    @property
    def place(self) -> str:
        """The gateway's name, which stands in its certificate, and its port."""
        return f"{self.call.gateway_name}:{self.call.port}"


def _run(made: SecureCall, place: Namespace, *command: str) -> tuple[int, str]:
    environment = {
        "HOME": str(made.call.folder),
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": str(ROOT),
        "LC_ALL": "C",
        "TERM": "dumb",
    }
    return run(
        place.command(*command),
        seconds=TIME_LIMIT,
        environment=environment,
        folder=made.call.folder,
    )


_CURL_TLS: Mapping[str, tuple[str, ...]] = {
    "off": (),
    "private": ("--ssl-reqd",),
    "clear": ("--ftp-ssl-control",),
    "implicit": (),
}


def curl(made: SecureCall, place: Namespace) -> tuple[int, str]:
    """Every data mode, on IPv4."""
    call = made.call
    user, password = (quote(word, safe="") for word in call.login)
    url = f"{made.scheme}://{user}:{password}@{made.place}/files/"
    options = ["-sSv", "--max-time", "10", "--cacert", made.ca, *_CURL_TLS[made.tls]]
    if not call.passive:
        options += ["-P", "-"]
    refused = {"PORT": ["--disable-eprt"], "PASV": ["--disable-epsv"]}
    options += refused.get(call.mode, [])
    return _run(
        made, place, "curl",
        *options, "-T", "up.bin", url + call.upload, "--next",
        *options, "-o", "down.bin", url + "sample.bin", "--next",
        *options, "-o", "listing", url,
    )  # fmt: skip


_YES = {True: "yes", False: "no"}


def lftp(made: SecureCall, place: Namespace) -> tuple[int, str]:
    """PASV, EPSV and PORT on IPv4, EPSV and EPRT on IPv6."""
    call = made.call
    inside, private = made.tls != "off", made.tls != "clear"
    script = f"""\
set cmd:fail-exit yes
set net:max-retries 1
set net:timeout 8
set net:reconnect-interval-base 1
set ssl:ca-file {made.ca}
set ftp:ssl-allow {_YES[inside]}
set ftp:ssl-force {_YES[inside]}
set ftp:ssl-protect-data {_YES[private]}
set ftp:ssl-protect-list {_YES[private]}
set ftp:passive-mode {_YES[call.passive]}
set ftp:use-site-utime no
set ftp:use-site-utime2 no
set ftp:prefer-epsv {_YES[call.mode == "EPSV"]}
open -u {",".join(call.login)} {made.scheme}://{made.place}
put up.bin -o files/{call.upload}
get files/sample.bin -o down.bin
ls files > listing
quit
"""
    (call.folder / "script").write_text(script)
    return _run(made, place, "lftp", "--norc", "-d", "-f", "script")


_PERL = """\
use strict; use warnings;
# Net::Netrc asks for the account's home and takes no notice of $HOME.
BEGIN { *CORE::GLOBAL::getpwuid = sub { ("x") x 7, $ENV{HOME} } }
use Net::FTP;
my ($host, $port, $tls, $ca, $passive, $user, $password, $upload) = @ARGV;
my %inside = $tls eq "off" ? () : (SSL_ca_file => $ca, SSL_verifycn_name => $host);
my $ftp = Net::FTP->new($host, Port => $port, Passive => $passive, Timeout => 8,
    Debug => 1, SSL => $tls eq "implicit", %inside) or die "connect: $@";
my $done = sub { my $what = shift; die "$what: " . $ftp->message unless shift };
$done->("starttls", $ftp->starttls) if $tls eq "private" or $tls eq "clear";
$done->("login", $ftp->login($user, $password));
$done->("prot", $ftp->prot("C")) if $tls eq "clear";
$done->("binary", $ftp->binary);
$done->("put", $ftp->put("up.bin", "files/$upload"));
$done->("get", $ftp->get("files/sample.bin", "down.bin"));
my @lines = $ftp->dir("files");
$done->("dir", scalar @lines);
print "$_\\n" for @lines;
$ftp->quit;
"""


def net_ftp(made: SecureCall, place: Namespace) -> tuple[int, str]:
    """Perl's: PASV and PORT on IPv4, EPSV and EPRT on IPv6."""
    call = made.call
    return _run(
        made, place, "perl", "-e", _PERL,
        call.gateway_name, str(call.port), made.tls, made.ca,
        "1" if call.passive else "0", *call.login, call.upload,
    )  # fmt: skip


def ftplib(made: SecureCall, place: Namespace) -> tuple[int, str]:
    """Python's: every data mode, either family."""
    call = made.call
    return _run(
        made, place, sys.executable, "-m", "tests.integration.secure_ftplib_client",
        call.gateway_name, str(call.port), made.tls, made.ca, call.mode,
        *call.login, call.upload,
    )  # fmt: skip


CLIENTS: Mapping[str, Callable[[SecureCall, Namespace], tuple[int, str]]] = {
    "curl": curl,
    "lftp": lftp,
    "Net::FTP": net_ftp,
    "ftplib": ftplib,
}
ON_IPV6 = {("lftp", "EPRT"), ("Net::FTP", "EPSV"), ("Net::FTP", "EPRT")}


def is_able(client: str, tls: str, mode: str) -> bool:
    """Say whether *client* can do this.

    curl 7.87 and 7.88 do not begin TLS on data connections that they have accepted
    (mended in 8.0: curl/curl 10666).
    """
    return not (
        client == "curl" and mode in {"PORT", "EPRT"} and tls in {"private", "implicit"}
    )


def family_of(client: str, mode: str) -> int:
    """Return the family in which *client* uses *mode*."""
    return 6 if (client, mode) in ON_IPV6 else 4
