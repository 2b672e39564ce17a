import logging
import sys

from portway.log import LineFormatter


def line(message: str, **extra: object) -> str:
    record = logging.makeLogRecord(
        {"name": "x", "levelname": "WARNING", "msg": message, **extra}
    )
    return LineFormatter().format(record)


def test_an_event_is_one_line_with_its_fields() -> None:
    text = line("dataport.stranger", peer="192.0.2.9", port=50003)
    assert text.endswith('warning dataport.stranger peer="192.0.2.9" port=50003')


def test_what_a_peer_said_breaks_no_line() -> None:
    text = line("event", peer='x\r\n2026-01-01 error forged "\x1b[2J')
    assert "\n" not in text
    assert "\r" not in text
    assert "\x1b" not in text
    assert r"\r\n2026-01-01" in text


def test_what_acts_on_a_terminal_is_escaped() -> None:
    text = line("event", peer="a\x9b2J\x7f\u202eb\u2028c", other="caf\udce9")
    assert text.endswith(r'peer="a\u009b2J\u007f\u202eb\u2028c" other="caf%E9"')


def test_a_value_that_json_does_not_know() -> None:
    assert line("event", what={1, 2}).endswith("what=[1,2]")
    assert 'what="<class' in line("event", what=int)


def test_a_trace_cannot_be_forged() -> None:
    nothing: dict[str, str] = {}
    try:
        nothing["a\x1b[2J\n2026-01-01 error forged\u202e"]
    except KeyError:
        text = line("session.failed", exc_info=sys.exc_info())
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert all(one.startswith("  ") for one in text.splitlines()[1:])


def test_a_trace_is_indented() -> None:
    try:
        int("bad")
    except ValueError:
        text = line("session.failed", exc_info=sys.exc_info())
    first, *trace = text.splitlines()
    assert first.endswith("warning session.failed")
    assert trace
    assert all(one.startswith("  ") for one in trace)
