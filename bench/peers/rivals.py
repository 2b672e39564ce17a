"""The FTP rivals: SUSE ftp-proxy, mod_proxy, Squid, and 3proxy if its binary is given.

Not here: fetching them (install.py), and those by other doors (doors.py). Invariant:
each is set up to its advantage where a default would hinder it (connections a minute,
open files), and otherwise as Debian has it, with its log written to a file.
"""

import grp
import os
import pwd
from functools import partial
from pathlib import Path

from bench.peers.install import version
from bench.peers.peer import Peer, binary, libraries
from bench.processes import LOOPBACK, Command

# Where a rival drops its privileges it needs a folder that it may write to.
NOBODY = "nobody"


def give(folder: Path, user: str) -> None:
    """Let *user* write to *folder*, for when the program is no longer root."""
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)


def _nobody_group() -> str:
    return grp.getgrgid(pwd.getpwnam(NOBODY).pw_gid).gr_name


def _suse(folder: Path, port: int) -> Command:
    configuration = folder / "ftp-proxy.conf"
    # 512 is as many as it takes; by default it takes 40 connections a minute.
    configuration.write_text(
        f"""[-Global-]
ServerType standalone
Listen {LOOPBACK}
Port {port}
DestinationAddress {LOOPBACK}
AllowMagicUser yes
MaxClients 512
ForkLimit 1000000
LogDestination {folder}/ftp-proxy.log
PidFile {folder}/ftp-proxy.pid
""",
        encoding="utf-8",
    )
    program = str(binary("ftp-proxy", "usr/sbin/ftp-proxy"))
    words = (program, "-d", "-n", "-f", str(configuration))
    return Command(words, libraries("ftp-proxy"))


def _mod_proxy(folder: Path, port: int) -> Command:
    tables = folder / "tables"
    tables.mkdir(mode=0o700)
    give(tables, NOBODY)
    configuration = folder / "proftpd.conf"
    modules = binary("mod_proxy", "usr/lib/proftpd")
    # Reverse lookups and the login delay would be measured instead of the proxy;
    # mod_tls is there because mod_proxy does not load without its libraries.
    configuration.write_text(
        f"""ModulePath {modules}
LoadModule mod_tls.c
LoadModule mod_proxy.c
ServerName bench
ServerType standalone
DefaultAddress {LOOPBACK}
SocketBindTight on
Port {port}
UseIPv6 off
User {NOBODY}
Group {_nobody_group()}
MaxInstances none
UseReverseDNS off
AuthOrder mod_auth_file.c
PidFile {folder}/proftpd.pid
ScoreboardFile {folder}/scoreboard
DelayTable none
DelayEngine off
WtmpLog off
TransferLog {folder}/xferlog
SystemLog {folder}/system.log
<Class bench>
  From {LOOPBACK}
  ProxyForwardEnabled on
</Class>
ProxyEngine on
ProxyRole forward
ProxyForwardMethod user@host
ProxyTables {tables}
""",
        encoding="utf-8",
    )
    program = str(binary("mod_proxy", "usr/sbin/proftpd"))
    words = (program, "-n", "-q", "-c", str(configuration))
    return Command(words, libraries("mod_proxy"))


def _mod_proxy_version() -> str:
    module = version("mod_proxy", "proftpd-mod-proxy")
    return module and f"{module} (proftpd {version('mod_proxy', 'proftpd-core')})"


def squid(folder: Path, port: int, key: str = "ftp_port") -> Command:
    """Return what starts Squid; *key* is its word for the door."""
    share = binary("squid", "usr/share/squid")
    configuration = folder / "squid.conf"
    give(folder, NOBODY)
    configuration.write_text(
        f"""{key} {LOOPBACK}:{port}
http_access allow localhost
http_access deny all
cache deny all
cache_mem 8 MB
cache_effective_user {NOBODY}
access_log stdio:{folder}/access.log
cache_log {folder}/cache.log
cache_store_log none
pid_filename {folder}/squid.pid
coredump_dir {folder}
error_directory {share}/errors/templates
icon_directory {share}/icons
mime_table {binary("squid", "usr/share/squid/mime.conf")}
unlinkd_program {binary("squid", "usr/lib/squid/unlinkd")}
pinger_enable off
netdb_filename none
max_filedescriptors 16384
shutdown_lifetime 0 seconds
visible_hostname bench
""",
        encoding="utf-8",
    )
    program = str(binary("squid", "usr/sbin/squid"))
    words = (program, "-N", "-f", str(configuration))
    hello = b"220" if key == "ftp_port" else b""
    return Command(words, libraries("squid"), hello=hello)


def _three_binary() -> str:
    return os.environ.get("THREEPROXY", "")


def three(folder: Path, port: int, service: str = "ftppr") -> Command:
    """Return what starts 3proxy; *service* is its word for the door."""
    configuration = folder / "3proxy.cfg"
    configuration.write_text(
        f"""maxconn 4096
log {folder}/3proxy.log
auth none
allow *
{service} -p{port} -i{LOOPBACK}
""",
        encoding="utf-8",
    )
    hello = b"220" if service == "ftppr" else b""
    return Command((_three_binary(), str(configuration)), hello=hello)


def _three_version() -> str:
    return "as given" if Path(_three_binary()).is_file() else ""


SUSE = Peer(
    "SUSE ftp-proxy", _suse, partial(version, "ftp-proxy", "ftp-proxy"), idle=200
)
MOD_PROXY = Peer("mod_proxy", _mod_proxy, _mod_proxy_version, idle=40)
SQUID = Peer("Squid", squid, partial(version, "squid", "squid"), idle=1000)
THREE = Peer("3proxy", three, _three_version, idle=1000)

RIVALS = (MOD_PROXY, THREE, SUSE, SQUID)
