"""A gateway with a leg in the LAN and one outside, and nothing else between the two.

Each side is told the address it can reach, data ports come from the ranges they are
to come from, and both sides may use the mode and the family they like.
"""

from collections.abc import Callable, Iterator

import pytest
from tests.integration import doors
from tests.integration.gateway import Gateway
from tests.integration.nanoftpd import NanoFtpd
from tests.integration.network import (
    ADVERTISED,
    INNER,
    LAN,
    OUTER,
    SECOND_OUTER,
    Network,
    wan_address,
)
from tests.integration.servers import Server
from tests.integration.speaker import Speaker

CONTENT = bytes(range(256)) * 1500
MODES = [("PASV", 4), ("EPSV", 4), ("PORT", 4), ("EPRT", 4), ("EPSV", 6), ("EPRT", 6)]


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def nano(network: Network, request: pytest.FixtureRequest) -> Iterator[NanoFtpd]:
    """A server of its own, so that nobody remembers what it can do."""
    with NanoFtpd(network.wan, wan_address("nano", request.param)) as made:
        made.files["sample.bin"] = CONTENT
        yield made
        assert not made.failures


def address_of(nano: NanoFtpd) -> str:
    return f"[{nano.address}]" if ":" in nano.address else nano.address


def enter(network: Network, nano: NanoFtpd, port: int, family: int = 4) -> Speaker:
    client = Speaker(network.lan, INNER[family], port)
    client.login(f"joe@{address_of(nano)}")
    return client


def test_the_lan_has_no_route_outside(
    network: Network, server: Callable[[str], Server]
) -> None:
    for family, address in server("pyftpdlib").addresses.items():
        with pytest.raises(OSError, match="unreachable"):
            network.lan.connect(address, 21)
        network.gateway.connect(address, 21).close()
        with pytest.raises(OSError, match="unreachable"):
            network.wan.connect(LAN[family], 21)


@pytest.mark.parametrize("data", doors.DATA)
@pytest.mark.parametrize(("mode", "family"), MODES)
def test_legs(
    *,
    mode: str,
    family: int,
    data: str,
    network: Network,
    gateway: Gateway,
    nano: NanoFtpd,
) -> None:
    outside = 6 if ":" in nano.address else 4
    port = doors.port("none", data)
    with gateway.watched() as records, enter(network, nano, port, family) as client:
        assert client.fetch("RETR sample.bin", mode) == CONTENT
        client.store("STOR up.bin", CONTENT[::-1], mode)
        assert b"up.bin" in client.fetch("LIST", mode)
        client.store("STOR empty", b"", mode)
        assert client.fetch("RETR empty", mode) == b""
        client.expect("QUIT", 221)
    assert nano.files["up.bin"] == CONTENT[::-1]
    assert nano.files["empty"] == b""
    used = {verb for verb in nano.verbs if verb in ("PASV", "EPSV", "PORT", "EPRT")}
    active = data == "active" or (data == "auto" and mode in ("PORT", "EPRT"))
    if outside == 6:
        assert used == {"EPRT" if active else "EPSV"}
    else:
        assert used == ({extended(mode)[active]} if data == "auto" else used)
        assert used <= ({"PORT", "EPRT"} if active else {"PASV", "EPSV"})
    for line in nano.lines:
        if line.startswith("EPRT "):
            assert line.split("|")[2] == OUTER[outside]
        if line.startswith("PORT "):
            assert line[5:].split(",")[:4] == OUTER[4].split(".")
    assert len(records) == 6
    assert {record["outcome"] for record in records} == {"ok"}


def extended(mode: str) -> tuple[str, str]:
    """What a server is asked first, passive and active, for what a client asked."""
    return ("EPSV", "EPRT") if mode in ("EPSV", "EPRT") else ("PASV", "PORT")


def test_addresses_and_ports_are_those_of_the_configuration(
    network: Network, gateway: Gateway
) -> None:
    peers: list[str] = []
    address = wan_address("nano", 4)
    with NanoFtpd(network.wan, address) as nano:
        nano.files["sample.bin"] = CONTENT
        listening = nano.scripts

        def note_peer(session: object, _: str) -> None:
            peers.append(session.peer)  # type: ignore[attr-defined]
            session.say("215 UNIX")  # type: ignore[attr-defined]

        listening["SYST"] = note_peer
        with gateway.watched(), enter(network, nano, doors.NARROW) as client:
            client.expect("SYST", 215)
            host, port = client.passive()
            assert host == ADVERTISED
            assert port in doors.NARROW_CLIENT_PORTS
            with network.lan.connect(host, port) as stream:
                client.expect("RETR sample.bin", 150)
                assert stream.recv(10) == CONTENT[:10]
                while stream.recv(65536):
                    pass
                assert client.reply().code == 226
            with client.offer() as listener:
                client.send("RETR sample.bin")
                stream, (peer, _) = listener.accept()
                assert peer == INNER[4]
                with stream:
                    while stream.recv(65536):
                        pass
                assert client.reply().code == 150
                assert client.reply().code == 226
        [told] = [line for line in nano.lines if line.startswith("PORT ")]
        numbers = [int(number) for number in told[5:].split(",")]
        assert ".".join(map(str, numbers[:4])) == SECOND_OUTER[4]
        assert numbers[4] * 256 + numbers[5] in doors.NARROW_SERVER_PORTS
        assert peers == [SECOND_OUTER[4]]
        assert not nano.failures
