"""The smuggling catalogue, over sockets, through a gateway to a strict server.

Not here: the catalogue (tests/corpus) and what it means to a parser (tests/unit).
"""

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from tests.integration import web_doors
from tests.integration.gateway import Gateway
from tests.integration.network import INNER, Network, wan_address
from tests.integration.origin import Recorder, Script
from tests.unit.protocols.http.smuggling import CLIENTS, SERVERS, Case

ADDRESSES = tuple(wan_address("host", family) for family in (4, 6))
SCRIPTED = 8081
REFUSED = [case for case in CLIENTS if case.status]


@pytest.fixture(scope="module")
def recorder(network: Network) -> Iterator[Recorder]:
    """``host.test``."""
    with Recorder(network.wan, ADDRESSES) as running:
        yield running


def send(network: Network, data: bytes, door: int = web_doors.OPEN) -> bytes:
    """Send *data* and nothing more; return all that is said."""
    with network.lan.connect(INNER[4], door) as stream:
        stream.settimeout(10)
        with suppress(OSError):  # it may be refused before its end
            stream.sendall(data)
            stream.shutdown(socket.SHUT_WR)
        return until_closed(stream)


def until_closed(stream: socket.socket) -> bytes:
    """Return all that is said until the other side ends it."""
    said = b""
    with suppress(ConnectionResetError):
        while more := stream.recv(65536):
            said += more
    return said


def statuses(said: bytes) -> list[int]:
    """Return the status of each reply in *said*, interim ones left out."""
    found = [
        int(line[9:12])
        for line in said.split(b"\r\n")
        if line.startswith(b"HTTP/1.1 ") and line[9:12].isdigit()
    ]
    return [status for status in found if status >= 200]


def judge(case: Case, network: Network, recorder: Recorder) -> str:
    """Run *case*; return what is wrong, if anything is."""
    recorder.requests.clear()
    recorder.bad.clear()
    recorder.raw.clear()
    said = statuses(send(network, case.sent))
    seen = list(recorder.requests)
    if recorder.bad:
        return f"the server could not read: {recorder.bad}"
    expected = [line for line in case.requests if not line.startswith("CONNECT")]
    if seen != [line for line in expected if line in seen][: len(seen)]:
        return f"the server took {seen}, and was to take {expected}"
    if not case.status and len(seen) < len(expected) and 501 not in said:
        return f"the server took but {seen} of {expected}; the client heard {said}"
    cut = not said and case.requests  # when it was on its way
    if case.status and not cut and case.status not in said[-1:]:
        return f"refused by {said}, and was to be by {case.status}"
    return ""


def test_what_clients_send(
    network: Network, web_gateway: Gateway, recorder: Recorder
) -> None:
    """None reaches the server otherwise than it is written in the catalogue."""
    wrong = {}
    for case in CLIENTS:
        found = judge(case, network, recorder)
        if found:
            wrong[case.name] = found
    assert not wrong, "\n".join(f"{name}: {text}" for name, text in wrong.items())
    assert len(REFUSED) > 200


def ask(network: Network, case: Case) -> tuple[int, bytes, bool]:
    """Return the status, the body, and whether it was whole."""
    with network.lan.connect(INNER[4], web_doors.OPEN) as stream:
        stream.settimeout(10)
        url = f"http://host4.test:{SCRIPTED}/{case.name}"
        head = f"{case.method} {url} HTTP/1.1\r\nHost: host4.test:{SCRIPTED}\r\n\r\n"
        stream.sendall(head.encode())
        with closing(http.client.HTTPResponse(stream, method=case.method)) as reply:
            reply.begin()
            try:
                return reply.status, reply.read(), True
            except http.client.IncompleteRead as error:
                return reply.status, error.partial, False
            except ConnectionResetError:
                return reply.status, b"", False


def test_what_servers_send(network: Network, web_gateway: Gateway) -> None:
    """Each reply arrives as the catalogue reads it, or as a 502, or is cut."""
    answers = {f"/{case.name}": case.sent for case in SERVERS}
    wrong = {}
    with Script(network.wan, ADDRESSES, SCRIPTED, answers):
        for case in SERVERS:
            try:
                status, body, whole = ask(network, case)
            except (http.client.HTTPException, OSError) as error:
                status, body, whole = 0, repr(error).encode(), False
            if case.status == 502 and not whole:
                continue  # it was found out too late for a page, and was cut
            if status != case.status or (case.status != 502 and body != case.body):
                wrong[case.name] = f"{status} {body[:80]!r}, not {case.status}"
    assert not wrong, "\n".join(f"{name}: {text}" for name, text in wrong.items())
