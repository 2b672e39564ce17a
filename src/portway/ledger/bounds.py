"""How much of what a peer said a record may hold.

Not here: how a field is escaped; each format has its way. Invariant: what comes out of
`clean` is text that UTF-8 can hold, and a record of at most 16 KiB.
"""

from operator import attrgetter

from portway.escapes import decodable
from portway.model import Record

# One field cannot crowd out a record: security.md, section 3.
FIELD = 1024  # bytes of UTF-8
PATH = 2048
FACTS = 8192  # all of them together
LONGER_FACTS = {"groups": 4096}

_LONGER = {"path": PATH, "url": PATH}
_TEXT = [
    (name, _LONGER.get(name, FIELD))
    for name, kind in Record.__annotations__.items()
    if kind is str
]
_CUT = "…"

_texts = attrgetter(*(name for name, _ in _TEXT))


def clean(record: Record) -> Record:
    """Return *record* within the bounds: itself, but for few."""
    facts = record.facts
    said = "".join((*_texts(record), *facts, *facts.values()))
    if len(said) <= FIELD and said.isascii():
        return record
    left = FACTS
    kept: dict[str, str] = {}
    for name, value in facts.items():
        word = fit(name, FIELD)
        text = fit(value, LONGER_FACTS.get(name, FIELD))
        left -= len(word.encode()) + len(text.encode())
        if left < 0:
            break
        kept[word] = text
    texts = {name: fit(getattr(record, name), most) for name, most in _TEXT}
    return record._replace(**texts, facts=kept)  # type: ignore[arg-type]


def fit(text: str, most: int) -> str:
    """Return *text* in at most *most* bytes of UTF-8; what was cut ends in ``…``.

    Bytes that were no UTF-8 when *text* was decoded become ``%XX``.
    """
    text = decodable(text)
    data = text.encode()
    if len(data) <= most:
        return text
    return data[: most - len(_CUT.encode())].decode(errors="ignore") + _CUT
