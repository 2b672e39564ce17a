from pathlib import Path

import pytest

from portway.cli.capturing import ROUTES, filter_rules
from portway.cli.main import main
from portway.prepare import configured

DOOR = """\
[listen.{name}]
protocol = "ftp"
mode = "transparent"
address = {address}
{more}
"""
RULES = """
[[rules]]
who = "10.0.0.0/8"
then = "allow"
"""
REDIRECT = 'data_ports = "50000-50099"'
TPROXY = 'capture = "tproxy"'


def door(address: str, more: str, name: str = "caught") -> str:
    return DOOR.format(name=name, address=address, more=more)


def written(folder: Path, *doors: str) -> Path:
    path = folder / "portway.toml"
    path.write_text("".join(doors) + RULES)
    return path


def rules_of(folder: Path, *doors: str, interface: str = "") -> list[str]:
    """Return the lines that lead somewhere, without their comments."""
    lines = filter_rules(configured(written(folder, *doors)), interface)
    return [line.partition("  # ")[0].strip() for line in lines if "dport" in line]


def test_redirect_on_every_address(tmp_path: Path) -> None:
    found = rules_of(tmp_path, door('["0.0.0.0:2121", "[::]:2122"]', REDIRECT))
    four, six = (
        f"meta nfproto {family} fib daddr type != local tcp dport"
        for family in ("ipv4", "ipv6")
    )
    assert found == [
        f"{four} 21 redirect to :2121",
        f"{four} 50000-50099 redirect",
        f"{six} 21 redirect to :2122",
        f"{six} 50000-50099 redirect",
    ]


def test_redirect_to_the_address_that_is_listened_on(tmp_path: Path) -> None:
    """REDIRECT itself knows the first address of a network card only."""
    found = rules_of(tmp_path, door('["10.0.0.1:2121", "[fd00::1]:2121"]', REDIRECT))
    assert [rule.partition(" dport ")[2] for rule in found] == [
        "21 dnat ip to 10.0.0.1:2121",
        "50000-50099 dnat ip to 10.0.0.1",
        "21 dnat ip6 to [fd00::1]:2121",
        "50000-50099 dnat ip6 to [fd00::1]",
    ]


def test_tproxy(tmp_path: Path) -> None:
    found = rules_of(tmp_path, door('["0.0.0.0:2121", "[fd00::1]:2121"]', TPROXY))
    assert [rule.partition(" dport ")[2] for rule in found] == [
        "21 tproxy ip to :2121 meta mark set 1 accept",
        "21 tproxy ip6 to [fd00::1]:2121 meta mark set 1 accept",
    ]


def test_the_web_is_caught_at_both_its_ports(tmp_path: Path) -> None:
    web = [
        door(f'"0.0.0.0:{port}"', more, name).replace('"ftp"', '"http"')
        for port, more, name in ((3128, "", "one"), (3129, TPROXY, "other"))
    ]
    assert [rule.partition(" dport ")[2] for rule in rules_of(tmp_path, *web)] == [
        "{ 80, 443 } redirect to :3128",
        "{ 80, 443 } tproxy ip to :3129 meta mark set 1 accept",
    ]


def test_an_interface(tmp_path: Path) -> None:
    caught = door('"0.0.0.0:2121"', REDIRECT)
    (rule, data) = rules_of(tmp_path, caught, interface="lan0")
    assert rule.startswith('iifname "lan0" ')
    assert data.startswith('iifname "lan0" ')


def test_what_is_printed_is_a_whole_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = door('"0.0.0.0:2121"', REDIRECT)
    other = door('"0.0.0.0:2122"', TPROXY, "kept")
    forward = '[listen.f]\nprotocol = "ftp"\naddress = "127.0.0.1:2123"\n'
    path = written(tmp_path, one, other, forward)
    assert main(["init", "--transparent", str(path)]) == 0
    text = capsys.readouterr().out
    assert text.count("{") == text.count("}") == 3
    assert all(f"#   {route}\n" in text for route in ROUTES)
    assert "2123" not in text
    assert path.read_text().startswith("[listen.caught]")  # nothing was written
    assert main(["check", "-c", str(path)]) == 0
    words = capsys.readouterr().out
    assert all(line in words for line in text.splitlines())
    assert "caught: ftp on 0.0.0.0:2121, transparent, " in words
    assert main(["check", "--json", "-c", str(path)]) == 0
    assert '{"nft":["# Run once' in capsys.readouterr().out


def test_the_file_is_named_as_for_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, door('"0.0.0.0:2121"', REDIRECT))
    for words in (["-c", str(path)], []):
        monkeypatch.chdir(tmp_path)
        assert main(["init", "--transparent", *words]) == 0
        assert "redirect to :2121" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["--transparent"], "portway.toml: has no listener"),
        (["--transparent", "--interface", 'a" b'], "no name of a network card"),
        (["--interface", "lan0"], "--interface goes with --transparent"),
    ],
)
def test_what_cannot_be_printed(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    wrong: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, '[listen.f]\nprotocol = "ftp"\naddress = "127.0.0.1:0"\n')
    with pytest.raises(SystemExit) as ended:
        main(["init", *words])
    assert ended.value.code == 2
    assert wrong in capsys.readouterr().err


WRONG = [
    ("", "data_ports: is missing"),
    (f'{REDIRECT}\nlogin = "optional"', "login: nobody could tell whose login"),
    (f'{TPROXY}\ndata_address = "10.0.0.1"', "data_address: is told to nobody"),
    (f"{REDIRECT}\nupstream.keep_client = true", "keep_client: needs mode"),
    (
        f'{TPROXY}\nupstream.keep_client = true\nupstream.address = "10.0.0.1"',
        "this or address",
    ),
    (
        f'{TPROXY}\nupstream.keep_client = true\nupstream.via = "http://a:1"',
        "this or via",
    ),
    (f'{REDIRECT}\nmethods = ["joined"]', "carries a proxy login"),
]


@pytest.mark.parametrize(("more", "wrong"), WRONG)
def test_what_a_transparent_door_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: str, wrong: str
) -> None:
    path = written(tmp_path, door('"0.0.0.0:2121"', more))
    assert main(["check", "-c", str(path)]) == 2
    assert wrong in capsys.readouterr().err


def test_tproxy_is_for_transparent_doors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = door('"0.0.0.0:2121"', TPROXY).replace("transparent", "forward")
    assert main(["check", "-c", str(written(tmp_path, text))]) == 2
    assert 'capture: is for mode = "transparent" alone' in capsys.readouterr().err


@pytest.mark.parametrize("more", [f"{REDIRECT}\nmethods = []", TPROXY])
def test_no_method_is_needed(tmp_path: Path, more: str) -> None:
    path = written(tmp_path, door('"0.0.0.0:2121"', more))
    assert main(["check", "-c", str(path)]) == 0
