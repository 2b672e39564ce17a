from pathlib import Path

import pytest
from tests.unit.config.kinds import KINDS, Inner, Settings

from portway.config import load as loading
from portway.config.load import (
    DEFAULT,
    LARGEST,
    STARTER,
    default_state,
    embedded,
    load,
    parse,
)
from portway.config.schema import Configuration, Ledger, Limits
from portway.model import Endpoint
from portway.protocols.registry import SETTINGS

DOOR = '[listen.x]\nprotocol = "test"\naddress = "127.0.0.1:2121"\n'


def read(text: str) -> tuple[Configuration, list[str]]:
    configuration, problems = parse(text, Path("p.toml"), KINDS)
    return configuration, list(map(str, problems))


def problems(text: str) -> list[str]:
    return read(text)[1]


def test_a_whole_configuration(tmp_path: Path) -> None:
    path = tmp_path / "portway.toml"
    path.write_text(
        """\
[gateway]
name = "edge"
state = "state"
timezone = "Europe/Paris"
drain = "5s"

[listen.x]
protocol = "test"
address = ["192.168.1.1:2121", "[::1]:2121"]
login = "required"
number = 8
inner.depth = 2

[[rules]]
name = "first"
who = "user:bob"
when = ["Sat", "Sun"]
then = "allow"

[ledger]
keep = "7d"
[[ledger.file]]
path = "log/a.json"
[[ledger.file]]
path = "/log/b"
format = "xferlog"

[limits]
connections = 50
"""
    )
    configuration, found = load(path, KINDS)
    assert found == ()
    assert configuration.path == str(path)
    assert configuration.gateway.name == "edge"
    assert configuration.gateway.state == str(tmp_path / "state")
    assert configuration.gateway.drain == 5.0
    (listener,) = configuration.listeners
    assert listener.where == f"{path}:7"
    assert listener.address == (Endpoint("192.168.1.1", 2121), Endpoint("::1", 2121))
    assert (listener.mode, listener.login) == ("forward", "required")
    assert listener.settings == Settings(number=8, inner=Inner(depth=2))
    (rule,) = configuration.rules
    assert (rule.where, rule.lines["who"]) == (f"{path}:14", f"{path}:16")
    assert (rule.who, rule.do, rule.to) == (("user:bob",), ("*",), ("*",))
    assert rule.when == ("Sat", "Sun")
    assert [one.path for one in configuration.ledger.file] == [
        str(tmp_path / "log/a.json"),
        "/log/b",
    ]
    assert configuration.limits == Limits(connections=50)


def test_every_error_at_once_each_with_its_line() -> None:
    assert problems(
        """\
[gatway]
name = "x"
[gateway]
drain = 30
[listen.x]
protocol = "test"
address = [
  "127.0.0.1:21",
  ":21",
]
number = 13
mode = "backward"
[listen.y]
protocol = "ftq"
address = "127.0.0.1:22"
[listen.z]
[[rules]]
who = "*"
[[rules]]
thn = "deny"
then = "no"
limit = { rate = "5 parsecs" }
[ledger]
store = "postgresql:"
[dashboard]
address = "127.0.0.1:8021"
"""
    ) == [
        'p.toml:1: gatway: unknown key; did you mean "gateway"?',
        'p.toml:4: gateway.drain: text with a unit, as in "30s", not a number',
        (
            'p.toml:9: listen.x.address[1]: ":21" names no address; "0.0.0.0:21" and '
            '"[::]:21" are every address of this machine'
        ),
        "p.toml:11: listen.x.number: x does not like 13",
        (
            'p.toml:12: listen.x.mode: must be "forward" or "transparent" or '
            '"reverse", not "backward"'
        ),
        'p.toml:14: listen.y.protocol: must be "test" or "needy", not "ftq"',
        'p.toml:16: listen.z.protocol: is missing; write protocol = "ftp"',
        'p.toml:16: listen.z.address: is missing; write address = "127.0.0.1:2121"',
        'p.toml:17: rules[0].then: is missing; write "allow" or "deny"',
        'p.toml:20: rules[1].thn: unknown key; did you mean "then"?',
        'p.toml:21: rules[1].then: must be "allow" or "deny", not "no"',
        (
            'p.toml:22: rules[1].limit.rate: "parsecs" is no unit here; use one of '
            "B/s, kB/s, KiB/s, MB/s, MiB/s, GB/s, GiB/s, TB/s, TiB/s, PB/s, PiB/s, "
            "bit/s, kbit/s, Mbit/s, Gbit/s"
        ),
        (
            "p.toml:24: ledger.store: is no URL of a database; write it like "
            '"postgresql://user@host/database"'
        ),
        "p.toml:25: dashboard: not available in this version",
    ]


