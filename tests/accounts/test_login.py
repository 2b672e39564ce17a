"""Each source at work: a running gateway, and FTP clients that must log in to it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.accounts.servers import (
    BASE,
    READER,
    READER_PASSWORD,
    SHARED,
    Slapd,
    free_port,
)
from tests.accounts.test_htpasswd import line
from tests.accounts.test_pam import HASHES, found_pwdfile
from tests.certificates import issue
from tests.integration.gateway import Gateway, Record
from tests.integration.nanoftpd import NanoFtpd
from tests.integration.network import Place
from tests.integration.speaker import Speaker

from portway.errors import ConfigurationError
from portway.prepare import prepare

PLACE = Place()
LOCAL = "127.0.0.1"

CONFIGURATION = """\
[gateway]
state = "{state}"

[listen.ftp]
protocol = "ftp"
address = "127.0.0.1:%PORT%"
login = "required"

[group.staff]

[[rules]]
name = "who may"
who = ["%WHO%"]
to = ["127.0.0.1"]
then = "allow"

[[ledger.file]]
path = "{records}"

"""


@pytest.fixture
def server() -> Iterator[NanoFtpd]:
    made = NanoFtpd(PLACE, LOCAL, 0)
    yield made
    made.close()


def configuration(source: str, table: str, who: str = "group:staff") -> tuple[str, int]:
    """Return the text, and the port that it listens on."""
    port = free_port()
    text = CONFIGURATION.replace("%PORT%", str(port)).replace("%WHO%", who)
    return f'{text}[login]\nsources = ["{source}"]\n\n[login.{source}]\n{table}', port


def secret(folder: Path, words: str) -> str:
    path = folder / f"secret-{words}"
    path.write_text(f"{words}\n")
    path.chmod(0o600)
    return f"file:{path}"


def ldap(folder: Path, slapd: Slapd) -> tuple[str, int]:
    return configuration(
        "ldap",
        f"""
servers = ["{slapd.encrypted}"]
base = "{BASE}"
bind_dn = "{READER}"
bind_password = "{secret(folder, READER_PASSWORD)}"
ca = "{slapd.tls.ca}"
""",
    )


def enter(port: int, server: NanoFtpd, user: str, password: str) -> tuple[int, int]:
    """Return the codes of a login to the proxy, and then to the server."""
    with Speaker(PLACE, LOCAL, port) as speaker:
        speaker.send(f"USER {user}")
        speaker.reply()
        speaker.send(f"PASS {password}")
        own = speaker.reply().code
        if own != 230:
            return own, 0
        speaker.send(f"USER someone@{LOCAL}:{server.port}")
        asked = speaker.reply().code
        if asked != 331:
            return own, asked
        speaker.send("PASS word")
        return own, speaker.reply().code


Setting = Callable[[Path, pytest.FixtureRequest], tuple[str, int]]


def with_htpasswd(folder: Path, request: pytest.FixtureRequest) -> tuple[str, int]:
    accounts = folder / "accounts"
    accounts.write_text(line("joe", "s3cret"))
    accounts.chmod(0o600)
    return configuration("htpasswd", 'path = "accounts"', "user:joe")


def with_ldap(folder: Path, request: pytest.FixtureRequest) -> tuple[str, int]:
    return ldap(folder, request.getfixturevalue("slapd"))


def with_radius(folder: Path, request: pytest.FixtureRequest) -> tuple[str, int]:
    port = request.getfixturevalue("freeradius").port
    table = f"""
