"""SOCKS readers: any cut gives the same, any bytes give a value or ProtocolError."""

from fuzz.fuzz_socks import check_datagram, target
from hypothesis import example, given
from hypothesis import strategies as st

from portway.model import Credentials, Endpoint
from portway.protocols.socks import wire

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABEL, min_size=1, max_size=4).map(
    lambda labels: ".".join([*labels, "org"])
)
ADDRESSES = st.ip_addresses().filter(
    lambda one: getattr(one, "ipv4_mapped", 0) in {0, None}
)
HOSTS = st.one_of(ADDRESSES.map(str), NAMES)
ENDPOINTS = st.builds(Endpoint, HOSTS, st.integers(1, 65535))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(st.binary(max_size=600))
def test_any_bytes(data: bytes) -> None:
    target(data)


@given(st.sampled_from([4, 5]), st.binary(max_size=600))
def test_any_bytes_behind_a_version(version: int, data: bytes) -> None:
    target(bytes((version,)) + data)


@given(ENDPOINTS, st.integers(0, 255), st.binary(max_size=20))
@example(Endpoint("ftp.example.org", 21), 3, b"")
def test_a_request_is_read_as_it_was_written(
    at: Endpoint, command: int, behind: bytes
) -> None:
    data = wire.format_request(command, at)
    found = wire.read_request(data + behind)
    if command == wire.Command.ASSOCIATE and at.host.endswith(".org"):
        at = Endpoint("0.0.0.0", at.port)
    assert found == (wire.Request(wire.VERSION_5, command, at), len(data))


@given(TEXT, TEXT)
def test_a_login_is_read_as_it_was_written(user: str, password: str) -> None:
    login = Credentials(user, password)
    data = wire.format_login(login)
    found = wire.read_login(data + b"x")
    assert found == (login, len(data))


@given(ENDPOINTS, st.binary(max_size=100))
def test_a_datagram_is_read_as_it_was_written(at: Endpoint, payload: bytes) -> None:
    data = wire.format_datagram_head(at) + payload
    found = wire.read_datagram(data)
    assert found is not None
    assert (found[0], data[found[1] :]) == (at, payload)
    check_datagram(data)
