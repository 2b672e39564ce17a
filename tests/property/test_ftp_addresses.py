import ftplib
from ipaddress import IPv4Address, IPv6Address

from fuzz.fuzz_addresses import target
from hypothesis import given
from hypothesis import strategies as st

from portway.lines import LineReader
from portway.model import Endpoint
from portway.net.guard import fold
from portway.protocols.ftp.data import client_address
from portway.protocols.ftp.wire import (
    format_227,
    format_229,
    format_eprt,
    format_port,
    parse_227,
    parse_229,
    parse_command,
    parse_eprt,
    parse_port,
    parse_pwd,
    reply,
)

PORTS = st.integers(1, 65535)
V4 = st.ip_addresses(v=4)
PROSE = st.text(st.characters(codec="ascii", exclude_characters="(\0\r\n"), max_size=30)
PIECE = st.one_of(
    st.sampled_from(
        [b"1", b"192,168,1,10", b",", b"|", b"|||", b"!", b"(", b"::1", b"."]
    )
    | st.sampled_from([b"227 ", b"229 ", b'257 "', b'"', b'""', b"/", b"..", b"65535"]),
    st.binary(max_size=6),
)


@given(st.lists(PIECE, max_size=16).map(b"".join))
def test_garbage_is_a_good_value_or_a_protocol_error(data: bytes) -> None:
    target(data)


@given(V4, PORTS)
def test_port_as_we_write_it(address: IPv4Address, port: int) -> None:
    endpoint = Endpoint(str(address), port)
    assert parse_port(format_port(endpoint)) == endpoint


@given(st.ip_addresses(), PORTS)
def test_eprt_as_we_write_it(address: IPv4Address | IPv6Address, port: int) -> None:
    endpoint = Endpoint(str(address), port)
    assert parse_eprt(format_eprt(endpoint)) == endpoint


@given(V4, PORTS)
def test_227_as_we_write_it_is_what_ftplib_reads(
    address: IPv4Address, port: int
) -> None:
    text = format_227(Endpoint(str(address), port))
    assert ftplib.parse227(text.decode().rstrip()) == (str(address), port)
    assert parse_227(text) == Endpoint(str(address), port)


@given(PORTS)
def test_229_as_we_write_it_is_what_ftplib_reads(port: int) -> None:
    text = format_229(port)
    assert ftplib.parse229(text.decode().rstrip(), ("::1", 21)) == ("::1", port)
    assert parse_229(text) == port


@given(PROSE.filter(lambda text: "," not in text), V4, PORTS)
def test_227_as_others_write_it_is_what_ftplib_reads(
    prose: str, address: IPv4Address, port: int
) -> None:
    numbers = format_port(Endpoint(str(address), port)).decode()
    text = f"227 {prose} {numbers}"
    assert parse_227(text.encode()) == Endpoint(*ftplib.parse227(text))


@given(PROSE, st.sampled_from("!#$|~-/"), PORTS)
def test_229_as_others_write_it_is_what_ftplib_reads(
    prose: str, mark: str, port: int
) -> None:
    text = f"229 ok ({mark * 3}{port}{mark}) {prose}"
    assert parse_229(text.encode()) == ftplib.parse229(text, ("::1", 21))[1]


DIRECTORIES = st.text(st.characters(codec="latin-1", exclude_characters="\0\r\n"))


@given(DIRECTORIES, PROSE.filter(lambda text: '"' not in text))
def test_257_is_what_ftplib_reads(directory: str, prose: str) -> None:
    quoted = directory.replace('"', '""')
    text = f'257 "{quoted}" {prose}'
    assert ftplib.parse257(text) == directory
    assert parse_pwd(text.encode("latin-1")) == directory.encode("latin-1")


@given(st.ip_addresses(), st.ip_addresses(), PORTS)
def test_nobody_but_the_client_is_ever_called_back(
    client: IPv4Address | IPv6Address, named: IPv4Address | IPv6Address, port: int
) -> None:
    endpoint = Endpoint(str(named), port)
    answer = client_address("EPRT", format_eprt(endpoint), client)
    if isinstance(answer, Endpoint):
        assert fold(named) == fold(client)
    if named.version == 4 and client.version == 4 and named != client:
        assert client_address("PORT", format_port(endpoint), client) == reply(
            501, "Data address is not yours."
        )


BLANK = st.sampled_from(b" |\t|\v|\f|\0|\r|\xff\xf1".split(b"|"))
COMMANDS = st.lists(BLANK | st.sampled_from([b"DELE", b"x", b"\xff"]) | st.binary())


@given(COMMANDS.map(b"".join))
def test_a_command_that_is_forwarded_is_read_as_it_was_decided(data: bytes) -> None:
    for line in LineReader(telnet=True).feed(data + b"\r\n"):
        if isinstance(line, bytes):
            command = parse_command(line)
            assert parse_command(command.line) == command
            if command.verb:
                assert command.line.upper().startswith(command.verb.encode())
