"""The real HTTP clients: how each is told to go through a proxy, and made to work.

Not here: what is expected of them. Invariant: each runs in a folder of its own, with
nobody's settings but ours.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from tests.integration.http_servers import digest
from tests.integration.network import Place
from tests.integration.process import run

TIME_LIMIT = 15.0  # seconds; a run takes a tenth of one
NOTHING: Mapping[str, str] = MappingProxyType({})
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# What stands in a reply, and may differ between two that are the same.
BETWEEN_TWO = frozenset(
    {"date", "connection", "keep-alive", "via", "transfer-encoding", "proxy-status"}
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client got: exit *status*, what it *said*, and what the server sent."""

    status: int
    said: str
    code: str = ""
    version: str = ""
    body: bytes = field(default=b"", repr=False)
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def digest(self) -> str:
        return digest(self.body)

    def alike(self, other: "Reply", *, framed: bool = True) -> bool:
        """Say whether two replies are the same, whatever way they have come."""
        return self._same(framed=framed) == other._same(framed=framed)

    def _same(self, *, framed: bool) -> tuple[object, ...]:
        without = BETWEEN_TWO if framed else BETWEEN_TWO | {"content-length"}
        kept = sorted(pair for pair in self.fields if pair[0] not in without)
        return self.status, self.code, self.digest, kept

    def get(self, name: str) -> str:
        """Return the value of a field, the last where there are several."""
        return dict(self.fields).get(name, "")


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a client, in *folder*: *proxy* is a URL, empty for a direct run."""

    url: str
    folder: Path
    proxy: str = ""
    ca: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """Of a client that is told of its proxy by the environment."""
        names = ("http_proxy", "https_proxy", "ftp_proxy") if self.proxy else ()
        proxies = dict.fromkeys(names, self.proxy)
        return {"HOME": str(self.folder), "PATH": PATH, "LC_ALL": "C"} | proxies


def launch(
    call: Call,
    place: Place,
    command: Sequence[str],
    *,
    seconds: float = TIME_LIMIT,
    more: Mapping[str, str] = NOTHING,
) -> tuple[int, str]:
    """Return the exit status and the output of *command*, run as *call* says.

    *more* is added to its environment.
    """
    return run(
        place.command(*command),
        seconds=seconds,
        environment=call.environment | dict(more),
        folder=call.folder,
    )


def curl(call: Call, place: Place, *options: str, given: str = "") -> Reply:
    """Run curl once; the reply is its last one."""
    body, head = call.folder / "body", call.folder / "head"
    for path in (body, head):
        path.unlink(missing_ok=True)
    words = ["curl", "-q", "-sS", "--max-time", "10", "-o", "body", "-D", "head"]
    if call.proxy:
        words += ["-x", call.proxy, "--proxy-cacert", call.ca]
    if call.ca:
        words += ["--cacert", call.ca]
    words += ["-w", "%{http_code} %{http_version} %{num_connects}\n", *options]
    status, said = run(
        place.command(*words, call.url),
        seconds=TIME_LIMIT,
        given=given,
        environment={"HOME": str(call.folder), "PATH": PATH, "LC_ALL": "C"},
        folder=call.folder,
    )
    code, version = "", ""
    for line in said.splitlines():
        parts = line.split()
        if len(parts) == 3 and parts[0].isdecimal():
            code, version = parts[0], parts[1]
    text = head.read_text("latin-1") if head.exists() else ""
    content = body.read_bytes() if body.exists() else b""
    if "--head" in options:  # it writes the head there
        content = b""
    return Reply(status, said, code, version, content, _fields(text))


def _fields(text: str) -> tuple[tuple[str, str], ...]:
    """Return the fields of the last head in *text*."""
    heads = [part for part in text.replace("\r", "").split("\n\n") if part.strip()]
    pairs = []
    for line in heads[-1].splitlines()[1:] if heads else ():
        name, _, value = line.partition(":")
        pairs.append((name.lower(), value.strip()))
    return tuple(pairs)


# Each of these fetches the URL into ``body``.


def _curl(call: Call, place: Place) -> tuple[int, str]:
    reply = curl(call, place, "--fail")
    return reply.status, reply.said


def wget(call: Call, place: Place) -> tuple[int, str]:
    words = ["wget", "-d", "-t", "1", "-T", "8", "--no-netrc", "-O", "body"]
    if call.ca:
        words.append(f"--ca-certificate={call.ca}")
    return launch(call, place, [*words, call.url])


_URLLIB = """\
import shutil, ssl, sys, urllib.request
url, ca = sys.argv[1:]
context = ssl.create_default_context(cafile=ca or None)
with urllib.request.urlopen(url, timeout=8, context=context) as reply:
    with open("body", "wb") as sink:
        shutil.copyfileobj(reply, sink)
    print(reply.status, reply.headers)
