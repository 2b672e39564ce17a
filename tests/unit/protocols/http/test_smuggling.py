"""What other proxies were fooled with: each entry of the catalogue, in every piece."""

import pytest
from tests.unit.protocols.http.smuggling import (
    CLIENTS,
    SERVERS,
    Case,
    ClientSide,
    ServerSide,
)

from portway.model import Side


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[place : place + size] for place in range(0, len(data), size)]


def sizes(case: Case) -> list[int]:
    """Byte by byte, but for the floods, which are to be refused and not to be slow."""
    length = len(case.sent)
    return [length, 1 if length < 4096 else 1021, 7 if length < 4096 else 16384]


@pytest.mark.parametrize("case", CLIENTS, ids=str)
def test_what_a_client_sends(case: Case) -> None:
    for size in sizes(case):
        side = ClientSide()
        for piece in pieces(case.sent, size):
            side.feed(piece)
        assert (side.status, tuple(side.requests)) == (case.status, case.requests), size
        if side.error:
            assert side.error.side is Side.CLIENT
            assert side.error.text.isascii()
            assert side.error.text.isprintable()


@pytest.mark.parametrize("case", SERVERS, ids=str)
def test_what_a_server_sends(case: Case) -> None:
    for size in sizes(case):
        side = ServerSide(case.method)
        for piece in pieces(case.sent, size):
            if side.status != 502:
                side.feed(piece)
        side.end()
        assert side.status == case.status, size
        if side.error:
            assert side.error.side is Side.SERVER
        if case.status != 502:
            assert (side.body, side.reuse) == (case.body, case.reuse)


def test_the_catalogue_is_one_of_different_cases() -> None:
    for cases in (CLIENTS, SERVERS):
        assert len({case.name for case in cases}) == len(cases)
        assert len({(case.sent, case.method) for case in cases}) == len(cases)
    assert sum(bool(case.status) for case in CLIENTS) > 200
