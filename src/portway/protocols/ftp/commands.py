"""FTP's verbs: what each does in the policy's words, and how it may be sent.

Not here: reading a command line (wire.py), and what is done with it. Invariant: a verb
that is not in the table is talk, and waits until all replies before it have come.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

from portway.model import Action
from portway.protocols.ftp.wire import Command, resolve_path


class Kind(Enum):
    """How a command takes its place among others."""

    AHEAD = auto()  # may be sent before the replies to earlier ones have come
    BARRIER = auto()  # waits for all replies, and nothing passes it
    DATA = auto()  # a barrier: asks for a data connection
    TRANSFER = auto()  # a barrier: moves data over it
    SECURITY = auto()  # about this leg of the control connection: answered here
    NOT_OFFERED = auto()  # answered here with a refusal, in every state


@dataclass(frozen=True, slots=True)
class Verb:
    """What the gateway knows of a verb.

    *action* is None for talk. *has_path* says that the argument names a file or a
    directory on the server.
    """

    kind: Kind = Kind.BARRIER
    action: Action | None = None
    has_path: bool = False


UNKNOWN = Verb()

_TALK = Verb(Kind.AHEAD)
_TALK_OF_PATH = Verb(Kind.AHEAD, has_path=True)
_DELETE = Verb(Kind.AHEAD, Action.DELETE, has_path=True)
_MANAGE = Verb(Kind.AHEAD, Action.MANAGE, has_path=True)
_STORE = Verb(Kind.TRANSFER, Action.WRITE, has_path=True)
_LIST = Verb(Kind.TRANSFER, Action.LIST, has_path=True)
_DATA = Verb(Kind.DATA)
_SECURITY = Verb(Kind.SECURITY)
_NOT_OFFERED = Verb(Kind.NOT_OFFERED)

# STAT, MDTM and SITE depend on their argument: see below.
VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        # RFC 959, section 4.1.1: access.
        "USER": UNKNOWN,
        "PASS": UNKNOWN,
        "ACCT": UNKNOWN,
        "CWD": _TALK_OF_PATH,
        "CDUP": _TALK,
        "SMNT": Verb(has_path=True),
        "REIN": UNKNOWN,
        "QUIT": UNKNOWN,
        # Section 4.1.2: parameters.
        "PORT": _DATA,
        "PASV": _DATA,
        "TYPE": _TALK,
        "STRU": _TALK,
        "MODE": UNKNOWN,
        # Section 4.1.3: service.
        "RETR": Verb(Kind.TRANSFER, Action.READ, has_path=True),
        "STOR": _STORE,
        "STOU": _STORE,
        "APPE": _STORE,
        "ALLO": _TALK,
        "REST": UNKNOWN,
        "RNFR": _MANAGE,
        "RNTO": _MANAGE,
        "ABOR": UNKNOWN,
        "DELE": _DELETE,
        "RMD": _DELETE,
        "MKD": _MANAGE,
        "PWD": _TALK,
        "LIST": _LIST,
        "NLST": _LIST,
        "SITE": Verb(Kind.AHEAD, Action.MANAGE),
        "SYST": _TALK,
        "STAT": Verb(Kind.AHEAD, Action.LIST, has_path=True),
        "HELP": _TALK,
        "NOOP": _TALK,
        # RFC 775 and RFC 1123, section 4.1.3.1.
        "XCWD": _TALK_OF_PATH,
        "XCUP": _TALK,
        "XPWD": _TALK,
        "XMKD": _MANAGE,
        "XRMD": _DELETE,
        # RFC 2389, RFC 2428, RFC 2640, RFC 3659, RFC 7151.
        "FEAT": UNKNOWN,
        "OPTS": _TALK,
        "EPRT": _DATA,
        "EPSV": _DATA,
        "LANG": UNKNOWN,
        "HOST": UNKNOWN,
        "MDTM": Verb(Kind.AHEAD, Action.MANAGE, has_path=True),
        "SIZE": _TALK_OF_PATH,
        "MLST": Verb(Kind.AHEAD, Action.LIST, has_path=True),
        "MLSD": _LIST,
        # draft-somers-ftp-mfxx.
        "MFMT": _MANAGE,
        "MFCT": Verb(Kind.BARRIER, Action.MANAGE, has_path=True),
        "MFF": Verb(Kind.BARRIER, Action.MANAGE, has_path=True),
        # In no RFC: a folder goes with all that is in it; files become one.
        "RMDA": Verb(Kind.BARRIER, Action.DELETE, has_path=True),
        "COMB": Verb(Kind.BARRIER, Action.WRITE, has_path=True),
        # RFC 2228, RFC 4217.
        "AUTH": _SECURITY,
        "PBSZ": _SECURITY,
        "PROT": _SECURITY,
        "CCC": _SECURITY,
        "ADAT": _NOT_OFFERED,
        "MIC": _NOT_OFFERED,
        "CONF": _NOT_OFFERED,
        "ENC": _NOT_OFFERED,
        # RFC 1639, and server-to-server transfers.
        "LPRT": _NOT_OFFERED,
        "LPSV": _NOT_OFFERED,
        "CEPR": _NOT_OFFERED,
        "CPSV": _NOT_OFFERED,
        "SSCN": _NOT_OFFERED,
    }
)

METHODS: Mapping[str, Action] = MappingProxyType(
    {
        "CONNECT": Action.CONNECT,  # naming a server
        **{name: verb.action for name, verb in VERBS.items() if verb.action},
    }
)

# "MDTM YYYYMMDDHHMMSS path" sets a time; servers take a fraction and a zone, too, and
# some a day without a time.
_SETS_TIME = re.compile(rb"[ \t]*(\d{8,}(?:\.\d+)?(?:[+-]\d+)?)[ \t]+(?=[^ \t])")
_OPTIONS = re.compile(rb"(?:-[^ ]* *)+")  # "LIST -la /pub": what servers skip
_LISTINGS = {"LIST", "NLST", "STAT"}
_CLEAR_OPTIONS = re.compile(rb"(?:-[A-QS-Za-z0-9]+(?: |\Z))*")  # -R goes below
_PATTERN = re.compile(rb"[*?\[{]")
_FIRST_NAME = re.compile(rb' *(?:"([^"]*)"|([^ ]*))')

# What SITE does to a path, and how many words stand before it: vsftpd, Pure-FTPd, and
# ProFTPD's mod_site, mod_site_misc and mod_copy.
_SITE_WORDS = {
    b"CHMOD": 1,
    b"CHGRP": 1,
    b"CHOWN": 1,
    b"CPFR": 0,
    b"CPTO": 0,
    b"MKDIR": 0,
    b"RMDIR": 0,
}
_SITE_TWO = {b"COPY", b"SYMLINK"}  # paths; what comes to be is the last
# These, and the words of theirs that are about no path.
SITE_WORDS = (
    frozenset(_SITE_WORDS) | _SITE_TWO | {b"UTIME", b"UMASK", b"IDLE", b"HELP", b"WHO"}
)
_SITE_TIMES = re.compile(rb"(.*?)(?: +\d{8,14}){3} +UTC", re.DOTALL | re.IGNORECASE)
_TIME = re.compile(rb"\d{8,14} ")
# Some servers take these for more than themselves, or not for themselves.
_SITE_ODD = re.compile(rb"[\t\v\f\"'\\*?\[{]|  ")


def action_of(command: Command) -> Action | None:
    """Return what *command* does; None for talk."""
    action = VERBS.get(command.verb, UNKNOWN).action
    if action is Action.LIST and command.verb == "STAT":
        return action if command.argument.strip(b" ") else None
    if action is Action.MANAGE and command.verb == "MDTM":
        return action if _SETS_TIME.match(command.argument) else None
    return action


def kind_of(command: Command) -> Kind:
    """Return how *command* takes its place among others."""
    if command.verb == "STAT" and not command.argument.strip(b" "):
        return Kind.BARRIER
    return VERBS.get(command.verb, UNKNOWN).kind


def path_of(command: Command, directory: bytes) -> bytes | None:
    """Return the absolute path that *command* is about; None if it names none.

    *directory* is where the client is on the server. A listing without an argument
    is of that directory, and so is a STOU without a name. Of SITE's commands, those
    that servers are known to have.
    """
    verb, argument = command.verb, command.argument
    if verb == "SITE":
        path = _site_path(argument)
        return resolve_path(directory, path) if path else None
    if not VERBS.get(verb, UNKNOWN).has_path:
        return None
    if verb in _LISTINGS:
        argument = argument[len(_options_of(argument)) :]
    elif verb in {"MFMT", "MFCT", "MFF"}:
        argument = argument.partition(b" ")[2]
    elif verb == "MDTM":
        time = _SETS_TIME.match(argument)
        if time:
            argument = argument[time.end() :]
    elif verb == "COMB":
        argument = _first_name(argument)
    return resolve_path(directory, argument)


def _options_of(argument: bytes) -> bytes:
    options = _OPTIONS.match(argument)
    return options[0] if options else b""


def _first_name(argument: bytes) -> bytes:
    """Return the first of several names, which may be quoted."""
    found = _FIRST_NAME.match(argument)
    return (found[1] or found[2] or b"") if found else b""


def _site_words(argument: bytes) -> tuple[bytes, bytes]:
    """Return what SITE shall do, in capitals, and what stands behind that."""
    words = argument.split(maxsplit=1)
    word = words[0].upper() if words else b""
    return word, words[1] if len(words) > 1 else b""


def _site_path(argument: bytes) -> bytes | None:
    """Return the path that a SITE command is about; None if nobody can tell."""
    word, rest = _site_words(argument)
    if word in _SITE_WORDS:
        for _ in range(_SITE_WORDS[word]):
            rest = rest.lstrip(b" ").partition(b" ")[2]
        return rest
    if word in _SITE_TWO:
        return rest.rstrip(b" ").rpartition(b" ")[2]
    if word == b"UTIME":
        times = _SITE_TIMES.fullmatch(rest)
        return times[1] if times else rest.partition(b" ")[2]
    return None


def _site_is_clear(argument: bytes) -> bool:
    """Say whether there is one way only to read the path of a SITE command."""
    path = _site_path(argument)
    if path is None:
        return True
    word, rest = _site_words(argument)
    if word in _SITE_TWO or _SITE_ODD.search(argument):
        return False
    if _SITE_TIMES.fullmatch(rest) and _TIME.match(rest):
        return False  # which is the time, and which the path?
    return not argument.startswith(b" ") and _is_plain(path)


def _is_plain(path: bytes) -> bool:
    """Say whether no server skips, expands or decodes any of *path*."""
    if b"\xff\xff" in path:  # one byte to those that speak Telnet
        return False
    return path == path.strip(b" \t") and not path.startswith(b"~")


def is_clear(command: Command) -> bool:
    """Say whether every server takes *command* to be about the path of `path_of`.

    Where rules read paths, only that will do: servers expand ``~``, some skip blanks,
    and for listings patterns, or take an odd option for a path. What names more
    than one path is about none of them alone.
    """
    if command.verb == "SITE":
        return _site_is_clear(command.argument)
    if command.verb == "COMB":
        return False
    if not VERBS.get(command.verb, UNKNOWN).has_path:
        return True
    path = command.argument
    if command.verb in _LISTINGS:
        options = _options_of(path)
        path = path[len(options) :]
        if not _CLEAR_OPTIONS.fullmatch(options) or _PATTERN.search(path):
            return False
    elif command.verb in {"MFMT", "MFCT", "MFF"}:
        path = path.partition(b" ")[2]
    elif command.verb == "MDTM" and (time := _SETS_TIME.match(path)):
        path = path[time.end() :]
    return _is_plain(path)
