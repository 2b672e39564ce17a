"""The real web servers, each on ports 80 and 443 of addresses of its own in the WAN.

Not here: servers of the tests' own (origin.py). Invariant: both serve one folder, laid
out by `lay_out`, at the same paths; what only one of them can do is named in `Web`.
"""

import hashlib
import os
import pwd
import subprocess
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.certificates import Certificates, issue
from tests.integration.network import Namespace, wan_address, wan_name
from tests.integration.process import Process, eventually
from tests.integration.servers import PEERS

NAMES = ("nginx", "apache")
CERTIFIED = ("nginx", "apache", "origin")
GATEWAYS = ("gateway4.test", "gateway6.test")  # certified too, for doors inside TLS
SAMPLE_SIZE = 300_007  # no multiple of any buffer
CHANGED = 1577836800  # Wed, 01 Jan 2020 00:00:00 GMT
PARTS = 10  # of a page
OWNER = "nobody"  # as whom both serve
MODULES = [
    "mpm_event",
    "authz_core",
    "authz_host",
    "authn_core",
    "authn_file",
    "authz_user",
    "auth_basic",
    "alias",
    "dir",
    "mime",
    "env",
    "setenvif",
    "dav",
    "dav_fs",
    "dav_lock",
    "cgid",
    "ssl",
    "unixd",
    "deflate",
    "filter",
    "autoindex",
]
_GIT = "/usr/lib/git-core/git-http-backend"


@dataclass(frozen=True, slots=True)
class Web:
    """The servers that run, and the folder *root* that they serve.

    ``/files/sample.bin``, ``/files/text.txt`` (compressed where asked for),
    ``/page/`` with PARTS parts, ``/empty`` (204), ``/moved`` (301), ``/up/`` to write
    into, ``/echo`` (what is posted), ``/old/echo`` (apache: as HTTP/1.0, ended by
    closing), ``/small`` (413), ``/secret/`` (401), ``/git/`` (apache).
    """

    root: Path
    signed: Certificates
    processes: tuple[Process, ...] = field(repr=False)

    @property
    def sample(self) -> Path:
        return self.root / "files/sample.bin"

    @property
    def output(self) -> str:
        return "\n".join(process.output for process in self.processes)

    def stop(self) -> None:
        for process in self.processes:
            process.stop(1)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def start(place: Namespace, folder: Path) -> Web:
    """Start both, and wait until they are up."""
    folder.mkdir()
    root = folder / "root"
    lay_out(root)
    names = [f"{name}.test" for name in CERTIFIED]
    names += [wan_name(name, family) for name in CERTIFIED for family in (4, 6)]
    signed = issue(folder / "tls", *names, *GATEWAYS)
    processes = []
    for name, prepare in SERVERS.items():
        place_of_its = folder / name
        place_of_its.mkdir()
        for inner in ("body", "tmp"):
            (place_of_its / inner).mkdir()
            os.chown(place_of_its / inner, pwd.getpwnam(OWNER).pw_uid, -1)
        command = prepare(place_of_its, root, signed)
        processes.append(Process(place.command(*command), place_of_its / "output"))
        for family in (4, 6):
            for port in (80, 443):
                _wait(processes[-1], place, wan_address(name, family), port)
    return Web(root, signed, tuple(processes))


def _wait(process: Process, place: Namespace, address: str, port: int) -> None:
    def up() -> bool:
        assert process.status is None, process.output
        try:
            place.connect(address, port).close()
        except ConnectionRefusedError:
            return False
        return True

    eventually(up, f"{address} listens on {port}")


