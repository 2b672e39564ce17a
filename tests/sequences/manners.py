"""How each client goes about its login, and what it does once it is in.

Facts from the clients' own sources: WinSCP's table of jumps, FileZilla's optional
commands, NcFTP's whole codes, Net::FTP's and lftp's checks. Not here: the settings
(sequences.py). Invariant: what a client makes of a code stands in its builder, once.
"""

from collections.abc import Mapping, Sequence

from tests.sequences.walk import AGAIN, IN, SAMPLE, Get, Manner, Say, Step, Steps

OUT = -9  # a jump that ends the login
DONE = ("2",)
RETR = f"RETR {SAMPLE}"
SIZE = Say(f"SIZE {SAMPLE}", ("213",))
MDTM = Say(f"MDTM {SAMPLE}", ("213",))
PWD = Say("PWD", ("257",))
SYST = Say("SYST", ("215",))
FEAT = Say("FEAT", ("211",))
UTF8 = Say("OPTS UTF8 ON", DONE, "UTF8")
BINARY = Say("TYPE I", ("200",))
ASCII = Say("TYPE A", ("200",))
QUIT = Say("QUIT", ("221",))


def table(*rows: tuple[str, int, int]) -> Steps:
    """WinSCP: each row is a command, and where to go after a 2yz and after a 3yz."""
    return tuple(
        Step(line, {key: to for key, to in (("2", two), ("3", three)) if to != OUT})
        for line, two, three in rows
    )


def skipping(*lines: str) -> Steps:
    """FileZilla: a 2yz skips what comes next and is optional (marked with ``?``).

    A 3yz to the last command means that the client is not logged in.
    """
    steps = []
    for at, line in enumerate(lines):
        rest = range(at + 1, len(lines))
        after_2 = next((i for i in rest if not lines[i].startswith("?")), IN)
        then = {"2": after_2}
        if rest:
            then["3"] = at + 1
        steps.append(Step(line.removeprefix("?"), then))
    return tuple(steps)


def scripted(*lines: str) -> Steps:
    """FileZilla's type 4: a line is optional that has the password, or the account."""
    names = {"%h": "{h}", "%u": "{u}", "%p": "{p}", "%s": "{fu}", "%w": "{fp}"}
    items = []
    for line in lines:
        item = "?" + line if "%p" in line and "%u" not in line else line
        for name, word in names.items():
            item = item.replace(name, word)
        items.append(item)
    return skipping(*items)


def exact(*rows: tuple[str, Mapping[int, int]]) -> Steps:
    """NcFTP: whole codes; 231 and 202 are what 230 is. All others end the login."""
    steps = []
    for line, then in rows:
        codes = {str(code): to for code, to in then.items()}
        if "230" in codes:
            codes |= dict.fromkeys(("231", "202"), codes["230"])
        steps.append(Step(line, codes))
    return tuple(steps)


def perl(*lines: str) -> Steps:
    """Net::FTP: a refused USER is said once more, in small letters.

    The proxy's USER is always followed by its PASS. The server's USER, the last one,
    needs none after a 2yz; if it names a host and gets 220, one more reply is read.
    """
    last = max(at for at, line in enumerate(lines) if line.startswith("USER"))
    steps: list[Step] = []
    for at, line in enumerate(lines):
        here, end = len(steps), at + 1 == len(lines)
        if not line.startswith("USER"):
            onward = IN if end else here + 1
            steps.append(
                Step(line, {"2": onward} if end else dict.fromkeys("23", onward))
            )
            continue
        then = {"2": IN if at == last else here + 2, "3": here + 2}
        if at == last and "@" in line:
            then["220"] = AGAIN
        steps.append(Step(line, {**then, "": here + 1}))
        steps.append(Step("user" + line[4:], then))
    return tuple(steps)


def perl_authorize(*lines: str) -> Steps:
    """Net::FTP's type 7, which does not look at the outcome of AUTH and RESP."""
    login = perl(*lines)
    *ahead, password = login
    steps = [
        Step(
            step.line,
            {k: len(login) if to == IN else to for k, to in step.then.items()},
        )
        for step in (*ahead, password)
    ]
    at = len(steps)
    steps.append(Step("AUTH {fu}", {"3": at + 1, "": IN}))
    steps.append(Step("RESP {fp}", {"": IN}))
    return tuple(steps)


def lftp(*lines: str) -> Steps:
    """lftp: the proxy's PASS, OPEN and ACCT must get 2yz; AUTH may be refused.

    Every command is sent, but for PASS after a server's USER that got 2yz.
    """
    users = [at for at, line in enumerate(lines) if line.startswith("USER")]
    accounts = any(line.startswith("ACCT") for line in lines)
    steps = []
    for at, line in enumerate(lines):
        onward = IN if at + 1 == len(lines) else at + 1
        if line.startswith("AUTH"):
            then = {"4": onward, "5": onward}
        elif at == users[-1]:
            then = {"2": IN if at + 2 == len(lines) else at + 2, "3": at + 1}
        elif at in users or (accounts and line.startswith("PASS")):
            then = dict.fromkeys("23", onward)
        else:
            then = {"2": onward}
        steps.append(Step(line, then))
    return tuple(steps)


