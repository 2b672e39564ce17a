"""All that Portway raises on purpose.

Not here: words for a wire; each protocol has its table from `Reason` to a reply.
Invariant: every error carries the side at fault and a `Reason`, and its text is one
line that holds no secret.
"""

from dataclasses import dataclass

from portway.model import Reason, Side, Verdict


class PortwayError(Exception):
    """The root of what is raised on purpose; *record* is the id of what it has left."""

    def __init__(self, side: Side, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.record = ""
        self.side = side
        self.reason = reason
        self.text = text


class Refused(PortwayError):  # noqa: N818 - a refusal is an answer
    """The gateway says no: a rule, a login, a limit, its own state.

    *because* is the administrator's word to the client, or empty. *verdict* is
    there when a rule, or their end, decided.
    """

    def __init__(
        self, reason: Reason, because: str = "", verdict: Verdict | None = None
    ) -> None:
        super().__init__(Side.GATEWAY, reason, because or reason.value)
        self.because = because
        self.verdict = verdict


class UpstreamError(PortwayError):
    """A server could not be reached: name, network, or its refusal."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(Side.SERVER, reason, text)


class ParentError(UpstreamError):
    """The proxy through which servers are reached failed, or it refused.

    *fault* is ``parent`` where it could not be spoken to, ``login`` where it refuses
    ours, ``target`` where it could not, or would not, reach the server; *words* say
    so without saying where it is.
    """

    def __init__(self, reason: Reason, at: object, fault: str, words: str) -> None:
        super().__init__(reason, f"the next proxy {at}: {words}")
        self.fault = fault
        self.words = words


class PeerError(PortwayError):
    """A stream failed under us: reset, timed out, broken."""

    def __init__(self, side: Side, text: str, reason: Reason = Reason.GONE) -> None:
        super().__init__(side, reason, text)


class ProtocolError(PortwayError):
    """A peer broke the rules of its protocol."""

    def __init__(self, side: Side, text: str, reason: Reason = Reason.SYNTAX) -> None:
        super().__init__(side, reason, text)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration: ``FILE:LINE: key: what and the cure``."""

    where: str
    key: str
    text: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.key, self.text) if part)


class ConfigurationError(Exception):
    """A configuration that cannot be taken; it names every problem at once."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
