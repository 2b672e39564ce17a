"""Secrets of the configuration: written by reference, and shown to nobody.

Not here: passwords that clients give (model.Credentials). Invariant: the words of a
secret come out of `Secret.reveal` and in no other way.
"""

import hmac
import os
import re
import stat
from pathlib import Path

from portway.config.report import quoted
from portway.config.values import BadValueError, kind_of

LARGEST = 4096  # bytes: passwords and keys, not files that somebody mistook for one
MASK = "***"
FORMS = '"file:/path", "env:NAME" or "credential:NAME"'
CREDENTIALS = "CREDENTIALS_DIRECTORY"  # systemd.exec(5), "Credentials"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class Secret:
    """Words that nobody may see; it is compared in a time that does not tell them."""

    __slots__ = ("_words",)

    def __init__(self, words: str) -> None:
        self._words = words

    def reveal(self) -> str:
        """Return the words, for the one call that needs them."""
        return self._words

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __reduce__(self) -> tuple[type["Secret"], tuple[str]]:
        return Secret, (MASK,)  # a copy elsewhere is none

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(
            self._words.encode(errors="surrogateescape"),
            other._words.encode(errors="surrogateescape"),
        )

    __hash__ = None  # type: ignore[assignment]  # a hash would tell of the words


def read_secret(value: object) -> Secret:
    """Take a reference, and return the secret that it leads to.

    ``file:/path``: the file's text without its last line end; it may be read by nobody
    but its owner. ``env:NAME``: a variable of the environment. ``credential:NAME``: a
    credential that systemd hands over. Raises ValueError, which never holds what was
    written unless that is a reference.
    """
    if not isinstance(value, str):
        raise BadValueError(f"write {FORMS}, not {kind_of(value)}")
    kind, colon, rest = value.partition(":")
    if not colon or kind not in {"file", "env", "credential"}:
        raise BadValueError(f"secrets are not written here; write {FORMS}")
    if kind == "env":
        return _from_environment(rest)
    return _from_file(_path_of(kind, rest))


def _from_environment(name: str) -> Secret:
    words = os.environ.get(name, "")
    if not words:
        raise BadValueError(f"the environment has no {quoted(name)}; set it")
    return Secret(words)


def _path_of(kind: str, rest: str) -> Path:
    if kind == "file":
        if not rest.startswith("/"):
            raise BadValueError(f'{quoted(rest)}: the whole path, as in "file:/path"')
        return Path(rest)
    folder = os.environ.get(CREDENTIALS, "")
    if not folder:
        cure = f"set LoadCredential={rest}:/path in the unit of the service"
        raise BadValueError(f"systemd has handed over no credentials; {cure}")
    if not _NAME.fullmatch(rest):
        raise BadValueError(f"{quoted(rest)} is no name of a credential")
    return Path(folder) / rest


def _from_file(path: Path) -> Secret:
    shown = quoted(str(path))
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            data = stream.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or error
        raise BadValueError(f"{shown} cannot be read: {why}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        cure = f"chmod 600 {path}"
        raise BadValueError(f"{shown} is open to others than its owner; {cure}")
    if len(data) > LARGEST:
        raise BadValueError(f"{shown} is larger than {LARGEST} bytes; no secret is")
    words = data.decode(errors="surrogateescape").removesuffix("\n").removesuffix("\r")
    if not words:
        raise BadValueError(f"{shown} is empty; write the secret into it")
    return Secret(words)