def curl(user: str, password: str, account: str = "") -> Steps:
    """curl: PASS on exactly 331, ACCT on exactly 332; ACCT must get exactly 230."""
    then: Mapping[str, int] = {"2": IN, "332": 2} if account else {"2": IN}
    steps = [Step(user, {"331": 1, **then}), Step(password, then)]
    if account:
        steps.append(Step(account, {"230": IN}))
    return tuple(steps)


def plain(*lines: str) -> Steps:
    """A script that goes on at any 2yz and 3yz, and wants a 2yz at its end."""
    return tuple(
        Step(line, dict.fromkeys("23", at + 1) if at + 1 < len(lines) else {"2": IN})
        for at, line in enumerate(lines)
    )


def asked(*lines: str, again: bool = False) -> Steps:
    """A client that sends PASS only if USER got 3yz, as ftplib, tnftp and wget do.

    *again*: a USER that got 220 has not had its reply yet.
    """
    steps = []
    for at, line in enumerate(lines):
        onward = IN if at + 1 == len(lines) else at + 1
        then = {"2": onward}
        if line.startswith("USER"):
            then = {"2": IN if at + 2 == len(lines) else at + 2, "3": at + 1}
            if again:
                then["220"] = AGAIN
        steps.append(Step(line, then))
    return tuple(steps)


def session(talk: Sequence[Say], *gets: tuple[Say, Get], end: bool = True) -> Manner:
    """Put a session together: *talk*, then each transfer with what goes before it."""
    deeds: list[Say | Get] = [*talk]
    for ahead, get in gets:
        deeds += [ahead, get]
    return (*deeds, QUIT) if end else tuple(deeds)


MLST = "OPTS MLST type;size;modify;perm;unix.mode;"

WINSCP = session(
    (SYST, FEAT, UTF8, PWD, Say("CWD /", ("250",)), PWD),
    (ASCII, Get("PASV", "MLSD")),
    (ASCII, Get("PASV", "LIST -a")),
    (BINARY, Get("PASV", RETR)),
)
FILEZILLA = session(
    (
        SYST,
        FEAT,
        Say("CLNT FileZilla", DONE, "CLNT"),
        UTF8,
        Say(MLST, ("",), "MLST"),
        PWD,
    ),
    (BINARY, Get("PASV", "MLSD")),
    (BINARY, Get("PASV", RETR)),
    end=False,
)
NCFTP = session(
    (PWD, FEAT, Say("HELP SITE"), Say("CLNT NcFTP", DONE, "CLNT"), UTF8),
    (ASCII, Get("PASV", "LIST")),
    (BINARY, Get("PASV", RETR)),
)
NET_FTP = session((PWD, ASCII), (PWD, Get("PASV", "LIST")), (BINARY, Get("PASV", RETR)))
LFTP = session(
    (
        FEAT,
        Say("CLNT lftp", DONE, "CLNT"),
        Say("LANG", ("",), "LANG"),
        UTF8,
        Say(MLST, ("",), "MLST"),
        PWD,
    ),
    (ASCII, Get("PASV", "LIST")),
    (BINARY, Get("PASV", RETR)),
)
CURL = session(
    (PWD,),
    (ASCII, Get("EPSV", "LIST")),
    (BINARY, Get("EPSV", "LIST")),
    (SIZE, Get("EPSV", RETR)),
)
WGET = session(
    (SYST, PWD, BINARY, SIZE), (PWD, Get("PASV", "LIST")), (SIZE, Get("PASV", RETR))
)
FTPLIB = session((PWD,), (ASCII, Get("PASV", "LIST")), (BINARY, Get("PASV", RETR)))
TNFTP = session(
    (SYST, FEAT, PWD),
    (ASCII, Get("EPSV", "LIST")),
    (BINARY, Get("EPSV", RETR)),
)
GFTP = session(
    (SYST, BINARY, PWD), (BINARY, Get("PASV", "LIST -aL")), (BINARY, Get("PASV", RETR))
)
FLUENT = session(
    (FEAT, UTF8, SYST, PWD),
    (BINARY, Get("EPSV", "MLSD")),
    (SIZE, Get("EPSV", RETR)),
    (MDTM, Get("PASV", RETR)),
)
OLD = session(  # what there was before RFC 1123: no PASV, no FEAT
    (Say("XPWD", ("257",)),),
    (ASCII, Get("PORT", "NLST")),
    (BINARY, Get("PORT", RETR)),
)
