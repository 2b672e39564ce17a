"""Named lists as people and programs write them: from bytes to a `NamedList`.

Not here: the files (listfiles.py). Invariant: whatever the bytes, each line gives
entries, or nothing, or is counted as bad; and where the bytes are cut is all one.
"""

import re
from array import array
from collections.abc import Iterable, Iterator
from enum import StrEnum
from ipaddress import ip_address

from portway.policy.lists import BadLine, Domains, NamedList, Ranges, fingerprinter
from portway.policy.match import read_networks

LONGEST_LINE = 1024  # bytes: a name has 253, and a hosts file some of them on a line
LONGEST_NAME = 253  # RFC 1035, section 2.3.4, without the final dot
SHOWN = 10  # bad lines that are named; the others are counted
SHOWN_CHARACTERS = 60  # of a bad line
SHOWN_WORDS = 160  # of what is wrong with it

BOM = b"\xef\xbb\xbf"
# What hosts files say of the machine itself.
OWN_NAMES = frozenset(
    b"localhost localhost.localdomain local broadcasthost ip6-localhost ip6-loopback "
    b"ip6-localnet ip6-mcastprefix ip6-allnodes ip6-allrouters ip6-allhosts "
    b"0.0.0.0".split()
)

_DOMAIN = re.compile(rb"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_][a-z0-9_-]{0,62}")
_PLAIN = re.compile(rb"(?:[a-z0-9_-]{1,63}\.)+[a-z_][a-z0-9_-]{0,62}")
_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_NETWORK4 = re.compile(
    rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}(?:/([12]?[0-9]|3[0-2]))?".encode()
)
_HOSTS = re.compile(rb"[0-9a-f.:%]+(?<=[0-9:])\s+[^\s-]")  # and no range
_REMARK = re.compile(rb"(?:^|\s)[#;].*", re.DOTALL)


class Format(StrEnum):
    """What the lines of a list are."""

    AUTO = "auto"  # each line by its looks
    DOMAINS = "domains"
    NETWORKS = "networks"
    HOSTS = "hosts"  # an address and then names, as in /etc/hosts


