"""examples/school.toml at work: its sentence, word by word, over real FTP.

Only names and addresses are replaced, and the school's hours where the time of the test
matters. How exact the limits are is measured elsewhere; here, that they are the ones.
"""

import json
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.integration import clients
from tests.integration.clients import Call
from tests.integration.gateway import Gateway
from tests.integration.network import INNER, Network, wan_address, wan_name
from tests.integration.process import eventually
from tests.integration.servers import PASSWORD, USER, Server, digest
from tests.integration.speaker import Speaker

ROOT = Path(__file__).parents[2]
PORT = 2410
OWN = wan_name("pyftpdlib", 6)  # fd00:2::/64 counts as inside
GAMES = wan_name("vsftpd", 4)  # by its name
ARCADE = wan_name("pure-ftpd", 4)  # by its address
ELSEWHERE = wan_name("proftpd", 4)
ACCOUNTS = {"alice": "students", "bob": "students", "carol": "staff"}
WORD = "a-word"
HOURS = "Mon-Fri 08:00-12:00, 13:00-16:00"
ALWAYS = "00:00-24:00"


def never() -> str:
    """Return days that are long over."""
    then = datetime.now(UTC) - timedelta(days=400)
    return f"{then:%Y-%m-%d}"


def example(hours: str) -> str:
    text = (ROOT / "examples" / "school.toml").read_text()
    replaced = {
        '"/var/lib/portway"': '"{state}"',
        '"/var/log/portway/requests.json"': '"{records}"',
        '["192.168.1.1:2121", "127.0.0.1:2121"]': f'"{INNER[4]}:{PORT}"',
        "files.school.example": OWN,
        HOURS: hours,
    }
    for word, by in replaced.items():
        assert word in text
        text = text.replace(word, by)
    assert tomllib.loads(text)
    return text


class School:
    """The gateway, and the files beside its configuration."""

    def __init__(self, gateway: Gateway, folder: Path) -> None:
        self.gateway = gateway
        self.folder = folder
        self.games = folder / "lists" / "games.txt"

    def set_hours(self, hours: str) -> None:
        self.gateway.write(example(hours))
        self.gateway.portway("reload")

    def explain(
        self, user: str, method: str, url: str, *more: str
    ) -> dict[str, object]:
        asked = ("explain", "--json", "--user", user, "--from", "192.168.1.10", *more)
        found: dict[str, object] = json.loads(self.gateway.portway(*asked, method, url))
        return found


@pytest.fixture(scope="module")
def school(
    network: Network, folder: Path, server: Callable[[str], Server]
) -> Iterator[School]:
    for name in ("pyftpdlib", "vsftpd", "pure-ftpd", "proftpd"):
        server(name)
    place = folder / "school"
    (place / "lists").mkdir(parents=True)
    games = place / "lists" / "games.txt"
    games.write_text(
        f"# for the test\n{GAMES.upper()}.\n{wan_address('pure-ftpd', 4)}\n"
    )
    with Gateway(network.gateway, place, example(ALWAYS)) as gateway:
        for name, group in ACCOUNTS.items():
            words = ("user", "add", name, "--group", group)
            gateway.portway(*words, given=f"{WORD}\n")
        yield School(gateway, place)


@contextmanager
def enter(network: Network, account: str, host: str) -> Iterator[Speaker]:
    """Hold a client that has logged in to the gateway, and then to *host*."""
    with Speaker(network.lan, INNER[4], PORT) as client:
        client.login(account, WORD)
        user = "ftp" if host == GAMES else USER  # that one takes nobody else
        client.login(f"{user}@{host}", PASSWORD)
        yield client
        client.expect("QUIT", 221)


def refusal(network: Network, account: str, host: str) -> str:
    """Return what the gateway says to one who names *host*."""
    with Speaker(network.lan, INNER[4], PORT) as client:
        client.login(account, WORD)
        return str(client.ask(f"USER {USER}@{host}"))


@pytest.mark.parametrize("host", [GAMES, ARCADE])
def test_students_do_not_reach_games_in_school_hours(
    school: School, network: Network, host: str
) -> None:
    school.set_hours(ALWAYS)
    with school.gateway.watched() as records:
        assert refusal(network, "alice", host).endswith("No games in school hours.")
    [record] = [one for one in records if one.get("host") == host]
    assert (record["user"], record["verdict"]) == ("alice", "deny")
    assert (record["rule"], record["reason"]) == ("no games in school hours", "rule")
    with school.gateway.watched() as records, enter(network, "carol", host) as client:
        assert client.fetch("LIST files")  # staff may
    assert {one["rule"] for one in records if one.get("host") == host} == {"staff"}
    school.set_hours(never())
    with school.gateway.watched(), enter(network, "alice", host) as client:
        assert client.fetch("LIST files")  # and so may students, later in the day


