"""Search filters: from text with places in it to what goes over the wire. RFC 4515.

A place such as ``{user}`` is filled *after* the text was read, with bytes that are
never read as text. So there is nothing to escape, and no name can become a condition.

Not here: asking. Invariant: what fills a place stays within its one assertion value.
"""

import re
from collections.abc import Callable, Mapping

from portway.users.ber import element

Values = Mapping[str, bytes]
Filter = Callable[[Values], bytes]

# RFC 4511, section 4.5.1
AND, OR, NOT = 0xA0, 0xA1, 0xA2
EQUAL, SUBSTRINGS, GREATER, LESS, PRESENT, APPROX, EXTENSIBLE = (
    *(0xA3, 0xA4, 0xA5, 0xA6),
    *(0x87, 0xA8, 0xA9),
)
INITIAL, ANY, FINAL = 0x80, 0x81, 0x82

DEPTH = 16  # nested filters: more is a mistake
_ITEM = re.compile(r"([^=<>~()*\\]+?)(=|>=|<=|~=|:=)([^()]*)")
_PIECE = re.compile(r"\\([0-9A-Fa-f]{2})|\{([a-z]+)\}|([^\\{}])")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.;-]*")


def read_filter(text: str, places: frozenset[str]) -> Filter:
    """Return what makes a filter of *text*, given a value for each of its *places*.

    Raises ValueError: one line that says where reading stopped.
    """
    found, end = _read(text, 0, places, DEPTH)
    if end != len(text):
        raise ValueError(f'"{text[end:]}" stands behind the filter')
    return found


def _read(text: str, at: int, places: frozenset[str], depth: int) -> tuple[Filter, int]:
    if not depth:
        raise ValueError("nested too deeply")
    if text[at : at + 1] != "(":
        raise ValueError(f'a "(" is missing before "{text[at:]}"')
    sign = text[at + 1 : at + 2]
    if sign and sign in "&|!":
        return _read_set(text, at + 1, places, depth)
    end = text.find(")", at)
    if end < 0:
        raise ValueError('a ")" is missing at the end')
    return _read_item(text[at + 1 : end], places), end + 1


def _read_set(
    text: str, at: int, places: frozenset[str], depth: int
) -> tuple[Filter, int]:
    sign, at = text[at], at + 1
    parts: list[Filter] = []
    while text[at : at + 1] == "(":
        part, at = _read(text, at, places, depth - 1)
        parts.append(part)
    if text[at : at + 1] != ")":
        raise ValueError(f'a ")" is missing before "{text[at:]}"')
    if not parts or (sign == "!" and len(parts) > 1):
        raise ValueError(f'"{sign}" has the wrong number of filters')
    tag = {"&": AND, "|": OR, "!": NOT}[sign]
    return lambda values: element(tag, *(part(values) for part in parts)), at + 1


def _read_item(text: str, places: frozenset[str]) -> Filter:
    item = _ITEM.fullmatch(text)
    if item is None:
        raise ValueError(f'"({text})" is no condition')
    name, sign, value = item.groups()
    if sign == ":=":
        return _read_extensible(name, _read_value(value, places))
    if not _NAME.fullmatch(name):
        raise ValueError(f'"{name}" is no name of an attribute')
    attribute = name.encode()
    if sign == "=" and value == "*":
        return lambda _: element(PRESENT, attribute)
    if sign == "=" and "*" in value:
        return _read_substrings(attribute, value, places)
    assertion = _read_value(value, places)
    tag = {"=": EQUAL, ">=": GREATER, "<=": LESS, "~=": APPROX}[sign]
    return lambda values: element(
        tag, element(0x04, attribute), element(0x04, assertion(values))
    )


def _read_substrings(name: bytes, text: str, places: frozenset[str]) -> Filter:
    first, *middle, last = (_read_value(part, places) for part in text.split("*"))
    parts = [(INITIAL, first), *((ANY, one) for one in middle), (FINAL, last)]

    def make(values: Values) -> bytes:
        pieces = [(tag, part(values)) for tag, part in parts]
        found = [element(tag, piece) for tag, piece in pieces if piece]
        return element(SUBSTRINGS, element(0x04, name), element(0x30, *found))

    return make


def _read_extensible(name: str, assertion: Filter) -> Filter:
    """``attr:dn:rule:=value``, where one of attr and rule may be left out."""
    attribute, *words = name.split(":")
    by_dn = "dn" in words
    rules = [word for word in words if word != "dn"]
    known = [word for word in (attribute, *rules) if word]
    if len(rules) > 1 or not known or not all(map(_NAME.fullmatch, known)):
        raise ValueError(f'"{name}:=" is no condition')
    head = b"".join(element(0x81, rule.encode()) for rule in rules)
    head += element(0x82, attribute.encode()) if attribute else b""
    tail = element(0x84, b"\xff") if by_dn else b""
    return lambda values: element(
        EXTENSIBLE, head, element(0x83, assertion(values)), tail
    )


def _read_value(text: str, places: frozenset[str]) -> Filter:
    r"""Read a value: its text, ``\2a`` for a byte, ``{user}`` for a place."""
    pieces: list[bytes | str] = []
    at = 0
    while at < len(text):
        piece = _PIECE.match(text, at)
        if piece is None:
            raise ValueError(f'"{text[at:]}": a \\ takes two digits, a {{ a name')
        if piece[2] and piece[2] not in places:
            known = " or ".join(f"{{{place}}}" for place in sorted(places))
            raise ValueError(f'"{piece[0]}" stands for nothing; known is {known}')
        literal = bytes.fromhex(piece[1]) if piece[1] else (piece[3] or "").encode()
        pieces.append(piece[2] or literal)
        at = piece.end()
    return lambda values: b"".join(
        values[piece] if isinstance(piece, str) else piece for piece in pieces
    )
