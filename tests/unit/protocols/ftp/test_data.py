from ipaddress import ip_address

import pytest

from portway.errors import ProtocolError
from portway.model import Endpoint, Side
from portway.protocols.ftp.data import (
    Memory,
    attempts,
    client_address,
    epsv_refusal,
    is_refusal,
    server_address,
)

CLIENT = ip_address("192.168.1.10")
CLIENT6 = ip_address("fd00:1::10")
SERVER = "198.51.100.5"


# The server's leg: one line for each cell of the table in the specification.


@pytest.mark.parametrize(
    ("mode", "verb", "family", "ways"),
    [
        ("auto", "PASV", 4, "PASV EPSV"),
        ("auto", "PASV", 6, "EPSV"),
        ("auto", "EPSV", 4, "EPSV PASV"),
        ("auto", "EPSV", 6, "EPSV"),
        ("auto", "PORT", 4, "PORT EPRT PASV EPSV"),
        ("auto", "PORT", 6, "EPRT EPSV"),
        ("auto", "EPRT", 4, "EPRT PORT EPSV PASV"),
        ("auto", "EPRT", 6, "EPRT EPSV"),
        ("passive", "PASV", 4, "PASV EPSV"),
        ("passive", "PASV", 6, "EPSV"),
        ("passive", "EPSV", 4, "EPSV PASV"),
        ("passive", "EPSV", 6, "EPSV"),
        ("passive", "PORT", 4, "PASV EPSV"),
        ("passive", "PORT", 6, "EPSV"),
        ("passive", "EPRT", 4, "EPSV PASV"),
        ("passive", "EPRT", 6, "EPSV"),
        ("active", "PASV", 4, "PORT EPRT"),
        ("active", "PASV", 6, "EPRT"),
        ("active", "EPSV", 4, "EPRT PORT"),
        ("active", "EPSV", 6, "EPRT"),
        ("active", "PORT", 4, "PORT EPRT"),
        ("active", "PORT", 6, "EPRT"),
        ("active", "EPRT", 4, "EPRT PORT"),
        ("active", "EPRT", 6, "EPRT"),
        ("auto", "PASV", None, "EPSV PASV"),
        ("auto", "PORT", None, "EPRT PORT EPSV PASV"),
    ],
)
def test_what_is_tried(mode: str, verb: str, family: int | None, ways: str) -> None:
    assert attempts(verb, family, mode) == tuple(ways.split())


def test_what_was_refused_is_left_out() -> None:
    assert attempts("PASV", 4, "auto", {"PASV"}) == ("EPSV",)
    assert attempts("PORT", 4, "auto", {"PORT", "EPRT"}) == ("PASV", "EPSV")


def test_what_was_refused_is_tried_again_where_nothing_else_is_left() -> None:
    assert attempts("PASV", 4, "auto", {"PASV", "EPSV"}) == ("PASV", "EPSV")
    assert attempts("EPSV", 6, "auto", {"EPSV"}) == ("EPSV",)


@pytest.mark.parametrize(
    ("code", "refusal"),
    [(500, True), (502, True), (522, True), (530, False), (425, False), (200, False)],
)
def test_which_replies_are_remembered(code: int, *, refusal: bool) -> None:
    assert is_refusal(code) is refusal


def test_a_refusal_is_remembered_for_an_hour() -> None:
    memory = Memory()
    server = Endpoint(SERVER, 21)
    memory.refuse(server, "EPSV", 100.0)
    memory.refuse(server, "PORT", 200.0)
    assert memory.refused(server, 3699.9) == {"EPSV", "PORT"}
    assert memory.refused(server, 3700.0) == {"PORT"}
    assert memory.refused(Endpoint(SERVER, 2121), 200.0) == frozenset()
    assert memory.refused(server, 3800.0) == frozenset()
    assert len(memory) == 0


def test_the_least_recently_used_server_is_forgotten() -> None:
    memory = Memory(servers=2)
    one, two, three = (Endpoint(SERVER, port) for port in (1, 2, 3))
    memory.refuse(one, "EPSV", 0.0)
    memory.refuse(two, "EPSV", 0.0)
    assert memory.refused(one, 1.0)
    memory.refuse(three, "EPSV", 2.0)
    assert len(memory) == 2
    assert memory.refused(one, 3.0)
    assert not memory.refused(two, 3.0)


# What the server announces.


def test_the_peer_of_the_control_connection_is_dialled() -> None:
    announced = server_address("PASV", b"227 ok (198,51,100,5,78,32)", SERVER)
    assert announced.endpoint == Endpoint(SERVER, 20000)
    assert announced.other_host == ""
    announced = server_address("PASV", b"227 ok (10,0,0,5,78,32)", SERVER)
    assert announced.endpoint == Endpoint(SERVER, 20000)
    assert announced.other_host == "10.0.0.5"
    announced = server_address("EPSV", b"229 ok (|||20000|)", "2001:db8::5")
    assert announced.endpoint == Endpoint("2001:db8::5", 20000)
    assert announced.other_host == ""


