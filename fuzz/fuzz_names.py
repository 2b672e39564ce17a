"""Server names in USER, SITE and OPEN: nothing but a good place or BadTarget."""

from itertools import product

from portway.model import Endpoint
from portway.protocols.ftp.commands import action_of, kind_of, path_of
from portway.protocols.ftp.dialects import (
    METHODS,
    BadTarget,
    Context,
    candidates,
    split,
    split_place,
)
from portway.protocols.ftp.wire import parse_command

CONTEXTS = [
    Context(METHODS, login, standing=standing, fixed=fixed)
    for login, standing, fixed in product(
        ("none", "optional", "required"), (False, True), (False, True)
    )
]


def check_place(place: Endpoint) -> None:
    """A place that was read is read the same when it is written as usual."""
    assert 0 < place.port < 65536
    assert len(place.host) <= 253
    assert place.host == place.host.lower()
    assert place.host.isascii()
    assert split_place(str(place).encode()) == place
    assert split_place(place.host.encode() + b",%d" % place.port) == place


def target(data: bytes) -> None:
    command = parse_command(data)
    assert parse_command(command.line) == command
    assert repr(command)
    assert kind_of(command)
    path = path_of(command, b"/")
    assert action_of(command) is None or path is None or path.startswith(b"/")
    for read in (split_place, lambda words: split(words).place.endpoint()):
        try:
            check_place(read(data))
        except BadTarget:
            continue
    for context in CONTEXTS:
        try:
            found = candidates(data, context)
        except BadTarget:
            continue
        assert len(found) <= len(METHODS)
        for candidate in found:
            candidate.split_password(data)
            if candidate.place.host:
                check_place(candidate.place)
