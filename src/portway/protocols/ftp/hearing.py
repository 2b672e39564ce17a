"""What an FTP parent may hear of a client's words: none that could name a server.

A parent is an FTP proxy. It takes servers' names in many dialects, and what it is told
it does, whatever our rules say. So it hears the words that servers are known to have,
and no others.

Not here: how the parent is told of the server (via.py). Invariant: whatever is refused
here is refused before any of it is sent.
"""

from portway.protocols.ftp import replies
from portway.protocols.ftp.commands import SITE_WORDS, VERBS
from portway.protocols.ftp.desk import State
from portway.protocols.ftp.wire import Command

# Methods where USER does not end in the server's name.
NAME_ALONE = {"site", "open", "acct", "proxyuser@host"}


def command_refusal(command: Command, state: State) -> bytes | None:
    """Return why a parent must not hear *command*, which is no part of a login."""
    verb, argument = command.verb, command.argument
    if verb == "SITE":
        word = argument.partition(b" ")[0].upper()
        fit = state is State.SESSION and word in SITE_WORDS
        return None if fit else replies.NOT_OFFERED
    if verb == "HOST" or verb not in VERBS:
        return replies.NOT_OFFERED
    return None


def user_refusal(method: str, name: bytes, state: State) -> bytes | None:
    """Return why a parent of *method* must not hear USER *name*.

    Where it ends in the server's name, an @ before that one is part of the user's; but
    one before a blank might be taken for ours.
    """
    if state is State.SESSION:
        return replies.LOGGED_IN
    at, words = b"@" in name, name.split()
    if method in NAME_ALONE and (at or len(words) > 1):
        return replies.BAD_USER
    return replies.BAD_USER if at and words != [name] else None


def account_refusal(code: int) -> bytes | None:
    """Return why a parent must not hear ACCT behind a reply of *code*.

    Unless it is due, it may be taken for the name of a server.
    """
    return None if code == 332 else replies.ACCT_NOT_DUE
