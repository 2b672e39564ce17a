"""Data addresses and directories on the wire: ProtocolError or a value that is good."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import TypeVar

from portway.errors import ProtocolError
from portway.model import Endpoint, Side
from portway.protocols.ftp import data as legs
from portway.protocols.ftp import wire

V = TypeVar("V")
CLIENTS = [ip_address("192.168.1.10"), ip_address("fd00:1::10")]


def attempt(parse: Callable[[bytes], V], text: bytes, side: Side) -> V | None:
    try:
        return parse(text)
    except ProtocolError as error:
        if error.side is not side:
            raise
        return None


def check_commands(text: bytes) -> None:
    endpoint = attempt(wire.parse_port, text, Side.CLIENT)
    if endpoint is not None:
        check_endpoint(endpoint)
        assert wire.parse_port(wire.format_port(endpoint)) == endpoint
    endpoint = attempt(wire.parse_eprt, text, Side.CLIENT)
    if endpoint is not None:
        check_endpoint(endpoint)
        assert wire.parse_eprt(wire.format_eprt(endpoint)) == endpoint
    for client in CLIENTS:
        for verb in ("PORT", "EPRT"):
            answer = legs.client_address(verb, text, client)
            if isinstance(answer, Endpoint):
                assert answer.address == client
                assert answer.port >= 1024
            else:
                assert answer[:4] in {b"501 ", b"522 "}
        legs.epsv_refusal(text, client)


def check_replies(text: bytes) -> None:
    endpoint = attempt(wire.parse_227, text, Side.SERVER)
    if endpoint is not None:
        check_endpoint(endpoint)
        assert wire.parse_227(wire.format_227(endpoint)) == endpoint
    port = attempt(wire.parse_229, text, Side.SERVER)
    assert port is None or wire.parse_229(wire.format_229(port)) == port
    for verb in ("PASV", "EPSV"):
        try:
            announced = legs.server_address(verb, text, "198.51.100.5")
        except ProtocolError:
            continue
        assert announced.endpoint.host == "198.51.100.5"
        assert announced.endpoint.port >= 1024


def check_endpoint(endpoint: Endpoint) -> None:
    assert endpoint.address is not None
    assert 0 < endpoint.port < 65536


def check_paths(text: bytes) -> None:
    directory = attempt(wire.parse_pwd, text, Side.SERVER)
    path = wire.resolve_path(directory or b"/", text)
    assert path.startswith(b"/")
    assert not {b"", b".", b".."} & set(path[1:].split(b"/")) or path == b"/"
    assert wire.resolve_path(b"/elsewhere", path) == path


def target(data: bytes) -> None:
    check_commands(data)
    check_replies(data)
    check_paths(data)
