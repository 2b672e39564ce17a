"""Sessions that an administrator looks at and ends, as real clients see it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.nanoftpd import NanoFtpd
from tests.integration.process import Process, eventually
from tests.integration.speaker import Speaker
from tests.resilience.running import (
    ADDRESS,
    MIB,
    RULES,
    Running,
    Served,
    configuration,
    free_port,
    moving,
    one_line,
    portway,
    read_exactly,
    read_to_the_end,
)

from portway.control import request

Start = Callable[..., Running]

NO_READS = """\
[[rules]]
name = "no reads"
do = "read"
to = ["*", "inside"]
then = "deny"
because = "Not any more."
"""


def sessions(gateway: Running) -> list[dict[str, object]]:
    """Return what ``portway sessions --json`` prints."""
    return [
        json.loads(line) for line in gateway.portway("sessions", "--json").splitlines()
    ]


def kick(gateway: Running) -> str:
    """End the only session."""
    [session] = sessions(gateway)
    return gateway.portway("kick", str(session["id"]))


def test_the_table_and_an_idle_session(loop: str, start: Start, nano: NanoFtpd) -> None:
    gateway = start(loop=loop)
    before = gateway.held
    assert gateway.portway("sessions").split()[:3] == ["ID", "SINCE", "LISTENER"]
    with gateway.enter(nano) as client:
        [session] = sessions(gateway)
        assert session["listener"] == "ftp"
        assert (session["host"], session["port"]) == (ADDRESS, nano.port)
        assert session["rule"] == "this machine"
        assert "method" not in session
        head, line = gateway.portway("sessions").splitlines()
        assert len(line) > len(head) / 2
        assert f"{ADDRESS}:{nano.port}" in line
        assert str(session["id"]).startswith(line.split()[0])
        said = kick(gateway)
        assert str(session["id"]) in said
        assert str(client.reply()) == "421 Ended by the administrator."
        assert read_to_the_end(client.control) == b""
    records = gateway.wait_for(lambda found: len(found) == 2)
    record, admin = sorted(records, key=lambda one: one["method"] == "ADMIN")
    assert (record["outcome"], record["ended_by"]) == ("cut", "admin")
    assert (admin["url"], admin["uid"]) == (f"control:kick/{session['id']}", "0")
    assert sessions(gateway) == []
    gateway.nothing_left(before)


@pytest.mark.parametrize("command", ["RETR big", "STOR fresh"])
def test_a_transfer_of_a_real_client_is_cut(
    command: str, loop: str, start: Start, nano: NanoFtpd, tmp_path: Path
) -> None:
    gateway = start(loop=loop)
    before = gateway.held
    client = moving(gateway, nano, command, tmp_path / "client")
    [session] = sessions(gateway)
    assert session["method"] == command[:4]
    assert int(str(session["bytes_down" if command[0] == "R" else "bytes_up"])) >= MIB
    kick(gateway)
    record = gateway.record_of(command[:4])
    assert (record["outcome"], record["ended_by"]) == ("cut", "admin")
    client.kill()
    gateway.nothing_left(before)


def test_curl_sees_a_failure(
    loop: str, start: Start, served: Served, tmp_path: Path
) -> None:
    curl = shutil.which("curl")
    assert curl, "curl is not there: tests/peers/install brings it"
    gateway = start(loop=loop)
    before = gateway.held
    login = f"joe%40{ADDRESS}%3A{served.port}:s3cret"
    url = f"ftp://{login}@{ADDRESS}:{gateway.port}/big"
    target = tmp_path / "got"
    words = [curl, "-sS", "--limit-rate", "2M", "-o", str(target), url]
    with Process(words, tmp_path / "curl") as client:
        eventually(lambda: target.exists() and target.stat().st_size > MIB, "it moves")
        kick(gateway)
        assert client.wait(10) != 0
        assert target.stat().st_size < 64 * MIB
    record = gateway.record_of("RETR")
    assert (record["outcome"], record["ended_by"]) == ("cut", "admin")
    gateway.nothing_left(before)


def test_what_cannot_be_kicked_is_said(start: Start, tmp_path: Path) -> None:
    gateway = start()
    where = str(gateway.configuration)
    status, output = portway(tmp_path, "kick", "-c", where, "01ABC")
    assert status == 1
    assert "portway sessions" in one_line(output)
    with gateway.client(), gateway.client():
        status, output = portway(tmp_path, "kick", "-c", where, "0")
        assert status == 1
        assert output.startswith("portway: 2 sessions begin so")
        assert output.count(ADDRESS) == 2
    gateway.process.stop()
    for words in (("sessions",), ("kick", "0"), ("reload", "--recheck")):
        status, output = portway(tmp_path, *words, "-c", where)
        assert status == 1
        assert "portway serve" in one_line(output)


def test_a_recheck_ends_what_the_new_rules_refuse(
    loop: str, start: Start, nano: NanoFtpd
) -> None:
    port = free_port()
    gateway = start(configuration(port=port), loop=loop)
    before = gateway.held
    with gateway.enter(nano) as reader, gateway.enter(nano) as idler:
        with reader.data("RETR big") as stream:
            read_exactly(stream, MIB)
            gateway.write(configuration(port=port, rules=NO_READS + RULES))
            assert "judged" not in gateway.portway("reload")
            read_exactly(stream, MIB)  # who is in goes on
            said = gateway.portway("reload", "--recheck").splitlines()[-1]
            assert said == "3 open requests judged anew, 1 sessions ended"
            assert [str(reader.reply()), str(reader.reply())] == [
                "426 Transfer aborted.",
                "421 Denied: Not any more.",
            ]
        idler.expect("NOOP", 200)
    record = gateway.record_of("RETR")
    assert (record["outcome"], record["ended_by"]) == ("cut", "reload")
    assert (record["reason"], record["error"]) == ("rule", "Not any more.")
    assert str(record["ended_rule"]).startswith("no reads (")
    gateway.nothing_left(before)


def test_no_broken_configuration_drops_a_session(
    loop: str, start: Start, nano: NanoFtpd
) -> None:
    """Every cut of the file, and every line of it spoilt, while clients work."""
    port = free_port()
    good = configuration(port=port, rules=NO_READS + RULES)
    gateway = start(good, loop=loop)
    before = gateway.held
    with gateway.enter(nano) as client, client.data("STOR slow") as stream:
        for text in broken(good):
            gateway.write(text)
            answer = request(gateway.state, "reload")  # a process each takes too long
            assert not answer.done, text
            assert answer.lines[-1] == "the configuration that runs was kept"
            stream.sendall(b"x" * 1000)
        gateway.write(good)
        gateway.portway("reload")
        stream.close()
        assert client.reply().code == 226
        client.expect("PASV", 227)
        client.expect("RETR small", 550)  # the rules are the good ones
        client.expect("DELE x", 250)
    gateway.nothing_left(before)


def broken(good: str) -> list[str]:
    """Return wrong configurations that are nearly *good*."""
    lines = good.splitlines(keepends=True)
    spoilt = [
        "".join([*lines[:n], line.replace("=", "", 1), *lines[n + 1 :]])
        for n, line in enumerate(lines)
        if "=" in line
    ]
    torn = [good[: good.index("who") + 7], good[: good.index("then =") + 5]]
    doubled = [good + good, good + 'colour = "red"\n', "\0" + good]
    return [*spoilt, *torn, *doubled]


def speakers(gateway: Running, count: int) -> list[Speaker]:
    """Return *count* clients that were greeted."""
    return [gateway.client() for _ in range(count)]


def test_many_sessions_are_listed_while_others_work(
    loop: str, start: Start, nano: NanoFtpd
) -> None:
    gateway = start(loop=loop)
    before = gateway.held
    clients = speakers(gateway, 30)
    with gateway.enter(nano) as worker:
        found = sessions(gateway)
        assert len({str(one["id"]) for one in found}) == 31
        worker.expect("NOOP", 200)
        rows = gateway.portway("sessions").splitlines()
        digits = {row.split()[0] for row in rows[1:]}
        assert len(digits) == 31
        for client in clients:
            client.close()
    gateway.nothing_left(before)