def test_wrong_rules_keep_their_numbers_and_allow_nothing() -> None:
    text = DOOR + 'rules = [3, {then = "allow", who = "a"}, {who = 1, then = 2}]\n'
    configuration, _ = read("rules = [3]\n" + DOOR)
    assert [rule.then for rule in configuration.rules] == ["deny"]
    configuration, found = read(text.replace(DOOR, "") + DOOR)
    assert [rule.then for rule in configuration.rules] == ["deny", "allow", "deny"]
    assert found == [
        "p.toml:1: rules[0]: must be a table, not a number",
        "p.toml:1: rules[2].who: must be a list, not a number",
        'p.toml:1: rules[2].then: must be "allow" or "deny", not a number',
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "p.toml:1: listen: no listener, and so nothing to do; add a table"),
        ("listen = 3", "p.toml:1: listen: must be a table, not a number"),
        ("[listen]\nx = 3", "p.toml:2: listen.x: must be a table, not a number"),
        ('[listen."a\\tb"]', 'p.toml:1: listen."a\\tb": holds the control character'),
        ('[listen.""]', 'p.toml:1: listen."": a listener needs a name'),
        (DOOR + "[rules]", "p.toml:4: rules: must be a list; each rule begins with"),
        ("gateway = 1\n" + DOOR, "p.toml:1: gateway: must be a table, not a number"),
        ('[listen.x]\nprotocol = "smtp"', 'p.toml:2: listen.x.protocol: "smtp" is not'),
        ('[listen.x]\nprotocol = "needy"', "p.toml:1: listen.x.must: is missing"),
        (
            DOOR + "[gateway]\nstate = ''",
            "p.toml:5: gateway.state: is empty; name a folder",
        ),
    ],
)
def test_one_thing_wrong(text: str, found: str) -> None:
    assert any(one.startswith(found) for one in problems(text)), problems(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "a = 1\nb = ftp\n",
            "p.toml:2: no TOML: invalid value in column 5; text",
        ),
        (
            'a = "x\nb = 1',
            "p.toml:1: no TOML: illegal character '\\n' in column 7",
        ),
        ("a = [1,\n2\n\n", "p.toml:2: no TOML: unclosed array; a ] is missing"),
        (
            "[a]\n[a]\n",
            "p.toml:2: no TOML: cannot declare [a] twice in column 3; it",
        ),
        ("a = 1\na = 2\n", "p.toml:2: no TOML: cannot overwrite a value in column 6;"),
        ("x = " + "[" * 9999, "p.toml: holds lists or tables nested too deeply"),
        ("x = " + "9" * 9999, "p.toml: holds a number too long"),
    ],
)
def test_what_is_no_toml(text: str, found: str) -> None:
    configuration, (problem,) = read(text)
    assert problem.startswith(found)
    assert (configuration.listeners, configuration.rules) == ((), ())


def test_no_password_is_repeated() -> None:
    for key in ("mode", "login", "protocol", "source", "ports", "seconds"):
        text = DOOR.replace("protocol", "x") if key == "protocol" else DOOR
        found = problems(f'{text}{key} = "postgresql://bob:s3cret@db/portway"\n')
        assert found
        assert "s3cret" not in "".join(found)
    (one,) = problems(DOOR + '[ledger]\nstore = "postgresql://bob:s3cret@db/x"')
    assert "ledger.store: a password is not written here; take it out" in one


