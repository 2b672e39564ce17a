"""Replies from a server: any cut gives the same lines, each fit to be relayed."""

from fuzz.cuts import assert_same, events, pieces

from portway.protocols.ftp.wire import ReplyLine, ReplyReader

LIMIT, JUNK = 60, 5


def check(data: bytes, cuts: list[int]) -> None:
    whole, bytewise, cut = (ReplyReader(limit=LIMIT, junk=JUNK) for _ in range(3))
    expected = events(whole.feed, [data])
    assert_same(expected, events(cut.feed, pieces(data, cuts)))
    assert_same(expected, events(bytewise.feed, pieces(data, range(len(data)))))
    check_lines(expected[0])
    assert len(whole._held) < LIMIT  # noqa: SLF001 - what memory it takes
    assert whole.dropped <= data.count(b"\n")


def check_lines(lines: list[ReplyLine]) -> None:
    opened = 0
    for line in lines:
        assert 100 <= line.code < 600
        assert line.first is (opened == 0)
        assert opened in {0, line.code}
        opened = 0 if line.final else line.code
        assert line.line.endswith(b"\r\n")
        assert len(line.line) <= LIMIT
        assert not {0, 10, 13} & set(line.line[:-2])
        if line.first or line.final:
            assert line.line.startswith(b"%d" % line.code)


def target(data: bytes) -> None:
    count = data[0] % 8 if data else 0
    check(data[1 + count :], list(data[1 : 1 + count]))
