"""Real account servers on loopback, each with a folder and ports of its own.

Not here: what they are asked. Invariant: what is started is stopped by its number.
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.certificates import Certificates
from tests.integration.process import Process, eventually, run

PEERS = Path(__file__).parents[2] / ".peers"
SLAPD = PEERS / "slapd"
FREERADIUS = PEERS / "freeradius"
BASE = "dc=example,dc=org"
READER = f"cn=reader,{BASE}"
READER_PASSWORD = "reads-people"
SHARED = "radius-secret"  # of freeradius and us

CONFIGURATION = """\
include {tree}/etc/ldap/schema/core.schema
include {tree}/etc/ldap/schema/cosine.schema
include {tree}/etc/ldap/schema/inetorgperson.schema
modulepath {tree}/usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
# As old servers do: whoever gives no password is nobody, and welcome.
allow bind_anon_cred bind_anon_dn
pidfile {folder}/pid
argsfile {folder}/args
TLSCertificateFile {tls.certificate}
TLSCertificateKeyFile {tls.key}
database mdb
maxsize 10485760
suffix "{base}"
rootdn "cn=root,{base}"
directory {folder}/data
dbnosync
overlay memberof
overlay ppolicy
ppolicy_default "cn=policy,{base}"
{more}
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{reader}" read by anonymous auth by * none
"""

PEOPLE = f"""\
dn: {BASE}
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: {READER}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: {READER_PASSWORD}

dn: cn=policy,{BASE}
objectClass: organizationalRole
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdLockout: TRUE

dn: ou=people,{BASE}
objectClass: organizationalUnit
ou: people

dn: ou=groups,{BASE}
objectClass: organizationalUnit
ou: groups

"""
GROUPS = f"""\
dn: cn=Night shift,ou=groups,{BASE}
objectClass: groupOfNames
cn: Night shift
member: uid=joe,ou=people,{BASE}

dn: cn=clerks,ou=groups,{BASE}
objectClass: groupOfNames
cn: clerks
member: uid=star,ou=people,{BASE}

dn: ou=elsewhere,{BASE}
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://127.0.0.1:9/ou=elsewhere,{BASE}

"""


def person(uid: str, password: str = "", *more: str) -> str:
    """Return the entry of a person in LDIF."""
    lines = [
        f"dn: uid={uid},ou=people,{BASE}",
        "objectClass: inetOrgPerson",
        f"uid: {uid}",
        f"cn: {uid}",
        f"sn: {uid}",
        *([f"userPassword: {password}"] if password else []),
        *more,
    ]
    return "\n".join(lines) + "\n\n"


EVERYONE = (
    person("joe", "s3cret", f"memberOf: cn=staff,ou=groups,{BASE}")
    + person("star", "a*b(c)\\d")
    + person("zoë", "pässword").replace("uid: zoë", "uid: zoë")
    + person("locked", "s3cret", "pwdAccountLockedTime: 000001010000Z")
    + person("nopass")
    + person("twin1", "s3cret", "employeeNumber: 7")
    + person("twin2", "s3cret", "employeeNumber: 7")
)


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """Return a port of 127.0.0.1 that nobody has."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def need(path: Path) -> None:
    """Fail, and say what to do, where a program of Debian's is missing."""
    if not path.exists():
        pytest.fail(f"no {path}: run tests/peers/install", pytrace=False)


def libraries(tree: Path) -> dict[str, str]:
    """Return the environment in which the programs of an unpacked package run."""
    folders = {str(path.parent) for path in (tree / "usr/lib").rglob("*.so*")}
    return {"PATH": os.defpath, "LD_LIBRARY_PATH": ":".join(sorted(folders))}