servers = ["127.0.0.1:{port}"]
secret = "{secret(folder, SHARED)}"
groups = "class"
"""
    return configuration("radius", table)


def with_pam(folder: Path, request: pytest.FixtureRequest) -> tuple[str, int]:
    (folder / "accounts").write_text(HASHES)
    (folder / "pam.d").mkdir()
    (folder / "pam.d" / "portway").write_text(
        f"auth required {found_pwdfile()} pwdfile={folder}/accounts\n"
        "account required pam_permit.so\n"
    )
    return configuration("pam", 'folder = "pam.d"', "user:joe")


SETTINGS = [with_htpasswd, with_ldap, with_radius, with_pam]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda one: one.__name__[5:])
def test_a_login(
    setting: Setting, server: NanoFtpd, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    text, port = setting(tmp_path, request)
    with Gateway(PLACE, tmp_path, text) as gateway:
        assert enter(port, server, "joe", "s3cret") == (230, 230)
        assert enter(port, server, "joe", "wrong") == (530, 0)
        records = gateway.wait_for(lambda found: len(found) >= 2)
        entered = next(record for record in records if record["verdict"] == "allow")
        assert entered["user"] == "joe"
        assert entered["rule"] == "who may"
        for words in (gateway.output, str(records)):
            assert "s3cret" not in words
            assert SHARED not in words
            assert READER_PASSWORD not in words


def why(records: list[Record]) -> list[object]:
    return [record.get("reason") for record in records]


def test_a_source_that_is_down(server: NanoFtpd, tmp_path: Path) -> None:
    """It is neither a right login nor a wrong one, and passes by itself."""
    own = Slapd(tmp_path / "slapd", issue(tmp_path / "tls", LOCAL))
    own.fill()
    own.start()
    text, port = ldap(tmp_path, own)
    try:
        with Gateway(PLACE, tmp_path, text) as gateway:
            assert enter(port, server, "joe", "s3cret") == (230, 230)
            gateway.fresh()
            own.stop()
            code, _ = enter(port, server, "joe", "s3cret")
            assert code in {421, 431, 530}
            records = gateway.wait_for(lambda found: "login-unavailable" in why(found))
            assert "login-wrong" not in why(records)
            assert "Connection refused" in gateway.output
            own.start()
            assert enter(port, server, "joe", "s3cret") == (230, 230)
    finally:
        own.stop()


def check(folder: Path, text: str) -> str:
    """Return what is said of *text*, which must be refused."""
    path = folder / "portway.toml"
    path.write_text(text.replace("{state}", str(folder / "state")))
    with pytest.raises(ConfigurationError) as caught:
        prepare(path)
    return str(caught.value)


def test_a_bad_line_is_named_at_load(tmp_path: Path) -> None:
    text, _ = configuration("htpasswd", 'path = "accounts"', "user:joe")
    text = text.replace("{records}", str(tmp_path / "records"))
    assert "No such file" in check(tmp_path, text)
    accounts = tmp_path / "accounts"
    accounts.write_text(line("joe", "s3cret") + "ann:open\n")
    accounts.chmod(0o644)
    output = check(tmp_path, text)
    assert f"{accounts}:2: its password is plain text" in output
    assert (
        "open"
        not in output.replace("chmod", "").split("accounts:2", 1)[1].split("\n")[0]
    )
    where = [
        number for number, row in enumerate(text.splitlines(), 1) if "accounts" in row
    ]
    assert f"portway.toml:{where[0]}: login.htpasswd.path: everyone can read" in output


@pytest.mark.parametrize(
    ("source", "table", "words"),
    [
        ("ldap", 'servers = []\nbase = "x"', "login.ldap.servers"),
        ("ldap", 'servers = ["http://x"]\nbase = "x"', "no address of a server"),
        ("ldap", 'servers = ["ldap://a:b@x"]\nbase = "x"', "more than a server"),
        ("ldap", 'servers = ["ldap://x"]', "login.ldap.base"),
        ("ldap", 'servers = ["ldap://x"]\nbase = "x"\nfilter = "(uid=joe)"', "{user}"),
        ("ldap", 'servers = ["ldap://x"]\nbase = "x"\nfilter = "(uid={user}"', '")"'),
        ("ldap", 'servers = ["ldap://x"]\nbase = "x"\nfilter = "uid={user}"', '"("'),
        ("ldap", 'servers = ["ldap://x"]\nbase = "x"\nbind_dn = "x"', "bind_password"),
        ("ldap", 'servers = ["ldap://x"]\nbase = "x"\nca = "none.pem"', "none.pem"),
        ("ldap", 'servers = ["ldaps://x"]\nbase = "x"\ntls = "off"', "ldap.tls"),
        ("ldap", 'servers = ["ldap://x"]\nbase = "x"\nbind_password = "x"', "env:NAME"),
        ("radius", 'servers = ["127.0.0.1:1812"]', "login.radius.secret"),
        ("radius", 'servers = ["127.0.0.1:1812"]\nsecret = "open"', "env:NAME"),
        ("pam", 'service = "no-such-service"', "/etc/pam.d/no-such-service"),
        ("pam", 'service = "../passwd"', "no name of a file"),
        ("pam", 'server = "x"', "service"),
    ],
)
def test_what_is_wrong_is_told(
    tmp_path: Path, source: str, table: str, words: str
) -> None:
    text, _ = configuration(source, table, "user:joe")
    output = check(tmp_path, text.replace("{records}", str(tmp_path / "records")))
    assert words in output
    assert "portway.toml:" in output


def test_a_source_and_its_table_belong_together(tmp_path: Path) -> None:
    text, _ = configuration("pam", "", "user:joe")
    text = text.replace("{records}", str(tmp_path / "records"))
    alone = text.replace("[login.pam]", "")
    assert "login.pam: is missing" in check(tmp_path, alone)
    unasked = text.replace('sources = ["pam"]', "")
    assert "login.pam: is not asked" in check(tmp_path, unasked)
