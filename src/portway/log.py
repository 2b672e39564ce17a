"""The gateway's own log: one line an event, on standard error.

Not here: requests, whose log is the ledger. Invariant: what came from a peer stands in
a line as quoted JSON, so that it can neither break the line nor forge one.
"""

import logging
from collections.abc import Mapping

import msgspec

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
            line += "".join(f"\n  {text}" for text in trace.splitlines())
        return line


def fields(record: logging.LogRecord) -> list[str]:
    """Return an event's own fields as ``name=value``, the value as JSON."""
    given: Mapping[str, object] = vars(record)
    return [
        f"{name}={msgspec.json.encode(value).decode()}"
        for name, value in given.items()
        if name not in _OWN
    ]


def set_up(level: int = logging.INFO) -> None:
    """Log to standard error from now on."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
