from ipaddress import IPv4Address, IPv6Address

from fuzz.fuzz_names import target
from hypothesis import example, given
from hypothesis import strategies as st

from portway.model import Endpoint
from portway.protocols.ftp.dialects import (
    METHODS,
    BadTarget,
    Context,
    Place,
    candidates,
    read_place,
    split,
)

LABEL = st.from_regex(r"[a-z0-9_-]{1,63}", fullmatch=True)
LAST = st.from_regex(r"[a-z_-][a-z0-9_-]{0,30}", fullmatch=True)
NAMES = st.builds(
    lambda labels, last: ".".join([*labels, last]), st.lists(LABEL, max_size=3), LAST
).filter(lambda name: len(name) <= 253)
V6 = st.integers(0, 2**128 - 1).filter(lambda n: n >> 32 != 0xFFFF).map(IPv6Address)
PORTS = st.integers(1, 65535)
WORDS = st.from_regex(rb"[!-?A-~]{1,20}", fullmatch=True)
USERS = st.binary(max_size=30)

ODD = st.sampled_from(
    b"@|:|,| |[|]|.|%|0x|21|::1|fe80::|h|alice|\xc3\xa9|\xef\xbc\x91|\xff|1.2.3.4|-|\t|"
    b"SITE |MDTM |LIST -l ".split(b"|")
)
ARGUMENTS = st.lists(st.one_of(ODD, st.binary(max_size=4)), max_size=14).map(b"".join)


@given(ARGUMENTS)
def test_garbage_is_a_good_place_or_a_bad_target(data: bytes) -> None:
    target(data)


@given(USERS, NAMES, PORTS, st.sampled_from(":, "), st.none() | WORDS)
def test_a_name_with_its_port_is_read_back(
    user: bytes, name: str, port: int, mark: str, word: bytes | None
) -> None:
    place = f"{name}{mark}{port}".encode() + (b"" if word is None else b" " + word)
    named = split(user + b"@" + place)
    assert named.user == user
    assert named.place == Place(name, port, word)


@given(st.ip_addresses(), PORTS)
def test_an_address_as_an_endpoint_is_written_is_read_back(
    address: IPv4Address | IPv6Address, port: int
) -> None:
    folded = getattr(address, "ipv4_mapped", None) or address
    place = read_place(str(Endpoint(str(address), port)).encode())
    assert place.endpoint() == Endpoint(str(folded), port)


@given(V6, PORTS)
@example(IPv6Address("::ffff:0"), 1)
def test_ipv6_without_brackets_gives_the_address_or_the_port_asked_for(
    address: IPv6Address, port: int
) -> None:
    """What lftp sends is read right, or it was an address as it stands."""
    text = f"{address}:{port}"
    place = read_place(text.encode())
    if place.port is None:
        whole = IPv6Address(text)
        assert place.host == str(whole.ipv4_mapped or whole)
        assert port not in {21, 990, *range(1000, 10000)}
    else:
        assert (place.host, place.port) == (str(address), port)


@given(NAMES)
def test_a_name_is_the_same_in_any_letters(name: str) -> None:
    assert read_place(name.upper().encode() + b".") == read_place(name.encode())


@given(st.integers(0, 2**32 + 10))
def test_no_number_is_a_host(number: int) -> None:
    for text in (f"{number}", f"{number:#x}", f"a.{number}", f"1.{number:#X}"):
        try:
            read_place(text.encode())
        except BadTarget:
            continue
        raise AssertionError(text)


METHOD_LISTS = st.lists(st.sampled_from([*METHODS, "site", "open"]), unique=True)
LOGINS = st.sampled_from(["none", "optional", "required"])


@given(ARGUMENTS, METHOD_LISTS, LOGINS, st.booleans(), st.booleans())
def test_candidates_keep_the_order_and_the_rules(
    argument: bytes, methods: list[str], login: str, standing: bool, fixed: bool
) -> None:
    context = Context(tuple(methods), login, standing=standing, fixed=fixed)
    try:
        found = [candidate.method for candidate in candidates(argument, context)]
    except BadTarget:
        return
    assert found == [method for method in methods if method in found]
    if login == "required" and not standing:
        assert "user@host" not in found
    if login == "none" or standing:
        assert not {"acct", "joined", "colon", "resp"} & set(found)
    if standing:
        assert "proxyuser@host" not in found