def test_uploads_go_to_the_schools_own_server_only(
    school: School, network: Network, server: Callable[[str], Server]
) -> None:
    for account in ("alice", "carol"):
        with school.gateway.watched() as records:
            with enter(network, account, ELSEWHERE) as client:
                client.passive()
                reply = client.ask(f"STOR files/from-{account}")
                assert str(reply).endswith(f"Uploads go to {OWN} only."), reply
            with enter(network, account, OWN) as client:
                client.store(f"STOR files/from-{account}", account.encode())
        stored = [one for one in records if one["method"] == "STOR"]
        assert [(one["host"], one["verdict"], one["rule"]) for one in stored] == [
            (ELSEWHERE, "deny", "uploads stay in the school"),
            (OWN, "allow", "students" if account == "alice" else "staff"),
        ]
        assert not (server("proftpd").files / f"from-{account}").exists()
        kept = server("pyftpdlib").files / f"from-{account}"
        assert kept.read_bytes() == account.encode()


def test_a_real_client_fetches_and_is_logged(
    school: School,
    network: Network,
    server: Callable[[str], Server],
    tmp_path: Path,
) -> None:
    """lftp stores on the school's own server, and fetches what is there."""
    (tmp_path / "up.bin").write_bytes(b"homework")
    call = Call(
        "F", "PASV", 4, PORT, OWN, USER, PASSWORD, "homework", tmp_path, "bob", WORD
    )
    with school.gateway.watched() as records:
        status, output = clients.lftp(call, network.lan)
    assert status == 0, output
    assert digest(call.down) == server("pyftpdlib").sample
    done = {one["method"]: one for one in records}
    assert {"CONNECT", "STOR", "RETR", "LIST"} <= set(done)
    assert {(one["user"], one["rule"]) for one in records} == {("bob", "students")}
    assert done["RETR"]["bytes_down"] == call.down.stat().st_size
    assert done["STOR"]["bytes_up"] == len(b"homework")
    listed = school.gateway.portway("log", "--user", "bob", "--json")
    assert len(listed.splitlines()) >= len(records)


def test_what_each_may_and_how_much(school: School) -> None:
    """The policy as it is written, hours and all, at times of its own choosing."""
    school.gateway.write(example(HOURS))
    game, monday = f"ftp://{GAMES}/x", "2026-11-23 10:00"
    found = school.explain("alice", "RETR", game, "--at", monday)
    assert (found["verdict"], found["rule"]) == ("deny", "no games in school hours")
    for at in ("2026-11-23 12:30", "2026-11-23 16:00", "2026-11-22 10:00"):
        found = school.explain("alice", "RETR", game, "--at", at)
        assert (found["verdict"], found["rule"]) == ("allow", "students")
    limits = json.dumps(found["limits"])
    for word in ("5 Mbit/s", "2 GB", "day", "alice"):
        assert word in limits
    found = school.explain("carol", "RETR", game, "--at", monday)
    assert (found["verdict"], found["rule"], found["limits"]) == ("allow", "staff", [])
    found = school.explain("nobody", "RETR", f"ftp://{ELSEWHERE}/x", "--at", monday)
    assert (found["verdict"], found["reason"]) == ("deny", "default")
    said = school.gateway.portway("check")
    assert "List @games: 1 domain and 1 network" in said


def test_a_changed_list_is_taken_by_itself(school: School, network: Network) -> None:
    school.set_hours(ALWAYS)
    before = school.games.read_text()
    with enter(network, "alice", ELSEWHERE):
        pass
    fresh = school.games.with_name("fresh")
    fresh.write_text(f"{before}{ELSEWHERE}\n")
    fresh.rename(school.games)
    try:
        eventually(lambda: "list.taken" in school.gateway.output, "it is taken", 12)
        assert "No games" in refusal(network, "alice", ELSEWHERE)
        school.games.write_text("no domain at all\n")
        eventually(lambda: "list.kept" in school.gateway.output, "it is refused", 12)
        assert f"{school.games}:1" in school.gateway.output
        assert "No games" in refusal(network, "alice", ELSEWHERE)
    finally:
        school.games.write_text(before)