def lay_out(root: Path) -> None:
    """Make what is served. It belongs to nobody in particular."""
    for name in ("files", "page", "up", "cgi", "secret", "pool"):
        (root / name).mkdir(parents=True)
    os.chown(root / "up", pwd.getpwnam(OWNER).pw_uid, -1)
    (root / "files/sample.bin").write_bytes(os.urandom(SAMPLE_SIZE))
    os.utime(root / "files/sample.bin", (CHANGED, CHANGED))
    text = "".join(f"{number} lines that say the same\n" for number in range(3000))
    (root / "files/text.txt").write_text(text)
    (root / "secret/word.txt").write_text("told to joe alone\n")
    _page(root / "page")
    echo = root / "cgi/echo"
    echo.write_text(_ECHO)
    echo.chmod(0o755)


_ECHO = """\
#!/bin/sh
printf 'Content-Type: application/octet-stream\\r\\nX-Method: %s\\r\\n\\r\\n' \
"$REQUEST_METHOD"
exec cat
"""


def _page(folder: Path) -> None:
    """A page of PARTS parts: its title says ``loaded`` once a browser has them all."""
    names = [f"part{number}.js" for number in range(PARTS - 2)]
    for name in names:
        (folder / name).write_text(f"window.parts = (window.parts || 0) + 1; // {name}")
    (folder / "style.css").write_text("body { color: rgb(1, 2, 3) }")
    (folder / "data.json").write_text('{"word": "fetched"}')
    scripts = "".join(f'<script src="{name}"></script>' for name in names)
    (folder / "index.html").write_text(f"""\
<!doctype html><link rel="icon" href="data:,"><link rel="stylesheet" href="style.css">
<body><p id="said">nothing</p>{scripts}<script>
fetch("data.json").then(reply => reply.json()).then(data => {{
  const color = getComputedStyle(document.body).color;
  document.getElementById("said").textContent =
    `${{data.word}} ${{window.parts}} ${{color}}`;
}});
</script>""")


def _git(root: Path) -> Path:
    """Return the folder of a repository called ``tree.git``, with one commit."""
    folder = root / "git"
    work = root / "work"
    who = ["-c", "user.name=joe", "-c", "user.email=joe@example.org"]
    (root / "work").mkdir()
    (work / "read.me").write_text("cloned\n")
    (work / "large.bin").write_bytes(os.urandom(2_000_000))
    environment = os.environ | {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
    }
    for words in (
        ["init", "-q", "-b", "main", str(work)],
        ["-C", str(work), "add", "."],
        [*who, "-C", str(work), "commit", "-q", "-m", "first"],
        ["clone", "-q", "--bare", str(work), str(folder / "tree.git")],
    ):
        subprocess.run(["git", *words], check=True, env=environment)
    return folder


# Each of these returns the command that runs the server in the foreground.


