"""What an HTTP client is told where an FTP server says no: protocols.md, section 2.6.

Not here: replies that mean something more in their place (ftp_urls.py). Invariant: none
of it is the server's own words.
"""

from portway.protocols.ftp.said import Said

ALLOW = b"GET, HEAD, PUT, DELETE, MKCOL"

_BUSY = frozenset({421})
_LOGIN = frozenset({430, 530})
_NO_ACCOUNT = frozenset({332, 532})
_NO_ROOM = frozenset({452, 552})
_READING = frozenset({"RETR", "CWD", "DELE", "RMD", "MLSD", "LIST", "SIZE"})
_MISSING = frozenset({550})
_WRITING = frozenset({"STOR", "APPE", "MKD"})
_NO_NAME = frozenset({550, 553})

_WORDS = {
    401: "The server wants to know who you are, or the password is wrong.",
    403: "The server does not allow that.",
    404: "The server has no such file or folder.",
    405: "That cannot be done with it.",
    409: "The folder that it would be in is missing, or it is not empty.",
    502: "The server could not do what was asked.",
    503: "The server is not available. Try again later.",
    507: "The server has no room for it.",
}


def status_of(said: Said) -> int:
    """Return the status that *said* is for HTTP."""
    code, verb = said.reply.code, said.verb
    if code in _BUSY:
        return 503
    if code in _LOGIN:
        return 401
    if code in _NO_ACCOUNT:
        return 403
    if code in _NO_ROOM:
        return 507
    if code in _MISSING and verb in _READING:
        return 403 if said.denied else 404
    if code in _NO_NAME and verb in _WRITING:
        return 403
    return 502


def words_for(status: int) -> str:
    """Return one line for people."""
    return _WORDS.get(status, _WORDS[502])