"""


def urllib(call: Call, place: Place) -> tuple[int, str]:
    return launch(call, place, [sys.executable, "-c", _URLLIB, call.url, call.ca])


_NODE = """\
const [proxy, url, ca] = process.argv.slice(2);
const http = require("http"), https = require("https"), fs = require("fs");
const { URL } = require("url");
const via = new URL(proxy), there = new URL(url);
const headers = { Host: there.host };
if (via.username) {
  const pair = decodeURIComponent(`${via.username}:${via.password}`);
  headers["Proxy-Authorization"] = "Basic " + Buffer.from(pair).toString("base64");
}
const host = via.hostname.replace(/[\\[\\]]/g, "");
const save = reply => {
  console.log(reply.statusCode);
  if (reply.statusCode !== 200) process.exit(3);
  reply.pipe(fs.createWriteStream("body")).on("finish", () => process.exit(0));
};
const die = error => { console.log(String(error)); process.exit(2); };
if (there.protocol === "http:") {
  http.get({ host, port: via.port, path: url, headers }, save).on("error", die);
} else {
  const path = `${there.hostname}:${there.port || 443}`;
  headers.Host = path;
  http.request({ host, port: via.port, method: "CONNECT", path, headers })
    .on("connect", (reply, socket) => {
      if (reply.statusCode !== 200) { console.log(reply.statusCode); process.exit(3); }
      const secured = require("tls").connect(
        { socket, servername: there.hostname, ca: fs.readFileSync(ca) });
      secured.on("error", die);
      https.get({ createConnection: () => secured, path: there.pathname,
        headers: { Host: there.host } }, save).on("error", die);
    }).on("error", die).end();
}
"""


def node(call: Call, place: Place) -> tuple[int, str]:
    script = call.folder / "client.js"
    script.write_text(_NODE)
    words = ["node", str(script), call.proxy, call.url, call.ca]
    return launch(call, place, words)


def lftp(call: Call, place: Place) -> tuple[int, str]:
    script = f"""\
set cmd:fail-exit yes
set net:max-retries 1
set net:timeout 8
set http:proxy {call.proxy}
set https:proxy {call.proxy}
set ftp:proxy {call.proxy}
set ssl:ca-file {call.ca}
get {call.url} -o body
"""
    (call.folder / "script").write_text(script)
    return launch(call, place, ["lftp", "--norc", "-d", "-f", "script"])


_PERL = """\
use strict; use warnings; use HTTP::Tiny;
my ($url, $proxy, $ca) = @ARGV;
my $http = HTTP::Tiny->new(proxy => $proxy, timeout => 8, verify_SSL => 1,
    SSL_options => { SSL_ca_file => $ca });
open my $sink, ">", "body" or die; binmode $sink;
my $reply = $http->get($url);
print "$reply->{status} $reply->{reason} ", substr($reply->{content}, 0, 200);
print $sink $reply->{content}; close $sink;
exit($reply->{status} == 200 ? 0 : 3);
"""


def perl(call: Call, place: Place) -> tuple[int, str]:
    """HTTP::Tiny, as it comes with Perl."""
    return launch(call, place, ["perl", "-e", _PERL, call.url, call.proxy, call.ca])


Client = Callable[[Call, Place], tuple[int, str]]

CLIENTS: Mapping[str, Client] = {
    "curl": _curl,
    "wget": wget,
    "urllib": urllib,
    "node": node,
    "lftp": lftp,
    "HTTP::Tiny": perl,
}


# These do more than to fetch.


def git(call: Call, place: Place) -> tuple[int, str]:
    """Clone into ``clone``."""
    settings = {"GIT_SSL_CAINFO": call.ca, "GIT_CONFIG_NOSYSTEM": "1"}
    settings |= {"GIT_TERMINAL_PROMPT": "0", "GIT_CURL_VERBOSE": "0"}
    return launch(call, place, ["git", "clone", call.url, "clone"], more=settings)


def pip(call: Call, place: Place, package: str) -> tuple[int, str]:
    """Download *package* from the index at the URL into ``wheels``."""
    words = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check"]
    words += ["download", "--no-cache-dir", "--no-deps", "-d", "wheels"]
    words += ["--index-url", call.url, "--cert", call.ca, "--proxy", call.proxy]
    words += ["--retries", "0", "--timeout", "8", package]
    settings = {"PIP_CONFIG_FILE": os.devnull}
    return launch(Call(call.url, call.folder), place, words, more=settings)


def apt(call: Call, place: Place, package: str) -> tuple[int, str]:
    """Update from the URL, and download *package*; all it keeps is in the folder."""
    for name in ("lists/partial", "cache/archives/partial", "etc/apt.conf.d", "dpkg"):
        (call.folder / name).mkdir(parents=True, exist_ok=True)
    (call.folder / "dpkg/status").touch()
    (call.folder / "sources").write_text(f"deb [trusted=yes] {call.url} ./\n")
    options = {
        "Dir": "/",
        "Dir::State": f"{call.folder}",
        "Dir::State::status": f"{call.folder}/dpkg/status",
        "Dir::Cache": f"{call.folder}/cache",
        "Dir::Etc": f"{call.folder}/etc",
        "Dir::Etc::sourcelist": f"{call.folder}/sources",
        "Dir::Etc::sourceparts": "-",
        "Acquire::http::Proxy": call.proxy,
        "Acquire::https::Proxy": call.proxy,
        "Acquire::https::CaInfo": call.ca,
        "Acquire::Retries": "0",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",
        "Dir::Bin::Methods::ftp": "ftp",  # off by default
    }
    settings = call.folder / "apt.conf"
    lines = [f'{key} "{value}";\n' for key, value in options.items()]
    settings.write_text("".join(lines))
    environment = {"APT_CONFIG": str(settings)}
    if call.url.startswith("ftp:"):  # told otherwise, it speaks FTP with its proxy
        environment["ftp_proxy"] = call.proxy
    plain = Call(call.url, call.folder)
    first = launch(plain, place, ["apt-get", "-q", "update"], more=environment)
    if first[0]:
        return first
    words = ["apt-get", "-q", "download", package]
    status, said = launch(plain, place, words, more=environment)
    return status, first[1] + said
