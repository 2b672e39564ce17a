"""Hashes of passwords as htpasswd files have them: made by others, checked by us.

bcrypt and SHA-crypt are the system's (libcrypt); Apache's own MD5 is here.

Not here: files. Invariant: a password is right or wrong; no hash that `fault` takes
makes `matches` raise, or run for longer than a second or two.
"""

import base64
import ctypes
import ctypes.util
import hashlib
import hmac
import re
from functools import cache

SCRATCH = 256 << 10  # more than struct crypt_data takes in any library
COST = 14  # of bcrypt, the highest: a second
ROUNDS = 1_000_000  # of SHA-crypt, the highest: a second

_BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
_SHA_CRYPT = re.compile(
    r"\$(?:5|6)\$(?:rounds=([0-9]{1,9})\$)?[^$:\s]{1,16}"
    r"\$(?:[./A-Za-z0-9]{43}|[./A-Za-z0-9]{86})"
)
_APR1 = re.compile(r"\$apr1\$([./A-Za-z0-9]{1,8})\$([./A-Za-z0-9]{22})")
_SHA = re.compile(r"\{SHA\}[A-Za-z0-9+/]{27}=")
_DIGITS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TO_DO = "make the line anew with htpasswd -B"


def fault(hashed: str) -> str:
    """Say in one line why *hashed* is not taken, without showing it; empty: it is."""
    if found := _BCRYPT.fullmatch(hashed):
        fit = 4 <= int(found[1]) <= COST
        return "" if fit else f"its bcrypt cost is not from 4 to {COST}; {_TO_DO}"
    if found := _SHA_CRYPT.fullmatch(hashed):
        fit = int(found[1] or 5000) <= ROUNDS
        return "" if fit else f"more than {ROUNDS} rounds; {_TO_DO}"
    if _APR1.fullmatch(hashed) or _SHA.fullmatch(hashed):
        return ""
    return f"its password is plain text, or hashed in a way not taken; {_TO_DO}"


def matches(hashed: str, password: bytes) -> bool:
    """Say whether *hashed*, of which nothing is at `fault`, was made of *password*."""
    if b"\0" in password:  # C would not see what is behind it
        return False
    made = _made(hashed, password)
    return hmac.compare_digest(made.encode(), hashed.encode())


def _made(hashed: str, password: bytes) -> str:
    if found := _APR1.fullmatch(hashed):
        return apr1(password, found[1])
    if hashed.startswith("{SHA}"):
        digest = hashlib.sha1(password, usedforsecurity=False).digest()
        return "{SHA}" + base64.b64encode(digest).decode()
    scratch = ctypes.create_string_buffer(SCRATCH)
    made = _library().crypt_r(password, hashed.encode(), scratch)
    return (made or b"*").decode(errors="replace")


@cache
def _library() -> ctypes.CDLL:
    """Return the library of crypt(3). Raises OSError if there is none."""
    library = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
    library.crypt_r.restype = ctypes.c_char_p
    library.crypt_r.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p)
    return library


def apr1(password: bytes, salt: str) -> str:
    """Return *password* hashed as Apache's htpasswd does by default.

    It is the MD5 of crypt(3) with another mark; *salt* has up to 8 characters.
    """
    mark = salt.encode()
    inner = _md5(password + mark + password)
    mixed = password + b"$apr1$" + mark
    mixed += (inner * (len(password) // 16 + 1))[: len(password)]
    bits = len(password)
    while bits:
        mixed += b"\0" if bits & 1 else password[:1]
        bits >>= 1
    digest = _md5(mixed)
    for turn in range(1000):
        odd = turn & 1
        text = password if odd else digest
        text += mark if turn % 3 else b""
        text += password if turn % 7 else b""
        digest = _md5(text + (digest if odd else password))
    order = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))
    groups = [digest[a] << 16 | digest[b] << 8 | digest[c] for a, b, c in order]
    text_of = "".join(_base64(group, 4) for group in groups) + _base64(digest[11], 2)
    return f"$apr1${salt}${text_of}"


def _base64(value: int, digits: int) -> str:
    return "".join(_DIGITS[value >> 6 * place & 63] for place in range(digits))


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
