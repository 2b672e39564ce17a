"""What a door says beside the page that refuses: the status, the fields, because.

Not here: the table of reasons (answers.py) and sending it (turn.py). Invariant: only
words that are meant for clients are told to them.
"""

from portway.errors import PortwayError, Refused
from portway.model import Reason
from portway.protocols.http.answers import Answer, answer_to, token
from portway.protocols.http.house import House

LOGIN_NEEDED = 407
METHODS = b"GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, CONNECT"

# Whose `because` is meant for the client.
_TOLD = frozenset(
    {
        Reason.RULE,
        Reason.DEFAULT,
        Reason.PORT,
        Reason.INSIDE,
        Reason.CONNECTIONS,
        Reason.RATE,
        Reason.QUOTA,
        Reason.FILTER,
        Reason.UNSCANNED,
    }
)


def answer_for(house: House, error: PortwayError) -> Answer:
    """Return what the clients of *house* are told of *error*."""
    answer = answer_to(error)
    if answer.status == LOGIN_NEEDED:
        return answer._replace(status=house.challenge[0])
    return answer


def fields_of(house: House, answer: Answer) -> list[tuple[bytes, bytes]]:
    """Return what stands beside the page: RFC 9209, RFC 9110, section 10.2.3."""
    fields = []
    if answer.error:
        said = f"{token(house.name)}; error={answer.error}"
        fields.append((b"Proxy-Status", said.encode("ascii")))
    if answer.retry_after:
        fields.append((b"Retry-After", b"%d" % answer.retry_after))
    status, name, value = house.challenge
    if answer.status == status:
        fields.append((name, value))
    if answer.status == 405:
        fields.append((b"Allow", METHODS))
    return fields


def because_of(error: PortwayError | None) -> str:
    """Return the administrator's words to the client, if there are any."""
    if isinstance(error, Refused) and error.reason in _TOLD:
        return error.because if error.because != error.reason.value else ""
    return ""
