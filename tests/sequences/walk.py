"""How a client walks through its login: what it sends, and what it makes of replies.

Not here: the sequences of one client. Invariant: a step is sent only where the client
would send it, and a reply at which the client would give up fails the test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.integration.gateway import Gateway
from tests.integration.network import Place
from tests.integration.speaker import Speaker

PROXY_USER = "fu"
PROXY_PASSWORD = "fp-word"
USER = "joe"
PASSWORD = "s3cret"

IN = -1  # logged in
OUT = -2  # the client gives up


@dataclass(frozen=True, slots=True)
class Doors:
    """A gateway, and the port of each of its doors by the login that it asks for."""

    gateway: Gateway
    ports: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and the number of the step after a 2yz and after a 3yz to it.

    All that these clients look at is a reply's first digit.
    """

    command: str
    on_2: int
    on_3: int


def walk(steps: Sequence[Step], client: Speaker, words: Mapping[str, str]) -> list[str]:
    """Log in; return the commands that were sent."""
    sent = []
    at = 0
    while at != IN:
        step = steps[at]
        command = step.command.format_map(words)
        sent.append(command)
        reply = client.ask(command)
        kind = reply.code // 100
        assert kind in (2, 3), f"{command}: the client gives up at {reply}"
        at = step.on_2 if kind == 2 else step.on_3
        assert at != OUT, f"{command}: the client gives up at {reply}"
    return sent


def words(host: str) -> Mapping[str, str]:
    """What stands for the words in braces of a step."""
    return {
        "h": host,
        "u": USER,
        "p": PASSWORD,
        "fu": PROXY_USER,
        "fp": PROXY_PASSWORD,
    }


def knock(place: Place, doors: Doors, login: str) -> Speaker:
    """Connect to the door that asks for *login*; the client wants a 2yz greeting."""
    client = Speaker(place, "127.0.0.1", doors.ports[login])
    assert client.greeting.code // 100 == 2, client.greeting
    return client
