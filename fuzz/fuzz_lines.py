"""Lines from a client: any cut gives the same lines, and none is unclean."""

from fuzz.cuts import assert_same, events, pieces

from portway.lines import BadLine, LineReader, shown

LIMIT, FLOOD = 60, 200  # small, so that short inputs reach them


def check(data: bytes, cuts: list[int], *, telnet: bool) -> None:
    whole, bytewise, cut = (
        LineReader(limit=LIMIT, flood=FLOOD, telnet=telnet) for _ in range(3)
    )
    expected = events(whole.feed, [data])
    assert_same(expected, events(cut.feed, pieces(data, cuts)))
    assert_same(expected, events(bytewise.feed, pieces(data, range(len(data)))))
    for line in expected[0]:
        if isinstance(line, BadLine):
            continue
        assert len(line) <= LIMIT
        assert not {0, 10, 13} & set(line)
        assert LineReader(telnet=telnet).feed(line + b"\r\n") == [line]
        assert shown(line).encode("utf-8", "strict") is not None
    if not expected[1]:
        assert whole.pending == len(data) - (data.rfind(b"\n") + 1)
        assert len(whole._held) <= LIMIT + 1  # noqa: SLF001 - what memory it takes
    if all(len(line) <= LIMIT for line in data.split(b"\n")):
        assert whole.take_answers() == cut.take_answers() == bytewise.take_answers()


def target(data: bytes) -> None:
    count = data[0] % 8 if data else 0
    cuts, rest = list(data[1 : 1 + count]), data[1 + count :]
    check(rest, cuts, telnet=False)
    check(rest, cuts, telnet=True)