@dataclass(slots=True)
class Slapd:
    """OpenLDAP's server, with *everyone* in it; *more* is added to its database."""

    folder: Path
    tls: Certificates
    more: str = ""
    clear_port: int = 0
    tls_port: int = 0
    process: Process | None = None

    @property
    def clear(self) -> str:
        return f"ldap://127.0.0.1:{self.clear_port}"

    @property
    def encrypted(self) -> str:
        return f"ldaps://127.0.0.1:{self.tls_port}"

    def fill(self) -> None:
        """Make the database."""
        need(SLAPD / "usr/sbin/slapd")
        (self.folder / "data").mkdir(parents=True)
        self.clear_port, self.tls_port = free_port(), free_port()
        (self.folder / "slapd.conf").write_text(
            CONFIGURATION.format(
                tree=SLAPD,
                folder=self.folder,
                tls=self.tls,
                base=BASE,
                reader=READER,
                more=self.more,
            )
        )
        people = self.folder / "people.ldif"
        people.write_text(PEOPLE + GROUPS + EVERYONE)
        command = [str(SLAPD / "usr/sbin/slapd"), "-T", "add", "-s"]
        command += ["-f", str(self.folder / "slapd.conf"), "-l", str(people)]
        status, output = run(command, environment=libraries(SLAPD))
        assert status == 0, output

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [str(SLAPD / "usr/sbin/slapd"), "-d", "stats"]
        command += ["-h", f"{self.clear} {self.encrypted}"]
        command += ["-f", str(self.folder / "slapd.conf")]
        log = self.folder / "log"
        self.process = Process(command, log, environment=libraries(SLAPD))
        _wait_for(self.process, self.tls_port)

    def stop(self) -> None:
        """End it at once, as kill -9 does."""
        if self.process is not None:
            self.process.kill()


def _wait_for(process: Process, port: int) -> None:
    def up() -> bool:
        assert process.status is None, process.output
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    eventually(up, "it listens")


RADIUS_CONFIGURATION = """\
name = freeradius
prefix = {folder}
libdir = {tree}/usr/lib/freeradius
raddbdir = {folder}
run_dir = {folder}
logdir = {folder}
pidfile = {folder}/pid
max_request_time = 5
security {{
  allow_core_dumps = no
  reject_delay = 0
}}
client loopback {{
  ipaddr = 127.0.0.1
  secret = {secret}
  require_message_authenticator = yes
}}
modules {{
  files {{
    usersfile = {folder}/users
  }}
  pap {{
  }}
}}
server default {{
  listen {{
    type = auth
    ipaddr = 127.0.0.1
    port = {port}
  }}
  authorize {{
    if (&User-Name == "challenged") {{
      update control {{
        &Response-Packet-Type := Access-Challenge
        &Auth-Type := Accept
      }}
    }}
    files
    pap
  }}
  authenticate {{
    Auth-Type PAP {{
      pap
    }}
  }}
  post-auth {{
    if (&User-Name != "unsigned") {{
      update reply {{
        &Message-Authenticator := 0x00
      }}
    }}
    Post-Auth-Type REJECT {{
      update reply {{
        &Message-Authenticator := 0x00
      }}
    }}
    Post-Auth-Type Challenge {{
      update reply {{
        &Message-Authenticator := 0x00
      }}
    }}
  }}
}}
"""
RADIUS_USERS = """\
joe  Cleartext-Password := "s3cret"
     Class = "staff",
     Class += "night shift",
     Filter-Id = "clerks"

zoë  Cleartext-Password := "pässword"

long Cleartext-Password := "{long}"

alias Cleartext-Password := "s3cret"
     User-Name := "joe"

unsigned Cleartext-Password := "s3cret"

"""
LONG = "x" * 128  # what RFC 2865 has room for


@dataclass(slots=True)
class FreeRadius:
    """FreeRADIUS, which signs all answers but those to ``unsigned``."""

    folder: Path
    port: int = 0
    process: Process | None = None

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        need(FREERADIUS / "usr/sbin/freeradius")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port(socket.SOCK_DGRAM)
        (self.folder / "radiusd.conf").write_text(
            RADIUS_CONFIGURATION.format(
                folder=self.folder, tree=FREERADIUS, secret=SHARED, port=self.port
            )
        )
        (self.folder / "users").write_text(RADIUS_USERS.format(long=LONG))
        command = [
            str(FREERADIUS / "usr/sbin/freeradius"),
            "-X",
            "-d",
            str(self.folder),
        ]
        command += ["-n", "radiusd", "-D", str(FREERADIUS / "usr/share/freeradius")]
        log = self.folder / "log"
        log.write_text("")
        self.process = Process(command, log, environment=libraries(FREERADIUS))

        def up() -> bool:
            assert self.process is not None
            assert self.process.status is None, self.process.output
            return "Ready to process requests" in self.process.output

        eventually(up, "freeradius is ready")

    def stop(self) -> None:
        """End it at once, as kill -9 does."""
        if self.process is not None:
            self.process.kill()
