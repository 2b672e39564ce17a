"""A configuration that is taken anew: whole or not at all, and open sessions go on."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.nanoftpd import NanoFtpd
from tests.integration.process import eventually
from tests.integration.speaker import read_all
from tests.resilience.running import (
    ADDRESS,
    HOME,
    MIB,
    RULES,
    Running,
    configuration,
    free_port,
    one_line,
    portway,
    read_exactly,
    refused,
)

Start = Callable[..., Running]

NO_DELETES = """\
[[rules]]
name = "no deletes"
do = "delete"
to = ["*", "inside"]
then = "deny"
because = "Nothing goes."
"""


def by_signal(gateway: Running) -> None:
    said = gateway.output.count("gateway.reload")
    gateway.process.signal(signal.SIGHUP)
    eventually(lambda: gateway.output.count("gateway.reload") > said, "it reloaded")


def by_command(gateway: Running) -> None:
    gateway.portway("reload")


@pytest.mark.parametrize("reload", [by_signal, by_command])
def test_a_new_rule_binds_the_next_command_of_an_open_session(
    reload: Callable[[Running], None], loop: str, start: Start, nano: NanoFtpd
) -> None:
    port = free_port()
    gateway = start(configuration(port=port), loop=loop)
    before = gateway.held
    with gateway.enter(nano) as client, client.data("RETR big") as stream:
        read_exactly(stream, MIB)
        gateway.write(configuration(port=port, rules=NO_DELETES + RULES))
        reload(gateway)
        assert len(read_all(stream)) == len(nano.files["big"]) - MIB
        assert client.reply().code == 226
        assert str(client.ask("DELE x")) == "550 Denied: Nothing goes."
        client.expect("NOOP", 200)
        gateway.write(configuration(port=port))
        reload(gateway)
        client.expect("DELE x", 250)
    gateway.nothing_left(before)


def test_a_bad_configuration_never_replaces_a_good_one(
    loop: str, start: Start, nano: NanoFtpd, tmp_path: Path
) -> None:
    port = free_port()
    gateway = start(configuration(port=port), loop=loop)
    with gateway.enter(nano) as client:
        bad = configuration(port=port, listen='colour = "red"', rules=NO_DELETES)
        gateway.write(bad)
        by_signal(gateway)
        line = 1 + bad.splitlines().index('colour = "red"')
        at = f"{gateway.configuration}:{line}"
        errors = [text for text in gateway.output.splitlines() if " error " in text]
        assert any(at in text and "colour" in text for text in errors), gateway.output
        assert any("kept" in text for text in errors), gateway.output
        where = str(gateway.configuration)
        status, output = portway(tmp_path, "reload", "-c", where)
        assert status == 2
        assert one_line(output).startswith(f"{at}: listen.ftp.colour: ")
        client.expect("DELE x", 250)
        with gateway.enter(nano) as another:
            another.expect("DELE x", 250)
        gateway.configuration.unlink()
        by_signal(gateway)
        client.expect("DELE x", 250)
        gateway.write(configuration(port=port, rules=NO_DELETES + RULES))
        by_signal(gateway)
        client.expect("DELE x", 550)


def test_listeners_come_and_go(loop: str, start: Start, nano: NanoFtpd) -> None:
    port, second = free_port(), free_port()
    door = f'[listen.second]\nprotocol = "ftp"\naddress = "{ADDRESS}:{second}"'
    gateway = start(configuration(port=port), loop=loop)
    before = gateway.held
    gateway.write(configuration(port=port, more=door))
    by_command(gateway)
    with HOME.connect(ADDRESS, second) as stream:
        assert stream.recv(100) == b"220 edge FTP proxy ready.\r\n"
        stream.sendall(b"USER joe@%b:%d\r\n" % (ADDRESS.encode(), nano.port))
        assert b"331 " in stream.recv(1000)
        gateway.write(configuration(port=port))
        by_command(gateway)
        eventually(lambda: refused(second), "the door is closed")
        stream.sendall(b"PASS x\r\n")  # who is in stays in
        assert b"230 " in stream.recv(1000)
    with gateway.enter(nano):
        pass
    gateway.nothing_left(before)


def test_a_port_that_is_taken_refuses_the_whole(
    loop: str, start: Start, nano: NanoFtpd, tmp_path: Path
) -> None:
    port, other = free_port(), free_port()
    gateway = start(configuration(port=port), loop=loop)
    before = gateway.held
    with HOME.listen(ADDRESS) as taken:
        number = taken.getsockname()[1]
        doors = f"""\
[listen.other]
protocol = "ftp"
address = "{ADDRESS}:{other}"
[listen.taken]
protocol = "ftp"
address = "{ADDRESS}:{number}"
"""
        gateway.write(configuration(port=port, more=doors, rules=NO_DELETES + RULES))
        where = str(gateway.configuration)
        status, output = portway(tmp_path, "reload", "-c", where)
    assert status == 2
    assert f"{ADDRESS}:{number}" in output
    assert where + ":" in output
    assert "Traceback" not in output
    assert refused(other)
    with gateway.enter(nano) as client:
        client.expect("DELE x", 250)
    gateway.nothing_left(before)


def test_the_state_folder_stays(loop: str, start: Start, tmp_path: Path) -> None:
    port = free_port()
    text = configuration(port=port)
    gateway = start(text, loop=loop)
    where = str(gateway.configuration)
    gateway.write(text.replace("{state}", str(tmp_path / "elsewhere")))
    status, output = portway(tmp_path, "reload", "-c", where)
    assert status != 0  # who asks by the new file looks for another gateway
    assert "Traceback" not in output
    by_signal(gateway)
    assert "gateway.state" in gateway.output
    gateway.write(text)
    by_command(gateway)


def test_a_log_file_that_was_renamed_is_begun_anew(
    loop: str, start: Start, nano: NanoFtpd
) -> None:
    port = free_port()
    gateway = start(configuration(port=port), loop=loop)
    with gateway.enter(nano) as client:
        client.expect("MKD before", 257)
        gateway.record_of("MKD")
        old = gateway.file.rename(gateway.file.with_suffix(".1"))
        by_signal(gateway)
        client.expect("MKD after", 257)
        eventually(gateway.file.exists, "a new file")
        eventually(lambda: "after" in gateway.file.read_text(), "the record")
    assert "before" in old.read_text()
    assert "after" not in old.read_text()


@pytest.mark.parametrize("host", [ADDRESS, "localhost"])
def test_a_door_stays_where_it_is(
    host: str, loop: str, start: Start, nano: NanoFtpd
) -> None:
    """Be it written as a name, or as any port that is free."""
    port = 0 if host == ADDRESS else free_port()
    text = configuration(port=port).replace(f"{ADDRESS}:{port}", f"{host}:{port}")
    gateway = start(text, loop=loop)
    before = gateway.held
    doors = [line for line in gateway.output.splitlines() if "listens on" in line]
    for _ in range(3):
        by_command(gateway)
    at = int(doors[0].split()[3].rpartition(":")[2])
    with HOME.connect(ADDRESS, at) as stream:
        assert stream.recv(100).startswith(b"220 ")
    gateway.nothing_left(before)
