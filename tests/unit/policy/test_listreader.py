import pytest

from portway.model import read_address
from portway.policy.listreader import BOM, LONGEST_LINE, SHOWN, Format, Reader
from portway.policy.lists import NamedList

KEY = b"k" * 16


def read(text: str | bytes, layout: str = "auto", *, piece: int = 0) -> NamedList:
    data = text.encode() if isinstance(text, str) else text
    reader = Reader("games", Format(layout), KEY)
    for place in range(0, len(data), piece or len(data) or 1):
        reader.feed(data[place : place + (piece or len(data))])
    return reader.finish()


def bad(text: str | bytes, layout: str = "auto") -> list[str]:
    return [f"{line}: {words}" for line, words in read(text, layout).bad]


def has_address(found: NamedList, text: str) -> bool:
    address = read_address(text)
    assert address is not None
    return address in found.ranges


MIXED = """\
# games, and where they come from
games.example   # with a remark
GAMES.Example.ORG.
.dotted.example
münchen.example ; another one
203.0.113.0/24
2001:db8::/32
10.0.0.1-10.0.0.9

198.51.100.1
0.0.0.0 ads.example tracker.example
"""


@pytest.mark.parametrize("piece", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", BOM])
def test_a_list_as_people_write_it(piece: int, end: str, mark: bytes) -> None:
    found = read(mark + MIXED.replace("\n", end).encode(), piece=piece)
    assert found.bad == ()
    assert (len(found.domains), found.ranges.networks, len(found)) == (6, 4, 10)
    for host in (
        "games.example",
        "a.b.games.example",
        "games.example.org",
        "dotted.example",
        "xn--mnchen-3ya.example",
        "www.tracker.example",
    ):
        assert host in found.domains
    for host in ("example", "example.org", "notgames.example", "0.0.0.0", ""):
        assert host not in found.domains
    for address in ("203.0.113.255", "2001:db8::1", "10.0.0.9", "::ffff:10.0.0.1"):
        assert has_address(found, address)
    for address in ("203.0.114.0", "2001:db9::", "10.0.0.10", "0.0.0.0"):
        assert not has_address(found, address)


def test_a_bom_is_one_at_the_beginning_only() -> None:
    assert len(bad(b"10.0.0.1\n" + BOM + b"10.0.0.2\n", "networks")) == 1


def test_a_last_line_needs_no_end() -> None:
    assert "a.example" in read("x.example\na.example").domains


def test_a_domain_may_begin_like_an_address() -> None:
    assert "1.2.3.4.example" in read("1.2.3.4.example").domains
    assert "3com.example" in read("3com.example", "domains").domains


def test_the_same_domain_twice_counts_once() -> None:
    assert len(read("a.example\nA.example.\na.example\n")) == 1


def test_networks_that_meet_are_one_range() -> None:
    found = read("10.0.0.0/25\n10.0.0.128/25\n10.0.0.7\n10.0.1.0-10.0.1.9")
    assert found.ranges.networks == 4
    assert has_address(found, "10.0.1.9")
    assert not has_address(found, "10.0.1.10")
    assert not has_address(found, "9.255.255.255")


def test_what_lies_between_two_networks_is_in_none() -> None:
    found = read("10.0.0.1\n10.0.0.3\n2001:db8::1\n2001:db8::3")
    assert not has_address(found, "10.0.0.2")
    assert not has_address(found, "2001:db8::2")
    assert has_address(found, "2001:db8::3")


def test_the_whole_of_either_family() -> None:
    found = read("0.0.0.0/0\n::/0", "networks")
    for address in ("0.0.0.0", "255.255.255.255", "::", "ffff::1", "1.2.3.4"):
        assert has_address(found, address)


def test_hosts_files_say_what_the_machine_itself_is_called() -> None:
    found = read("127.0.0.1 localhost\n::1 ip6-localhost\n0.0.0.0 a.example", "hosts")
    assert found.bad == ()
    assert "localhost" not in found.domains
    assert "a.example" in found.domains
    assert "b.example" in read("fe80::1%lo0 b.example", "hosts").domains


@pytest.mark.parametrize(
    ("layout", "line", "text"),
    [
        ("auto", "two words", '"two words" is no domain'),
        ("auto", "*.x.example", "leave out the star, a domain stands for all below it"),
        ("auto", "http://x.example/", '"http://x.example/" is a URL: write its host'),
        ("auto", "10.0.0.1/8", 'write "10.0.0.0/8"'),
        ("auto", "10.0.0.256", "is not an IPv4 or IPv6 address"),
        ("auto", "10.0.0.0/33", "is not a network"),
        ("auto", "x.example:21", "is not an IPv4 or IPv6 address"),
        ("auto", "10.0.0.9-10.0.0.1", "from an address up to one of its kind"),
        ("auto", "-", '"-" is no domain'),
        ("domains", "10.0.0.1", "names do not end in a number"),
        ("domains", "0.0.0.0 x.example", "is no domain"),
        ("domains", "x..example", "is no domain"),
        ("domains", "a" * 64 + ".example", "is no domain"),
        ("domains", "a.b" * 85, "is longer than a name may be"),
        ("domains", "ü" * 70, "is no domain"),
        ("domains", "é\u0000.example", "is no domain"),
        ("networks", "x.example", "is not an IPv4 or IPv6 address"),
        ("networks", "ff\u0660.1", "is not an IPv4 or IPv6 address"),
        ("hosts", "x.example", "does not begin with an address"),
        ("hosts", "10.0.0.1", "names no host after its address"),
        ("hosts", "10.0.0.1 x..example", "is no domain"),
    ],
)
def test_a_bad_line_is_named(layout: str, line: str, text: str) -> None:
    [problem] = bad(f"# first\n{line}\n", layout)
    assert problem.startswith("2: ")
    assert text in problem
    assert len(problem) < 200
    assert problem.isprintable()


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert bad(b"\xff\xfe\x00a\n") == ['1: "\\xff\\xfe\\x00a" is no domain']
    assert bad("a\u202eb.example\n") == ['1: "a\\u202eb.example" is no domain']


def test_the_first_bad_lines_are_named_and_all_are_counted() -> None:
    found = read("good.example\n" + "bad line\n" * 1000)
    assert found.bad_lines == 1000
    assert [line for line, _ in found.bad] == list(range(2, SHOWN + 2))
    assert len(found) == 1


@pytest.mark.parametrize("piece", [0, 1000])
def test_a_line_without_end_is_one_bad_line(piece: int) -> None:
    long = b"x" * (LONGEST_LINE * 50)
    text = f"1: is longer than {LONGEST_LINE} bytes"
    assert bad(long) == [text]
    found = read(long + b"\nb.example\n", piece=piece)
    assert [f"{line}: {words}" for line, words in found.bad] == [text]
    assert "b.example" in found.domains


def test_a_single_label_stands_for_all_below_it() -> None:
    assert "a.b.test" in read("test").domains


def test_an_empty_list_has_nothing() -> None:
    found = read("")
    assert len(found) == 0
    assert not found.has("a.example", read_address("10.0.0.1"))
    assert found.words == "list @games (0 entries)"


def test_a_host_of_many_labels_costs_what_the_list_is_deep() -> None:
    found = read("a.b.c.example\nb.example")
    deep = "x." * 120 + "b.example"
    assert deep in found.domains
    assert "x." * 120 + "c.example" not in found.domains
    assert "example" not in found.domains


def test_the_key_is_in_every_mark() -> None:
    one, other = (Reader("x", Format.DOMAINS, key * 16) for key in (b"1", b"2"))
    for reader in (one, other):
        reader.feed(b"a.example\n")
    marks = [reader.finish().domains.marks for reader in (one, other)]
    assert marks[0] != marks[1]