def test_the_address_in_the_reply_is_dialled_where_it_is_trusted() -> None:
    text = b"227 ok (203,0,113,9,78,32)"
    announced = server_address("PASV", text, SERVER, trust_reply=True)
    assert announced.endpoint == Endpoint("203.0.113.9", 20000)
    assert announced.other_host == "203.0.113.9"


@pytest.mark.parametrize("trust_reply", [False, True])
@pytest.mark.parametrize(
    ("verb", "text"),
    [
        ("PASV", b"227 ok (0,0,0,0,78,32)"),
        ("PASV", b"227 ok (198,51,100,5,3,255)"),
        ("PASV", b"227 ok"),
        ("EPSV", b"229 ok (|||1023|)"),
        ("EPSV", b"229 ok"),
    ],
)
def test_what_cannot_be_dialled(verb: str, text: bytes, *, trust_reply: bool) -> None:
    with pytest.raises(ProtocolError) as caught:
        server_address(verb, text, SERVER, trust_reply=trust_reply)
    assert caught.value.side is Side.SERVER


# What the client asks for.


@pytest.mark.parametrize(
    ("verb", "argument", "client"),
    [
        ("PORT", b"192,168,1,10,156,64", "192.168.1.10"),
        ("PORT", b"192,168,1,10,156,64", "::ffff:192.168.1.10"),
        ("EPRT", b"|1|192.168.1.10|40000|", "192.168.1.10"),
        ("EPRT", b"|2|::ffff:192.168.1.10|40000|", "192.168.1.10"),
        ("EPRT", b"|1|192.168.1.10|40000|", "::ffff:192.168.1.10"),
    ],
)
def test_the_clients_own_address_is_called_back(
    verb: str, argument: bytes, client: str
) -> None:
    assert client_address(verb, argument, ip_address(client)) == Endpoint(
        "192.168.1.10", 40000
    )


def test_the_clients_own_ipv6_address_is_called_back() -> None:
    argument = b"|2|FD00:1:0::10|40000|"
    assert client_address("EPRT", argument, CLIENT6) == Endpoint("fd00:1::10", 40000)


@pytest.mark.parametrize(
    ("verb", "argument", "text"),
    [
        ("PORT", b"192,168,1,11,156,64", b"501 Data address is not yours.\r\n"),
        ("EPRT", b"|1|192.168.1.11|40000|", b"501 Data address is not yours.\r\n"),
        ("PORT", b"127,0,0,1,156,64", b"501 Data address is not yours.\r\n"),
        ("PORT", b"192,168,1,10,3,255", b"501 Privileged port refused.\r\n"),
        ("EPRT", b"|1|192.168.1.10|1023|", b"501 Privileged port refused.\r\n"),
        ("PORT", b"192,168,1,11,0,25", b"501 Data address is not yours.\r\n"),
        ("PORT", b"nonsense", b"501 Bad data address.\r\n"),
        ("EPRT", b"|1|192.168.1.10|", b"501 Bad data address.\r\n"),
        (
            "EPRT",
            b"|3|192.168.1.10|40000|",
            b"522 Network protocol not supported, use (1,2).\r\n",
        ),
        (
            "EPRT",
            b"|2|fd00:1::10|40000|",
            b"522 Network protocol not supported, use (1).\r\n",
        ),
    ],
)
def test_who_is_not_called_back(verb: str, argument: bytes, text: bytes) -> None:
    assert client_address(verb, argument, CLIENT) == text


def test_who_is_not_called_back_over_ipv6() -> None:
    assert client_address("EPRT", b"|1|192.168.1.10|40000|", CLIENT6) == (
        b"522 Network protocol not supported, use (2).\r\n"
    )
    assert client_address("PORT", b"192,168,1,10,156,64", CLIENT6) == (
        b"501 Data address is not yours.\r\n"
    )


@pytest.mark.parametrize(
    ("argument", "client", "text"),
    [
        (b"", CLIENT, None),
        (b"1", CLIENT, None),
        (b" 2 ", CLIENT6, None),
        (b"1", ip_address("::ffff:192.168.1.10"), None),
        (b"2", CLIENT, b"522 Network protocol not supported, use (1).\r\n"),
        (b"1", CLIENT6, b"522 Network protocol not supported, use (2).\r\n"),
        (b"3", CLIENT, b"522 Network protocol not supported, use (1).\r\n"),
        (b"x", CLIENT, b"501 Bad argument: EPSV takes 1, 2 or ALL.\r\n"),
    ],
)
def test_epsv_with_a_family(argument: bytes, client: object, text: object) -> None:
    assert epsv_refusal(argument, client) == text  # type: ignore[arg-type]
