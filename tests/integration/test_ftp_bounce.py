"""Attacks with data connections: bouncing to a third party, stealing a port.

A client may name nobody but itself in PORT and EPRT; a server's 227 leads nowhere but
to that server; and a data port admits its side's peer and nobody else.
"""

from collections.abc import Iterator

import pytest
from tests.integration import doors
from tests.integration.gateway import Gateway
from tests.integration.nanoftpd import NanoFtpd, NanoSession, says
from tests.integration.network import (
    INNER,
    LAN,
    OUTER,
    STRANGER,
    THIRD_PARTY,
    Network,
    Place,
    wan_address,
)
from tests.integration.speaker import Speaker, read_all

CONTENT = b"for the client alone" * 1000


@pytest.fixture
def nano(network: Network) -> Iterator[NanoFtpd]:
    with NanoFtpd(network.wan, wan_address("liar", 4)) as made:
        made.files["sample.bin"] = CONTENT
        yield made
        assert not made.failures


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def client(
    network: Network, gateway: Gateway, nano: NanoFtpd, request: pytest.FixtureRequest
) -> Iterator[Speaker]:
    port = doors.port("none")
    with gateway.watched(), Speaker(network.lan, INNER[request.param], port) as made:
        made.login(f"joe@{nano.address}")
        yield made


def eprt(address: str, port: int) -> str:
    return f"EPRT |{2 if ':' in address else 1}|{address}|{port}|"


def steal(place: Place, host: str, port: int, source: str) -> bytes:
    """Connect to somebody else's data port; return what comes out of it."""
    with place.connect(host, port, source) as stolen:
        return stolen.recv(1)


def test_port_names_a_third_party(client: Speaker, nano: NanoFtpd) -> None:
    family = 6 if ":" in client.peer else 4
    for address in (
        STRANGER[family],
        INNER[family],
        THIRD_PARTY[family],
        OUTER[family],
    ):
        reply = client.expect(eprt(address, 40000), 501)
        assert "not yours" in reply.text
    if family == 4:
        client.expect("PORT 192,168,1,66,156,64", 501)
        client.expect("PORT 203,0,113,66,156,64", 501)
        client.expect("PORT 127,0,0,1,156,64", 501)
    client.expect("LIST", 425)
    assert not {"PORT", "EPRT", "LIST"} & set(nano.verbs)


def test_port_names_a_privileged_port(client: Speaker, nano: NanoFtpd) -> None:
    family = 6 if ":" in client.peer else 4
    for port in (1, 25, 80, 1023):
        client.expect(eprt(LAN[family], port), 501)
    if family == 4:
        client.expect("PORT 192,168,1,10,0,25", 501)
    assert not {"PORT", "EPRT"} & set(nano.verbs)


def test_eprt_names_the_other_family(client: Speaker) -> None:
    other = LAN[4] if ":" in client.peer else LAN[6]
    client.expect(eprt(other, 40000), 522)


def test_a_server_names_a_third_party(
    network: Network, client: Speaker, nano: NanoFtpd
) -> None:
    """Its 227 is read for the port alone: the third party hears nothing."""
    with network.wan.listen(THIRD_PARTY[4]) as third:
        third.settimeout(0)

        def lie(session: NanoSession, _: str) -> None:
            port = session.listen()
            numbers = f"{THIRD_PARTY[4].replace('.', ',')},{port >> 8},{port & 255}"
            session.say(f"227 Entering Passive Mode ({numbers})")

        nano.scripts["PASV"] = lie
        nano.scripts["EPSV"] = says("502 No")
        mode = "EPSV" if ":" in client.peer else "PASV"
        assert client.fetch("RETR sample.bin", mode) == CONTENT
        with pytest.raises(BlockingIOError):
            third.accept()


def test_a_server_names_a_low_port(client: Speaker, nano: NanoFtpd) -> None:
    nano.scripts["PASV"] = says("227 Entering Passive Mode (203,0,113,21,0,22)")
    nano.scripts["EPSV"] = says("229 Entering Extended Passive Mode (|||22|)")
    mode = "EPSV" if ":" in client.peer else "PASV"
    assert client.ask(mode).code in (425, 502, 522)


def test_a_stranger_steals_no_client_port(network: Network, client: Speaker) -> None:
    mode = "EPSV" if ":" in client.peer else "PASV"
    family = 6 if ":" in client.peer else 4
    host, port = client.passive(mode)
    for _ in range(3):
        with pytest.raises(ConnectionResetError):
            steal(network.lan, host, port, STRANGER[family])
    with network.lan.connect(host, port, LAN[family]) as stream:
        client.expect("RETR sample.bin", 150)
        assert read_all(stream) == CONTENT
        assert client.reply().code == 226


def test_the_eighth_stranger_closes_the_port(network: Network, client: Speaker) -> None:
    mode = "EPSV" if ":" in client.peer else "PASV"
    family = 6 if ":" in client.peer else 4
    host, port = client.passive(mode)
    for _ in range(8):
        with pytest.raises(ConnectionResetError):
            steal(network.lan, host, port, STRANGER[family])
    with pytest.raises(ConnectionRefusedError):
        network.lan.connect(host, port, LAN[family])
    assert client.fetch("RETR sample.bin", mode) == CONTENT  # with a fresh port


def test_a_stranger_steals_no_server_port(
    network: Network, gateway: Gateway, nano: NanoFtpd
) -> None:
    """The port that we told the server is taken by a third party first."""
    stolen: list[str] = []

    def let_a_stranger_in(session: NanoSession, _: str) -> None:
        session.say("150 Here it comes")
        assert session._target is not None
        try:
            stolen.append(repr(steal(network.wan, *session._target, THIRD_PARTY[4])))
        except ConnectionResetError:
            stolen.append("reset")
        with session.data() as stream:
            stream.sendall(CONTENT)
        session.say("226 Done")

    nano.scripts["RETR"] = let_a_stranger_in
    port = doors.port("none", "active")
    with gateway.watched(), Speaker(network.lan, INNER[4], port) as client:
        client.login(f"joe@{nano.address}")
        assert client.fetch("RETR sample.bin") == CONTENT
    assert stolen == ["reset"]
