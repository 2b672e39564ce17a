"""The dialogue: whatever the order of commands and replies, none is lost or swapped."""

from portway.protocols.ftp.dialogue import Awaited, Fate, Pairer
from portway.protocols.ftp.wire import ReplyLine


def check(steps: bytes) -> None:
    """Let a client ask, the gateway answer, and a server reply, as *steps* say.

    The client's questions are numbered, and what it gets must be their numbers, in
    order; the gateway's own questions must not show.
    """
    pairer = Pairer()
    asked = 0
    got = bytearray()
    for step in steps:
        kind = step % 5
        if kind == 0:
            pairer.expect(Awaited(str(asked), Fate.RELAY))
            asked += 1
        elif kind == 1:
            got += pairer.answer(b"%d " % asked)
            asked += 1
        elif kind == 2:
            pairer.expect(Awaited("PWD", Fate.KEEP))
        else:
            got += reply(pairer, 150 if kind == 3 else 200)
    while pairer.head is not None:
        got += reply(pairer, 200)
    assert len(pairer) == 0
    assert [int(number) for number in got.split()] == list(range(asked))


def reply(pairer: Pairer, code: int) -> bytes:
    """Let the server reply to what is oldest; return what the client gets of it."""
    head = pairer.head
    if head is None:
        return b""
    assert head.fate is not Fate.LOCAL
    text = head.verb.encode() + b" "
    got = head.take(ReplyLine(code, first=True, final=True, line=text))
    before = len(pairer)
    if code < 200:
        assert pairer.head is head
        assert len(pairer) == before
        return b""
    if head.fate is Fate.KEEP:
        assert head.text.endswith(text)
    return got + pairer.finish()


def target(data: bytes) -> None:
    check(data[:512])
