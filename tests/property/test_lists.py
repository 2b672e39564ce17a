"""Lists of domains and networks against plain sets of them."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

from fuzz.fuzz_lists import target
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.policy.asking import MONDAY, PROTOCOLS, asked, written

from portway.model import Access, IPAddress
from portway.net.guard import is_inside
from portway.policy.compile import compile_rules
from portway.policy.listreader import Format, Reader
from portway.policy.lists import NamedList
from portway.policy.match import read_networks
from portway.policy.rules import NeedsAddress

LABELS = st.sampled_from(["a", "b", "ab", "www", "games", "example", "org", "x-1"])
NAMES = st.lists(LABELS, min_size=1, max_size=5).map(".".join)
ADDRESSES = st.one_of(
    st.integers(0, 40).map(lambda n: ip_address("10.0.0.0") + n),
    st.integers(0, 40).map(lambda n: ip_address("2001:db8::") + n),
    st.ip_addresses(),
)
SHORTER = st.sampled_from([0, 1, 2, 3, 5, 24])


def network(address: IPAddress, shorter: int) -> str:
    length = address.max_prefixlen - min(shorter, address.max_prefixlen)
    return str(ip_network((address, length), strict=False))


NETWORKS = st.builds(network, ADDRESSES, SHORTER)


def read(lines: list[str], layout: Format) -> NamedList:
    return named("x", lines, layout)


def named(name: str, lines: list[str], layout: Format = Format.AUTO) -> NamedList:
    reader = Reader(name, layout, b"0123456789abcdef")
    reader.feed("\n".join(lines).encode())
    return reader.finish()


def above(name: str) -> set[str]:
    """Return *name* and every domain above it."""
    labels = name.split(".")
    return {".".join(labels[place:]) for place in range(len(labels))}


@given(st.lists(NAMES, max_size=30), st.lists(NAMES, min_size=1, max_size=30))
def test_a_name_is_listed_if_one_above_it_is(
    listed: list[str], asked: list[str]
) -> None:
    found = read(listed, Format.DOMAINS)
    assert len(found.domains) == len(set(listed))
    for name in [*asked, *listed]:
        assert (name in found.domains) is bool(above(name) & set(listed))


@given(st.lists(NETWORKS, max_size=30), st.lists(ADDRESSES, min_size=1, max_size=30))
def test_an_address_is_listed_if_a_network_has_it(
    listed: list[str], asked: list[IPAddress]
) -> None:
    found = read(listed, Format.AUTO)
    assert not found.bad
    networks = [net for text in listed for net in read_networks(text)]  # v4 folded
    ends = [end for one in networks for end in (one[0], one[-1])]
    for address in [*asked, *ends]:
        if getattr(address, "ipv4_mapped", None) is None:
            assert (address in found.ranges) is any(address in one for one in networks)


LISTS = {
    name: named(name, lines)
    for name, lines in {
        "games": ["games.example", "b.org"],
        "servers": ["203.0.113.0/24", "10.0.0.0/8"],
        "both": ["a.org", "2001:db8::/32", "127.0.0.1"],
        "clients": ["10.0.0.0-10.0.0.9"],
    }.items()
}
TARGETS = st.sampled_from(
    ["@games", "@servers", "@both", "*", "inside", "*.example", "203.0.113.7", "*/in/*"]
)
RULES = st.fixed_dictionaries(
    {
        "who": st.sampled_from(["*", "@clients", "user:alice"]),
        "to": st.lists(TARGETS, min_size=1, max_size=3).map(tuple),
        "then": st.sampled_from(["allow", "deny"]),
    }
)
ACCESSES = st.builds(
    asked,
    st.sampled_from(["RETR", "CONNECT"]),
    st.sampled_from(["games.example", "x.games.example", "a.org", "b.org", "org"]),
    st.sampled_from(["", "/in/x"]),
    client=st.sampled_from(["10.0.0.9", "10.0.0.10"]),
    user=st.sampled_from(["", "alice"]),
    address=st.sampled_from(["203.0.113.7", "10.1.1.1", "2001:db8::1", "127.0.0.1"]),
)


@given(st.lists(RULES, max_size=6), ACCESSES)
def test_the_index_decides_as_a_scan_does(
    rules: list[dict[str, object]], access: Access
) -> None:
    compiled, wrong = compile_rules(
        tuple(written(name=str(n), **rule) for n, rule in enumerate(rules)),
        timezone="UTC",
        protocols=PROTOCOLS,
        lists=LISTS,
    )
    assert not wrong
    fits = (one for one in compiled.rules if one.mismatch(access, MONDAY) is None)
    first = next(fits, None)
    decided = compiled.decide(access, MONDAY)
    assert decided.rule == (first.name if first else "")
    assert access.address is not None
    inside = decided.allowed and is_inside(access.address)
    assert decided.reaches_inside or not inside
    before = replace(access, address=None)
    try:
        unresolved = compiled.decide(before, MONDAY)
    except NeedsAddress:
        return
    if not unresolved.allowed:
        assert not decided.allowed
    elif not is_inside(access.address):
        assert decided.allowed


LINES = st.binary(max_size=30) | st.sampled_from(
    [b"\n", b"\r\n", b"a.b", b"10.0.0.0/8", b"::/0", b" # x", b"127.0.0.1 a b", b"-"]
)


@given(st.lists(LINES, max_size=20).map(b"".join))
def test_whatever_the_bytes(data: bytes) -> None:
    target(data)