def test_an_unknown_time_zone_is_not_handed_on() -> None:
    configuration, found = read("[gateway]\ntimezone = 'Mars/North'\n" + DOOR)
    assert configuration.gateway.timezone == ""
    assert len(found) == 1


def test_home_is_where_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    configuration, found = read("[gateway]\nstate = '~/portway'\n" + DOOR)
    assert (configuration.gateway.state, found) == ("/home/u/portway", [])


def test_no_home_at_all() -> None:
    (found,) = problems("[gateway]\nstate = '~no such user/x'\n" + DOOR)
    assert found == (
        "p.toml:2: gateway.state: no home folder is known; write the whole path"
    )


# Files.


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    _, found = load(path, KINDS)
    assert list(map(str, found)) == [
        f"{path}: there is no such file; portway init writes one to begin with"
    ]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    _, (found,) = load(tmp_path, KINDS)
    assert str(found) == f"{tmp_path}: cannot be read: Is a directory"


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes(b"# a\n# \xe9\n")
    _, (found,) = load(path, KINDS)
    assert str(found) == f"{path}:2: is not UTF-8 text; save it as UTF-8"


def test_a_file_from_windows(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes(b"\xef\xbb\xbf" + DOOR.replace("\n", "\r\n").encode())
    configuration, found = load(path, KINDS)
    assert found == ()
    assert configuration.listeners[0].where == f"{path}:1"


def test_a_file_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "LARGEST", 100)
    path = tmp_path / "p.toml"
    path.write_text("#" * 101)
    _, (found,) = load(path, KINDS)
    assert "is larger than" in str(found)
    assert LARGEST > 10_000_000


def test_a_name_that_no_file_can_have() -> None:
    _, (found,) = load(Path("a\0b"), KINDS)
    assert "cannot be read" in str(found)


# What comes along.


def test_the_embedded_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg/")
    configuration, found = load(None, SETTINGS)
    assert found == ()
    assert configuration.path == ""
    assert configuration.gateway.state == "/xdg/portway"
    doors = {one.protocol: one.address for one in configuration.listeners}
    assert doors["ftp"] == (Endpoint("127.0.0.1", 2121),)
    assert doors["socks"] == (Endpoint("127.0.0.1", 1080),)
    (rule,) = configuration.rules
    assert rule.where.startswith(f"{DEFAULT}:")
    assert rule.who == ("127.0.0.0/8", "::1")
    assert rule.to == ("*", "inside")
    assert (rule.do, rule.then) == (("*",), "allow")
    assert configuration.ledger == Ledger()


@pytest.mark.parametrize("xdg", ["", "relative/folder"])
def test_state_without_xdg(xdg: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", xdg)
    monkeypatch.setenv("HOME", "/home/u")
    assert default_state() == "/home/u/.local/state/portway"


def test_the_starter_is_right_and_for_this_machine_alone() -> None:
    configuration, found = parse(embedded(STARTER), Path(STARTER), SETTINGS)
    assert found == ()
    assert [one.address for one in configuration.listeners] == [
        (Endpoint("127.0.0.1", 2121),),
        (Endpoint("127.0.0.1", 3128),),
    ]
    assert all("*" not in rule.who for rule in configuration.rules)


def test_the_starter_is_right_with_what_it_offers() -> None:
    """Each commented line that looks like TOML works once its mark is taken away."""
    lines = embedded(STARTER).splitlines()
    taken = [line[2:] if is_offer(line) else line for line in lines]
    assert taken != lines
    once = [line for line in taken if line != 'address = "127.0.0.1:2121"']
    text = "\n".join(line for line in once if "only programs on" not in line)
    configuration, found = parse(text, Path(STARTER), SETTINGS)
    assert list(map(str, found)) == []
    assert len(configuration.rules) == 3
    assert configuration.gateway.timezone == "Europe/Paris"


def is_offer(line: str) -> bool:
    return line.startswith("# [") or (line.startswith("# ") and " = " in line)
