"""What an FTP client is told when an SFTP server says no.

Not here: asking it. Invariant: a reply is one line, whatever the server wrote.
"""

from portway.protocols.ftp.wire import reply

WORDS = 200  # characters of a server's own text that are passed on

# draft-ietf-secsh-filexfer-13, section 9.1; version 3 has the codes up to 8.
NO_SUCH_FILE = 2
FAILURE = 4
UNSUPPORTED = 8
NO_SPACE = 14
QUOTA = 15

_REPLIES: dict[int, tuple[int, str]] = {
    1: (451, "Unexpected end of the file"),
    NO_SUCH_FILE: (550, "No such file or directory"),
    3: (550, "Permission denied"),
    5: (451, "The server did not understand"),
    6: (426, "The server has no connection"),
    7: (426, "The connection to the server was lost"),
    UNSUPPORTED: (504, "The server cannot do that"),
    9: (451, "The server has lost the file"),
    10: (550, "No such directory"),
    11: (550, "File exists"),
    12: (550, "Write protected"),
    13: (550, "No medium"),
    NO_SPACE: (452, "Disk full"),
    QUOTA: (552, "Quota used up at the server"),
    16: (550, "Unknown owner"),
    17: (450, "Locked"),
    18: (550, "Directory not empty"),
    19: (550, "Not a directory"),
    20: (553, "The server does not take this name"),
    21: (550, "Too many links"),
    22: (550, "Cannot be deleted"),
    23: (501, "The server does not take this argument"),
    24: (550, "Is a directory"),
}


def refusal(code: int, text: str, *, otherwise: int = 550) -> bytes:
    """Return the reply to a command that failed with an SFTP status.

    *text* is the server's own. *otherwise* is the reply's code for a failure without
    a name: version 3 tells no more of most of them, so its text is passed on.
    """
    if code in _REPLIES:
        number, words = _REPLIES[code]
        return reply(number, f"{words}.")
    words = "".join(letter for letter in text if letter.isprintable())[:WORDS]
    return reply(otherwise, f"The server refused: {words or 'no reason given'}")
