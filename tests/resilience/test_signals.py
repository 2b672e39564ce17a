"""What SIGTERM and SIGINT do to sessions at rest, and to transfers."""

import signal
from collections.abc import Callable

import pytest
from tests.integration.nanoftpd import NanoFtpd
from tests.integration.speaker import read_all
from tests.resilience.running import (
    MIB,
    Running,
    configuration,
    read_exactly,
    read_to_the_end,
    refused,
)

Start = Callable[..., Running]
STOPS = [signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("number", STOPS)
def test_sessions_at_rest_are_told_and_closed(
    number: signal.Signals, loop: str, start: Start, nano: NanoFtpd
) -> None:
    gateway = start(loop=loop)
    with gateway.client() as waiting, gateway.enter(nano) as inside:
        gateway.process.signal(number)
        for client in (waiting, inside):
            assert str(client.reply()) == "421 edge is closing."
            assert client.closed()
        assert gateway.ends(5) == 0
    assert nano.ended.wait(5)
    assert "Traceback" not in gateway.output
    [outcome] = gateway.rows("SELECT outcome FROM records")
    assert outcome == ("ok",)


def test_without_sessions_it_ends_at_once(loop: str, start: Start) -> None:
    gateway = start(loop=loop)
    gateway.process.signal(signal.SIGTERM)
    assert gateway.ends(2) == 0


def test_a_transfer_goes_on_to_its_end(loop: str, start: Start, nano: NanoFtpd) -> None:
    gateway = start(loop=loop)
    port = gateway.port
    with gateway.enter(nano) as client, client.data("RETR big") as stream:
        read_exactly(stream, MIB)
        gateway.process.signal(signal.SIGTERM)
        gateway.says("gateway.draining")
        assert refused(port)
        assert len(read_all(stream)) == len(nano.files["big"]) - MIB
        assert client.reply().code == 226
        assert str(client.reply()) == "421 edge is closing."
        assert client.closed()
        assert gateway.ends(5) == 0
    assert gateway.record_of("RETR")["outcome"] == "ok"


def test_an_upload_goes_on_to_its_end(loop: str, start: Start, nano: NanoFtpd) -> None:
    gateway = start(loop=loop)
    with gateway.enter(nano) as client:
        with client.data("STOR up.bin") as stream:
            stream.sendall(bytes(MIB))
            gateway.process.signal(signal.SIGTERM)
            gateway.says("gateway.draining")
            stream.sendall(bytes(MIB))
        assert client.reply().code == 226
        assert client.reply().code == 421
        assert client.closed()
    assert gateway.ends(5) == 0
    assert len(nano.files["up.bin"]) == 2 * MIB


def test_a_transfer_is_cut_when_the_time_is_over(
    loop: str, start: Start, nano: NanoFtpd
) -> None:
    gateway = start(configuration(gateway='drain = "500ms"'), loop=loop)
    with gateway.enter(nano) as client, client.data("RETR big") as stream:
        read_exactly(stream, MIB)
        gateway.process.signal(signal.SIGTERM)
        assert gateway.ends(5) == 0
        with pytest.raises(ConnectionResetError):
            read_all(stream)
        assert client.reply().code in {421, 426, 451}
        assert client.closed()
    record = gateway.record_of("RETR")
    assert (record["outcome"], record["side"]) == ("cut", "gateway")
    assert (record["reason"], record["ended_by"]) == ("drain", "drain")
    assert "Traceback" not in gateway.output


def test_an_upload_that_is_cut_does_not_look_whole(
    loop: str, start: Start, nano: NanoFtpd
) -> None:
    gateway = start(configuration(gateway='drain = "500ms"'), loop=loop)
    with gateway.enter(nano) as client, client.data("STOR up.bin") as stream:
        stream.sendall(bytes(MIB))
        gateway.process.signal(signal.SIGTERM)
        assert gateway.ends(5) == 0
        assert b"421 " in read_to_the_end(client.control)
    assert nano.ended.wait(5)
    assert "up.bin" not in nano.files


@pytest.mark.parametrize("number", STOPS)
def test_a_second_signal_ends_at_once(
    number: signal.Signals, loop: str, start: Start, nano: NanoFtpd
) -> None:
    gateway = start(loop=loop)
    with gateway.enter(nano) as client, client.data("RETR big") as stream:
        read_exactly(stream, MIB)
        gateway.process.signal(signal.SIGTERM)
        gateway.says("gateway.draining")
        gateway.process.signal(number)
        assert gateway.ends(3) == 0
        with pytest.raises(ConnectionResetError):
            read_all(stream)
        assert b"421 edge is closing." in read_to_the_end(client.control)
    assert gateway.record_of("RETR")["outcome"] == "cut"
