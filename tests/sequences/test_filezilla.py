"""FileZilla's FTP proxy types 1 to 4, word for word.

The sequences and what FileZilla makes of replies are facts from its engine's
``logon.cpp``: a 2yz skips the optional commands that come next, a 3yz at the end of
the sequence fails the login.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.integration.nanoftpd import NanoFtpd, says
from tests.integration.network import Place
from tests.integration.speaker import Speaker
from tests.sequences.walk import Doors, knock, words


@dataclass(frozen=True, slots=True)
class Item:
    """One command of a login sequence."""

    command: str
    optional: bool = False


PROXY = (Item("USER {fu}"), Item("PASS {fp}", optional=True))
LOGIN = (Item("USER {u}"), Item("PASS {p}", optional=True))
AT = (Item("USER {u}@{h}"), Item("PASS {p}", optional=True))


def scripted(*lines: str) -> tuple[Item, ...]:
    """Return a sequence of type 4, from the lines of its field.

    FileZilla makes a line optional that holds the password, or the account, alone.
    """
    return tuple(
        Item(
            line.replace("%h", "{h}")
            .replace("%u", "{u}")
            .replace("%p", "{p}")
            .replace("%s", "{fu}")
            .replace("%w", "{fp}"),
            optional="%p" in line and "%u" not in line,
        )
        for line in lines
    )


TYPES = {
    "1": (AT, "none"),
    "1-optional": (AT, "optional"),
    "1-proxy-user": ((*PROXY, *AT), "required"),
    "1-proxy-user-optional": ((*PROXY, *AT), "optional"),
    "2": ((Item("SITE {h}"), *LOGIN), "none"),
    "2-proxy-user": ((*PROXY, Item("SITE {h}"), *LOGIN), "required"),
    "2-proxy-user-optional": ((*PROXY, Item("SITE {h}"), *LOGIN), "optional"),
    "3": ((Item("OPEN {h}"), *LOGIN), "none"),
    "3-proxy-user": ((*PROXY, Item("OPEN {h}"), *LOGIN), "required"),
    "3-proxy-user-optional": ((*PROXY, Item("OPEN {h}"), *LOGIN), "optional"),
    "4-site": (scripted("USER %s", "PASS %w", "SITE %h", "USER %u", "PASS %p"), "required"),
    "4-joined": (scripted("USER %u@%s@%h", "PASS %p@%w"), "required"),
    "4-proxyuser": (scripted("USER %s@%h", "PASS %w", "USER %u", "PASS %p"), "required"),
    "4-account": (scripted("USER %u@%h %s", "PASS %p", "ACCT %w"), "required"),
    "4-open-first": (
        scripted("OPEN %h", "USER %s", "PASS %w", "USER %u", "PASS %p"),
        "required",
    ),
}


def run(items: Sequence[Item], client: Speaker, host: str) -> None:
    """Log in as FileZilla does, or fail where it would give up."""
    waiting = list(items)
    while waiting:
        command = waiting.pop(0).command.format_map(words(host))
        reply = client.ask(command)
        kind = reply.code // 100
        assert kind in (2, 3), f"{command}: FileZilla gives up at {reply}"
        if kind == 2:
            while waiting and waiting[0].optional:
                waiting.pop(0)
        else:
            assert waiting, f"{command}: FileZilla is not logged in after {reply}"


@pytest.mark.parametrize("name", TYPES)
def test_type(name: str, place: Place, doors: Doors, server: NanoFtpd) -> None:
    items, login = TYPES[name]
    server.scripts["FEAT"] = says(
        "211-Features:", " UTF8", " CLNT", " MLST type*;size*;modify*;", " SIZE", "211 End"
    )
    server.scripts["CLNT"] = says("200 Noted")
    with knock(place, doors, login) as client:
        # "Explicit FTP over TLS if available": it is not, which is no end for FileZilla.
        for command in ("AUTH TLS", "AUTH SSL"):
            assert client.ask(command).code // 100 not in (2, 3)
        run(items, client, f"127.0.0.1:{server.port}")
        client.ask("SYST")
        features = client.expect("FEAT", 211)
        assert " CLNT" in features.lines
        client.expect("CLNT FileZilla", 200)
        client.expect("OPTS UTF8 ON", 200)
        client.expect("PWD", 257)
        client.expect("TYPE I", 200)
        assert b"sample.bin" in client.fetch("LIST")
        client.expect("TYPE I", 200)
        assert client.fetch("RETR sample.bin") == server.files["sample.bin"]
        client.expect("TYPE I", 200)
        client.store("STOR up.bin", b"stored")
    assert server.files["up.bin"] == b"stored"
    assert server.lines[:2] == ["USER joe", "PASS s3cret"]
    assert not any("fu" in line or "fp-word" in line for line in server.lines)