class Reader:
    """Takes the bytes of a file piece by piece, and gives the list that they are."""

    def __init__(self, name: str, layout: Format, key: bytes) -> None:
        self._name = name
        self._key = key
        self._fingerprint = fingerprinter(key)
        self._plain = layout in {Format.AUTO, Format.DOMAINS}
        self._take = {
            Format.AUTO: self._take_any,
            Format.DOMAINS: self._take_domain,
            Format.NETWORKS: self._take_network,
            Format.HOSTS: self._take_hosts,
        }[layout]
        self._line = 0
        self._rest = b""  # of a line that has not ended
        self._marks = _Sorter()
        self._networks4 = _Sorter()
        self._networks6: list[tuple[int, int]] = []
        self._networks = 0
        self._depths: set[int] = set()  # how many labels the domains have
        self._bad: list[BadLine] = []
        self._bad_lines = 0

    def feed(self, data: bytes) -> None:
        """Take the next piece of the file."""
        text = (self._rest + data).replace(b"\r\n", b"\n").lower()
        *whole, rest = text.split(b"\n")
        for line in whole:
            self._line += 1
            if self._plain and _PLAIN.fullmatch(line) and len(line) <= LONGEST_NAME:
                self._add(line)  # nearly all are so, and there are a million of them
            else:
                self._read(line)
        self._rest = rest[: LONGEST_LINE + 1]

    def finish(self) -> NamedList:
        """Return the list, after the last piece."""
        if self._rest:
            self._line += 1
            self._read(self._rest)
            self._rest = b""
        domains = Domains(
            self._key,
            self._marks.sorted(),
            shallowest=min(self._depths, default=0),
            deepest=max(self._depths, default=0),
        )
        apart4 = _merged((pair >> 32, pair & 0xFFFFFFFF) for pair in self._networks4)
        apart6 = _merged(sorted(self._networks6))
        ranges = Ranges(apart4, apart6, self._networks)
        return NamedList(self._name, domains, ranges, tuple(self._bad), self._bad_lines)

    def _read(self, line: bytes) -> None:
        if self._line == 1:
            line = line.removeprefix(BOM)
        if len(line) > LONGEST_LINE:
            self._note(f"is longer than {LONGEST_LINE} bytes")
            return
        if b"#" in line or b";" in line:
            line = _REMARK.sub(b"", line)
        word = line.strip()
        if not word:
            return
        try:
            self._take(word)
        except ValueError as error:
            self._note(f"{_shown(word)} {error}")

    def _note(self, text: str) -> None:
        self._bad_lines += 1
        if len(self._bad) < SHOWN:
            self._bad.append(BadLine(self._line, _printable(text[:SHOWN_WORDS])))

    def _take_any(self, word: bytes) -> None:
        if _DOMAIN.fullmatch(word) and not _ends_in_number(word):
            self._take_domain(word)
        elif b"://" in word:
            raise ValueError("is a URL: write its host alone")
        elif _HOSTS.match(word):
            self._take_hosts(word)
        elif _ends_in_number(word) or b":" in word or b"/" in word:
            self._take_network(word)
        else:
            self._take_domain(word)

    def _take_domain(self, word: bytes) -> None:
        name = word.removeprefix(b".").removesuffix(b".")
        if not _DOMAIN.fullmatch(name):
            name = _as_ascii(name)
        if len(name) > LONGEST_NAME:
            raise ValueError("is longer than a name may be")
        if _ends_in_number(name):
            raise ValueError("is no domain: names do not end in a number")
        self._add(name)

    def _add(self, name: bytes) -> None:
        labels = name.count(b".") + 1
        self._depths.add(labels)
        self._marks.add(self._fingerprint(name))

    def _take_network(self, word: bytes) -> None:
        found = _NETWORK4.fullmatch(word)
        if found is None:
            self._take_other_network(word)
            return
        a, b, c, d = map(int, found.group(1, 2, 3, 4))
        first = a << 24 | b << 16 | c << 8 | d
        beyond = 0xFFFFFFFF >> int(found[5]) if found[5] else 0
        if first & beyond:
            self._take_other_network(word)  # whose words name the cure
            return
        self._networks += 1
        self._networks4.add(first << 32 | first | beyond)

    def _take_other_network(self, word: bytes) -> None:
        text = word.decode("ascii", "replace")
        try:
            networks = read_networks(text)
        except ValueError as error:
            said = str(error).removeprefix(f'"{text}"').lstrip(": ")
            raise ValueError(said) from error
        self._networks += 1
        for network in networks:
            first = int(network.network_address)
            last = int(network.broadcast_address)
            if network.version == 4:
                self._networks4.add(first << 32 | last)
            else:
                self._networks6.append((first, last))

    def _take_hosts(self, word: bytes) -> None:
        first, *names = word.split()
        try:
            ip_address(first.partition(b"%")[0].decode("ascii", "replace"))
        except ValueError:
            raise ValueError("does not begin with an address") from None
        if not names:
            raise ValueError("names no host after its address")
        for name in names:
            if name not in OWN_NAMES:
                self._take_domain(name)


class _Sorter:
    """Sorts numbers of 64 bits without ever making all of them objects."""

    def __init__(self) -> None:
        self._parts = [array("Q") for _ in range(256)]

    def add(self, number: int) -> None:
        self._parts[number >> 56].append(number)

    def __iter__(self) -> Iterator[int]:
        for part in self._parts:
            yield from sorted(set(part))

    def sorted(self) -> "array[int]":
        """Return each number once, in order."""
        found = array("Q")
        for part in self._parts:
            found.extend(array("Q", sorted(set(part))))
            del part[:]
        return found


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return sorted *ranges* with those made one that meet or overlap."""
    found: list[tuple[int, int]] = []
    for first, last in ranges:
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(last, found[-1][1])
        else:
            found.append((first, last))
    return found


def _ends_in_number(name: bytes) -> bool:
    return name[name.rfind(b".") + 1 :].isdigit()


def _as_ascii(name: bytes) -> bytes:
    """Return a name as it stands in the DNS. Raises ValueError if it is none."""
    if name.startswith(b"*."):
        cure = "leave out the star, a domain stands for all below it"
        raise ValueError(f"is no domain: {cure}")
    try:
        text = name.decode()
        ascii_name = b"" if text.isascii() else text.encode("idna")
    except UnicodeError:
        ascii_name = b""
    ascii_name = ascii_name.removesuffix(b".")
    if not _DOMAIN.fullmatch(ascii_name):
        raise ValueError("is no domain")
    return ascii_name


def _shown(word: bytes) -> str:
    """Return *word* in quotes, and short."""
    text = word[: SHOWN_CHARACTERS + 1].decode("utf-8", "backslashreplace")
    cut = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
    return f'"{cut}"'


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