def _nginx(folder: Path, root: Path, signed: Certificates) -> list[str]:
    listens = "".join(
        f"listen {host}:80; listen {host}:443 ssl; "
        for host in (wan_address("nginx", 4), f"[{wan_address('nginx', 6)}]")
    )
    settings = folder / "nginx.conf"
    temporary = "".join(
        f"{kind}_temp_path {folder}/tmp/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    settings.write_text(f"""\
user {OWNER} nogroup;
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 4096; }}
worker_rlimit_nofile 8192;
http {{
{temporary}
types {{ text/html html; text/css css; text/javascript js; application/json json;
  text/plain txt; image/svg+xml svg; }}
default_type application/octet-stream;
access_log {folder}/access.log;
server {{
  {listens}
  server_name _;
  ssl_certificate {signed.certificate};
  ssl_certificate_key {signed.key};
  root {root};
  gzip on; gzip_types text/plain; gzip_proxied any; gzip_min_length 100;
  keepalive_timeout 60s;
  location = /empty {{ return 204; }}
  location = /moved {{ return 301 /files/text.txt; }}
  location /up/ {{ dav_methods PUT DELETE MKCOL; client_max_body_size 0; }}
  location = /small {{ client_max_body_size 1k; proxy_pass http://{
        wan_address("apache", 4)
    }/cgi/echo; }}
  location = /echo {{ client_max_body_size 0;
    proxy_pass http://{wan_address("apache", 4)}/cgi/echo; }}
  location /simple/ {{ autoindex on; }}
  location /secret/ {{ auth_basic "secret"; auth_basic_user_file {_users(folder)}; }}
}} }}
""")
    program = str(PEERS / "nginx/usr/sbin/nginx")
    return [program, "-e", "stderr", "-p", str(folder), "-c", str(settings)]


def _apache(folder: Path, root: Path, signed: Certificates) -> list[str]:
    modules = PEERS / "apache/usr/lib/apache2/modules"
    loaded = "".join(
        f"LoadModule {word}_module {modules}/mod_{word}.so\n"
        for word in MODULES
        if (modules / f"mod_{word}.so").exists()  # else it is built in
    )
    hosts = (wan_address("apache", 4), f"[{wan_address('apache', 6)}]")
    listens = "".join(f"Listen {host}:80\nListen {host}:443 https\n" for host in hosts)
    mime = folder / "mime.types"
    mime.write_text(
        "text/html html\ntext/plain txt\ntext/css css\ntext/javascript js\n"
        "application/json json\n"
    )
    settings = folder / "apache.conf"
    site = textwrap.dedent(f"""\
        DocumentRoot {root}
        <Directory {root}>
          Require all granted
          Options +Indexes
        </Directory>
        <Directory {_GIT.rpartition("/")[0]}>
          Require all granted
        </Directory>
        <Location /up>
          Dav On
        </Location>
        <Location /small>
          LimitRequestBody 1024
        </Location>
        <Location /secret>
          AuthType Basic
          AuthName secret
          AuthUserFile {_users(folder)}
          Require valid-user
        </Location>
        ScriptAlias /git {_GIT}
        ScriptAlias /echo {root}/cgi/echo
        ScriptAlias /small {root}/cgi/echo
        ScriptAlias /old/echo {root}/cgi/echo
        ScriptAlias /cgi {root}/cgi
        RedirectMatch 301 ^/moved$ /files/text.txt
        RedirectMatch 204 ^/empty$
        AddOutputFilterByType DEFLATE text/plain
        SetEnvIf Request_URI ^/old/ nokeepalive downgrade-1.0 force-response-1.0
        SetEnv GIT_PROJECT_ROOT {_git(root)}
        SetEnv GIT_HTTP_EXPORT_ALL 1
        SetEnv GIT_CONFIG_COUNT 1
        SetEnv GIT_CONFIG_KEY_0 safe.directory
        SetEnv GIT_CONFIG_VALUE_0 *
        """)
    settings.write_text(f"""\
{loaded}
ServerRoot {folder}
ServerName apache.test
{listens}
User {OWNER}
Group nogroup
PidFile {folder}/pid
ErrorLog /dev/stderr
TypesConfig {mime}
DirectoryIndex index.html
DavLockDB {folder}/body/locks
ScriptSock {folder}/cgid
StartServers 1
ServerLimit 4
ThreadsPerChild 16
ThreadLimit 16
MaxRequestWorkers 64
MinSpareThreads 1
MaxSpareThreads 64
KeepAlive On
MaxKeepAliveRequests 0
EnableSendfile On
SSLSessionCache none
<VirtualHost *:80>
{site}
</VirtualHost>
<VirtualHost *:443>
{site}
SSLEngine on
SSLCertificateFile {signed.certificate}
SSLCertificateKeyFile {signed.key}
</VirtualHost>
""")
    program = str(PEERS / "apache/usr/sbin/apache2")
    return [program, "-DFOREGROUND", "-f", str(settings)]


def _users(folder: Path) -> Path:
    """Return a file of one account, ``joe`` with the password ``s3cret``."""
    users = folder / "users"
    command = ["htpasswd", "-bcm", str(users), "joe", "s3cret"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    users.chmod(0o644)
    return users


SERVERS: dict[str, Callable[[Path, Path, Certificates], list[str]]] = {
    "apache": _apache,  # which nginx passes some requests on to
    "nginx": _nginx,
}
