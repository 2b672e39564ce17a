"""The gateway's own log: one line an event, on standard error.

Not here: requests, whose log is the ledger. Invariant: what came from a peer stands in
a line as quoted JSON, so that it can neither break the line nor forge one, and what
acts on a terminal is escaped.
"""

import logging
import re
from collections.abc import Mapping

import msgspec

from portway.escapes import decodable, escaped

_CONTROL = re.compile("[\x00-\x08\x0a-\x1f]")
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineFormatter(logging.Formatter):
    """``2026-11-24 10:00:00 warning dataport.stranger peer="10.0.0.9" port=50003``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as one line; an exception's follow, each indented."""
        time = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        words = [time, record.levelname.lower(), record.getMessage(), *fields(record)]
        line = " ".join(words)
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            line += "".join(f"\n  {harmless(text)}" for text in trace.splitlines())
        return line


def fields(record: logging.LogRecord) -> list[str]:
    """Return an event's own fields as ``name=value``, the value as JSON."""
    given: Mapping[str, object] = vars(record)
    return [
        f"{name}={quoted(value)}" for name, value in given.items() if name not in _OWN
    ]


def quoted(value: object) -> str:
    """Return *value* as JSON that acts on nobody; as its text where it has none."""
    try:
        text = msgspec.json.encode(value).decode()
    except (
        TypeError,
        UnicodeEncodeError,
    ):  # no value of JSON; bytes that were no UTF-8
        text = msgspec.json.encode(decodable(str(value))).decode()
    return escaped(text)


def harmless(text: str) -> str:
    """Return a line of a trace, which may hold what a peer said, without its signs."""
    return escaped(_CONTROL.sub("?", decodable(text)))


def set_up(level: int = logging.INFO) -> None:
    """Log to standard error from now on."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
