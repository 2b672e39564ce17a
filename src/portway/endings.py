"""What an error that broke an exchange off makes of its record.

Not here: leaving the record. Invariant: a refusal counts as one only while no byte of
payload has moved.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from portway.errors import PortwayError, Refused
from portway.model import NO_FACTS, Outcome, Side, Verdict


@dataclass(frozen=True, slots=True)
class Ending:
    """How an exchange ended; *words* are those of `Exchange.end`."""

    outcome: Outcome
    verdict: Verdict
    words: Mapping[str, str]


def ending_of(error: BaseException, verdict: Verdict, *, moved: bool) -> Ending:
    """Return what *error* means after *verdict*; *moved*: bytes had gone through."""
    broken = Outcome.CUT if moved else Outcome.FAILED
    if isinstance(error, Refused) and not moved:
        if verdict.allowed:
            because = error.because or verdict.because
            verdict = replace(
                verdict, allowed=False, reason=error.reason, because=because
            )
        return Ending(Outcome.REFUSED, verdict, NO_FACTS)
    words = {"side": Side.GATEWAY.value}
    if isinstance(error, PortwayError):
        words = {"reason": error.reason, "error": error.text, "side": error.side}
    elif not isinstance(error, asyncio.CancelledError):
        words["error"] = type(error).__name__
    return Ending(broken, verdict, words)
