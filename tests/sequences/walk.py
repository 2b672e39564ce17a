"""How a client walks through its login: what it sends, and what it makes of replies.

Not here: the sequences of one client (sequences.py, manners.py). Invariant: a step is
sent only where the client would send it, and the walk ends where the client would give
up, whatever the reply was meant to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tests.integration.speaker import Closed, Reply, Speaker, read_all

IN = -1  # logged in
AGAIN = -2  # the client reads one more reply to the same command

Door = Literal["none", "empty", "optional", "required", "colon"]
"""The login that a door asks for. ``empty``: none, and the client was given no account
for the proxy, though it sends one. ``colon``: required, and in that dialect only."""

WORDS = {"u": "joe", "p": "s3cret", "fu": "fu", "fp": "fp-word"}
SAMPLE = "sample.bin"
TRANSFER_BEGINS = (125, 150)


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and the number of the next step by the reply that it gets.

    A reply is looked up by its whole code, then by its first digit, then as ``""``,
    which is any other. A reply that is not there ends the login.
    """

    line: str
    then: Mapping[str, int]

    def after(self, code: int) -> int | None:
        """Return the next step's number, IN or AGAIN; None: the client gives up."""
        for key in (str(code), str(code)[0], ""):
            if key in self.then:
                return self.then[key]
        return None


Steps = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Say:
    """A command of the session, and how the codes of good replies begin.

    It is sent only if the reply to FEAT has a line whose first word is *feature*.
    """

    line: str
    codes: tuple[str, ...] = ("",)
    feature: str = ""


@dataclass(frozen=True, slots=True)
class Get:
    """A transfer: PASV, EPSV, PORT or EPRT, and the command that moves data."""

    mode: str
    line: str


Manner = tuple[Say | Get, ...]  # what a client does once it is in


@dataclass(frozen=True, slots=True)
class Form:
    """One setting of one client.

    *before* is sent ahead of the login; that it is refused is no end. *has_port* says
    that the setting can name a port. *heard* is what the server must hear first.
    """

    client: str
    setting: str
    steps: Steps
    doors: tuple[Door, ...]
    manner: Manner
    before: tuple[str, ...] = ()
    has_port: bool = True
    heard: tuple[str, str] = ("USER {u}", "PASS {p}")

    def sends(self, word: str) -> bool:
        """Whether a step holds *word*, of those in braces."""
        return any("{" + word + "}" in step.line for step in self.steps)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The replies that a client got to its login, and what it concluded."""

    replies: tuple[tuple[str, Reply], ...]
    inside: bool

    @property
    def last(self) -> Reply:
        return self.replies[-1][1]

    def __str__(self) -> str:
        return "\n".join(f"> {line}\n{reply}" for line, reply in self.replies)


def walk(form: Form, client: Speaker, words: Mapping[str, str]) -> Outcome:
    """Log in as the client does; *words* stand for those in braces."""
    replies: list[tuple[str, Reply]] = []
    for line in form.before:
        reply = client.ask(line)
        replies.append((line, reply))
        assert reply.code // 100 not in (2, 3), f"{line}: the client would begin TLS"
    at: int | None = 0
    while at is not None and at != IN:
        step = form.steps[at]
        line = step.line.format_map(words)
        try:
            reply = client.ask(line)
            if step.after(reply.code) == AGAIN:
                reply = client.reply()
        except Closed:
            break
        replies.append((line, reply))
        at = step.after(reply.code)
    return Outcome(tuple(replies), at == IN)


def work(manner: Manner, client: Speaker) -> dict[str, bytes]:
    """Do what the client does once it is in; return what its transfers brought."""
    brought = {}
    features: set[str] = set()
    for deed in manner:
        if isinstance(deed, Get):
            brought[deed.line.split()[0]] = fetch(client, deed)
            continue
        if deed.feature and deed.feature not in features:
            continue
        reply = client.ask(deed.line)
        good = str(reply.code).startswith(deed.codes)
        assert good, f"{deed.line} got {reply}"
        if deed.line == "FEAT":
            features = {line.split()[0] for line in reply.lines[1:-1]}
    return brought


def fetch(client: Speaker, deed: Get) -> bytes:
    """Return what a transfer brings: 125 or 150, the bytes, 226."""
    if deed.mode in ("PASV", "EPSV"):
        stream = client.dial(deed.mode)
        client.send(deed.line)
    else:
        with client.offer(deed.mode) as listener:
            client.send(deed.line)
            stream, _ = listener.accept()
    with stream:
        stream.settimeout(5)
        begun = client.reply()
        assert begun.code in TRANSFER_BEGINS, f"{deed.line} got {begun}"
        content = read_all(stream)
    done = client.reply()
    assert done.code == 226, f"{deed.line} ended with {done}"
    return content
