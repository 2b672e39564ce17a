"""What is wrong with a source of accounts that only a look at its files tells.

Not here: keys (config.checks), and asking a server. Invariant: nothing is changed, and
no hash and no password is shown.
"""

import stat
from collections.abc import Iterator
from pathlib import Path

from portway.config.locate import Path as KeyPath
from portway.config.locate import locate
from portway.config.report import Report
from portway.config.schema import Configuration, Logins
from portway.errors import Problem
from portway.users import htpasswd, ldap, pam


def inspect(configuration: Configuration) -> tuple[Problem, ...]:
    """Return what is wrong with the files that ``[login]`` and its tables name.

    A bad line of a file is named by that file and its line.
    """
    found = [
        *_inspect_htpasswd(configuration.logins),
        *_inspect_ldap(configuration.logins),
        *_inspect_pam(configuration.logins),
    ]
    if not found:
        return ()
    report = _report(configuration)
    for key, text in found:
        if isinstance(key, tuple):
            report.wrong(key, text)
    elsewhere = (Problem(key, "", text) for key, text in found if isinstance(key, str))
    return (*report.problems(), *elsewhere)


Found = Iterator[tuple[KeyPath | str, str]]  # a key of ours, or FILE:LINE elsewhere


def _report(configuration: Configuration) -> Report:
    try:
        text = Path(configuration.path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        text = ""
    return Report(configuration.path, locate(text))


def _inspect_htpasswd(logins: Logins) -> Found:
    if logins.htpasswd is None:
        return
    key = ("login", "htpasswd", "path")
    path = Path(logins.htpasswd.path)
    try:
        mode = path.stat().st_mode
        accounts = htpasswd.read_file(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        yield key, f"cannot be read: {why}; make it with htpasswd -B"
        return
    if mode & stat.S_IROTH:
        yield key, f"everyone can read the file; chmod o-r {path}"
    for line, text in accounts.problems:
        yield f"{path}:{line}", text


def _inspect_ldap(logins: Logins) -> Found:
    if logins.ldap is None:
        return
    for key, text in ldap.faults(logins.ldap):
        yield ("login", "ldap", key), text


def _inspect_pam(logins: Logins) -> Found:
    if logins.pam is None:
        return
    if missing := pam.missing(logins.pam):
        yield ("login", "pam", "service"), missing
