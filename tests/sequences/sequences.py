"""Every way in which the clients that we know name their server to an FTP proxy.

Not here: what a client makes of a reply (manners.py). What names no server is by
itself, in DOUBLE: it is for doors whose server is fixed. Invariant: nothing is listed
for a door whose methods do not offer it.
"""

from collections.abc import Iterable

from tests.sequences import manners
from tests.sequences.manners import (
    OUT,
    asked,
    curl,
    exact,
    lftp,
    perl,
    perl_authorize,
    plain,
    scripted,
    skipping,
    table,
)
from tests.sequences.walk import IN, Door, Form, Manner, Step, Steps

OPEN_DOORS: tuple[Door, ...] = ("none", "optional")  # for a client without an account
ALL: tuple[Door, ...] = ("required", "optional", "none")
WITH_EMPTY: tuple[Door, ...] = (*ALL, "empty")
ACCOUNT: tuple[Door, ...] = ("required", "optional")
REQUIRED: tuple[Door, ...] = ("required",)
COLON: tuple[Door, ...] = ("colon",)

PROXY = ("USER {fu}", "PASS {fp}")
SERVER = ("USER {u}", "PASS {p}")
AT = ("USER {u}@{h}", "PASS {p}")

Settings = Iterable[tuple[str, Steps, tuple[Door, ...]]]


def forms(
    client: str,
    manner: Manner,
    settings: Settings,
    *,
    before: tuple[str, ...] = (),
    has_port: bool = True,
) -> tuple[Form, ...]:
    """Return the settings of one client."""
    return tuple(
        Form(client, setting, steps, doors, manner, before, has_port)
        for setting, steps, doors in settings
    )


# WinSCP's "FTP proxy methods", by their numbers. Its default account is "default".

_DEFAULT = ("ACCT default", IN, OUT)
_FU, _FP = ("USER {fu}", 2, 1), ("PASS {fp}", 2, OUT)

_SCP_SITE = table(
    _FU, _FP, ("SITE {h}", 3, 3), ("USER {u}", IN, 4), ("PASS {p}", IN, 5), _DEFAULT
)
_SCP_LOGIN = table(_FU, _FP, ("USER {u}@{h}", IN, 3), ("PASS {p}", IN, 4), _DEFAULT)
_SCP_OPEN = table(
    ("OPEN {h}", 1, 1), ("USER {u}", IN, 2), ("PASS {p}", IN, 3), _DEFAULT
)
_SCP_AT = table(("USER {u}@{h}", IN, 1), ("PASS {p}", IN, 2), _DEFAULT)
_SCP_PROXYUSER = table(
    ("USER {fu}@{h}", 2, 1), _FP, ("USER {u}", IN, 3), ("PASS {p}", IN, 4), _DEFAULT
)
_SCP_ACCT = table(
    ("USER {u}@{h} {fu}", OUT, 1), ("PASS {p}", IN, 2), ("ACCT {fp}", IN, OUT)
)
_SCP_JOINED = table(
    ("USER {u}@{fu}@{h}", IN, 1), ("PASS {p}@{fp}", IN, 2), ("ACCT {fp}", IN, OUT)
)

WINSCP = forms(
    "WinSCP",
    manners.WINSCP,
    (
        ("1", _SCP_SITE, WITH_EMPTY),
        ("2", _SCP_LOGIN, WITH_EMPTY),
        ("3", _SCP_OPEN, OPEN_DOORS),
        ("5", _SCP_AT, OPEN_DOORS),
        ("6", _SCP_PROXYUSER, (*REQUIRED, "empty")),
        ("7", _SCP_ACCT, WITH_EMPTY),
        ("8", _SCP_JOINED, ACCOUNT),
    ),
)

# FileZilla's types. It asks for TLS twice before any login, and goes on in clear.

_FZ_PROXY, _FZ_SERVER = ("USER {fu}", "?PASS {fp}"), ("USER {u}", "?PASS {p}")
_FZ_AT = ("USER {u}@{h}", "?PASS {p}")

FILEZILLA = forms(
    "FileZilla",
    manners.FILEZILLA,
    (
        ("1", skipping(*_FZ_AT), OPEN_DOORS),
        ("1 with proxy user", skipping(*_FZ_PROXY, *_FZ_AT), ALL),
        ("2", skipping("SITE {h}", *_FZ_SERVER), OPEN_DOORS),
        ("2 with proxy user", skipping(*_FZ_PROXY, "SITE {h}", *_FZ_SERVER), ALL),
        ("3", skipping("OPEN {h}", *_FZ_SERVER), OPEN_DOORS),
        ("3 with proxy user", skipping(*_FZ_PROXY, "OPEN {h}", *_FZ_SERVER), ALL),
        (
            "4 SITE",
            scripted("USER %s", "PASS %w", "SITE %h", "USER %u", "PASS %p"),
            ALL,
        ),
        ("4 user@host", scripted("USER %s", "PASS %w", "USER %u@%h", "PASS %p"), ALL),
        ("4 joined", scripted("USER %u@%s@%h", "PASS %p@%w"), ACCOUNT),
        (
            "4 proxyuser@host",
            scripted("USER %s@%h", "PASS %w", "USER %u", "PASS %p"),
            REQUIRED,
        ),
        ("4 ACCT", scripted("USER %u@%h %s", "PASS %p", "ACCT %w"), ALL),
        (
            "4 OPEN first",
            scripted("OPEN %h", "USER %s", "PASS %w", "USER %u", "PASS %p"),
            REQUIRED,
        ),
        ("4 ACCT host", scripted("USER %u", "PASS %p", "ACCT %h"), OPEN_DOORS),
        ("4 RESP", scripted("USER %u@%h", "PASS %p", "AUTH %s", "RESP %w"), REQUIRED),
    ),
    before=("AUTH TLS", "AUTH SSL"),
)

# NcFTP's firewall-type. It tells the port in types 8 and 9 only.

_NC_PROXY = (
    ("USER {fu}", {331: 1, 230: 2}),
    ("PASS {fp}", {230: 2, 220: 3, 332: OUT}),
)
_NC_USER, _NC_PASS = (("USER {u}", {331: 4, 230: IN}), ("PASS {p}", {230: IN}))
_NC_LAST = ("PASS {p}", {230: IN, 332: 2})
_NC_ACCT = ("ACCT {fp}", {230: IN})


def _nc_naming(verb: str) -> Steps:
    naming = (verb + " {h}", {220: 3, 331: 4, 230: IN})
    return exact(*_NC_PROXY, naming, _NC_USER, _NC_PASS)


NCFTP = forms(
    "NcFTP",
    manners.NCFTP,
    (
        (
            "1",
            exact(("USER {u}@{h}", {331: 1, 230: IN}), _NC_LAST, _NC_ACCT),
            OPEN_DOORS,
        ),
        (
            "2",
            exact(
                ("USER {fu}", {331: 1, 230: 2}),
                ("PASS {fp}", {230: 2}),
                ("USER {u}@{h}", {331: 3, 230: IN}),
                ("PASS {p}", {230: IN}),
            ),
            ALL,
        ),
        ("3", _nc_naming("SITE"), ALL),
        ("4", _nc_naming("OPEN"), ALL),
        (
            "5",
            exact(
                ("USER {u}@{fu}@{h}", {331: 1, 230: IN}),
                ("PASS {p}@{fp}", {230: IN, 332: 2}),
                _NC_ACCT,
            ),
            ACCOUNT,
        ),
        (
            "6",
            exact(
                ("USER {fu}@{h}", {331: 1, 230: 2}),
                ("PASS {fp}", {230: 2, 220: 2}),
                ("USER {u}", {331: 3, 230: IN}),
                ("PASS {p}", {230: IN}),
            ),
            REQUIRED,
        ),
        (
            "7",
            exact(("USER {u}@{h} {fu}", {331: 1, 230: IN}), _NC_LAST, _NC_ACCT),
            ALL,
        ),
    ),
    has_port=False,
) + forms(
    "NcFTP",
    manners.NCFTP,
    (
        (
            "8",
            exact(("USER {u}@{a}:{n}", {331: 1, 230: IN}), _NC_LAST, _NC_ACCT),
            OPEN_DOORS,
        ),
        (
            "9",
            exact(("USER {u}@{a} {n}", {331: 1, 230: IN}), _NC_LAST, _NC_ACCT),
            OPEN_DOORS,
        ),
    ),
)

# Net::FTP's FirewallType. It never tells a port; without an entry in .netrc it sends
# the proxy's USER and PASS with nothing in them.

NET_FTP = forms(
    "Net::FTP",
    manners.NET_FTP,
    (
        ("1", perl(*AT), OPEN_DOORS),
        ("2", perl(*PROXY, *AT), WITH_EMPTY),
        ("3", perl(*PROXY, "SITE {h}", *SERVER), WITH_EMPTY),
        ("4", perl(*PROXY, "OPEN {h}", *SERVER), WITH_EMPTY),
        ("5", perl("USER {u}@{fu}@{h}", "PASS {p}@{fp}"), ACCOUNT),
        ("6", perl("USER {fu}@{h}", "PASS {fp}", *SERVER), (*REQUIRED, "empty")),
        ("7", perl_authorize(*AT), REQUIRED),
    ),
    has_port=False,
)

# lftp's ftp:proxy-auth-type. AUTH goes to the proxy once it has named the server.

LFTP = forms(
    "lftp",
    manners.LFTP,
    (
        ("without proxy user", lftp(*AT), OPEN_DOORS),
        ("user", lftp(*PROXY, *AT), ALL),
        ("joined", lftp("USER {u}@{fu}@{h}", "PASS {p}@{fp}"), ACCOUNT),
        ("joined-acct", lftp("USER {u}@{h} {fu}", "PASS {p}", "ACCT {fp}"), ALL),
        ("open", lftp(*PROXY, "OPEN {h}", "AUTH TLS", *SERVER), ALL),
        ("open without proxy user", lftp("OPEN {h}", "AUTH TLS", *SERVER), OPEN_DOORS),
        (
            "proxy-user@host",
            lftp("USER {fu}@{h}", "PASS {fp}", "AUTH TLS", *SERVER),
            REQUIRED,
        ),
    ),
)

# curl without -x: the server's name is part of -u.

CURL = forms(
    "curl",
    manners.CURL,
    (
        ("-u u@h:p", curl(*AT), OPEN_DOORS),
        ("-u u@fu@h:p@fp", curl("USER {u}@{fu}@{h}", "PASS {p}@{fp}"), ACCOUNT),
        (
            "--ftp-account",
            curl("USER {u}@{h} {fu}", "PASS {p}", "ACCT {fp}"),
            ALL,
        ),
    ),
)

# gFTP's proxy types. The port is told where its name says so.

GFTP = forms(
    "gFTP",
    manners.GFTP,
    (
        ("SITE command", plain(*PROXY, "SITE {h}", *SERVER), WITH_EMPTY),
        ("user@host", plain(*PROXY, *AT), WITH_EMPTY),
        (
            "AUTHENTICATE",
            plain(*AT, "SITE AUTHENTICATE {fu}", "SITE RESPONSE {fp}"),
            REQUIRED,
        ),
        ("user@host NOAUTH", plain(*AT), OPEN_DOORS),
    ),
    has_port=False,
) + forms(
    "gFTP",
    manners.GFTP,
    (
        ("user@host:port", plain("USER {u}@{a}:{n}", "PASS {p}"), OPEN_DOORS),
        ("user@host port", plain("USER {u}@{a} {n}", "PASS {p}"), OPEN_DOORS),
    ),
)

# Clients that take a proxy for a server whose users have odd names.

_WGET = (Step(AT[0], {"230": IN, "331": 1}), Step(AT[1], {"2": IN}))

SIMPLE = (
    *forms("tnftp", manners.TNFTP, [("gate", asked(*AT), OPEN_DOORS)], has_port=False),
    *forms("wget", manners.WGET, [("user@host", _WGET, OPEN_DOORS)]),
    *forms("ftplib", manners.FTPLIB, [("user@host", asked(*AT), OPEN_DOORS)]),
)

# Commercial clients and libraries, as their settings are documented.

COMMERCIAL = forms(
    "FluentFTP",
    manners.FLUENT,
    (
        ("user@host", asked(*AT, again=True), OPEN_DOORS),
        ("user@host with proxy user", asked(*PROXY, *AT, again=True), ALL),
    ),
) + forms(
    "commercial",
    manners.OLD,
    (
        ("FtpUser", asked(*AT), OPEN_DOORS),
        ("FtpSite", plain("SITE {h}", *SERVER), OPEN_DOORS),
        ("FtpOpen", plain("OPEN {h}", *SERVER), OPEN_DOORS),
        ("HCL USERLOGON", plain(*PROXY, *AT), WITH_EMPTY),
        ("HCL SITE", plain(*PROXY, "SITE {h}", *SERVER), WITH_EMPTY),
        ("HCL OPEN", plain(*PROXY, "OPEN {h}", *SERVER), WITH_EMPTY),
        ("HCL USERFWPASS", plain("USER {u}@{fu}@{h}", "PASS {p}@{fp}"), ACCOUNT),
        ("HCL USERFW", plain("USER {u}@{h} {fu}", "PASS {p}", "ACCT {fp}"), ALL),
        ("Reflection transparent", plain("OPEN {h}", *PROXY, *SERVER), REQUIRED),
        ("USER/PASS/ACCT", plain(*SERVER, "ACCT {h}"), OPEN_DOORS),
        ("eric", plain(*AT, "AUTH {fu}", "RESP {fp}"), REQUIRED),
    ),
)

# Scripts that were written for other proxies.

SCRIPTS = forms(
    "script",
    manners.OLD,
    (
        ("ftp.proxy", plain("USER {fu}:{u}@{h}", "PASS {fp}:{p}"), COLON),
        ("3proxy", plain("USER {fu}:{fp}:{u}@{h}", "PASS {p}"), COLON),
        ("3proxy, in one", plain("USER {fu}:{fp}:{u}:{p}@{h}", "PASS x"), COLON),
    ),
)

# The dialogues that people typed before there were settings.


def _typed(name: str, *rows: tuple[str, str], heard: tuple[str, str]) -> Form:
    """Return a dialogue, each line with the one code that it must get."""
    steps = tuple(
        Step(line, {code: at + 1 if at + 1 < len(rows) else IN})
        for at, (line, code) in enumerate(rows)
    )
    return Form("classic", name, steps, ("none",), manners.OLD, heard=heard)


_MAIL = "PASS joe@example.org"

CLASSIC = (
    _typed(
        "site",
        ("USER", "331"),
        ("PASS", "230"),
        ("site {h}", "220"),
        heard=("USER anonymous", "PASS anonymous@"),
    ),
    _typed(
        "open",
        ("USER", "331"),
        (_MAIL, "230"),
        ("open {h}", "220"),
        heard=("USER anonymous", _MAIL),
    ),
    _typed(
        "password first",
        ("USER", "331"),
        ("PASS secret", "230"),
        ("USER anonymous@{h}", "230"),
        heard=("USER anonymous", "PASS secret"),
    ),
    _typed(
        "at once",
        ("USER anonymous@{h}", "331"),
        (_MAIL, "230"),
        heard=("USER anonymous", _MAIL),
    ),
)

FORMS = (
    *WINSCP,
    *FILEZILLA,
    *NCFTP,
    *NET_FTP,
    *LFTP,
    *CURL,
    *GFTP,
    *SIMPLE,
    *COMMERCIAL,
    *SCRIPTS,
    *CLASSIC,
)

# Two logins and no server's name: the gateway's, then that of the server it leads to.

_SCP_FIXED = table(
    ("USER {fu}", 2, 1), _FP, ("USER {u}", IN, 3), ("PASS {p}", IN, 4), _DEFAULT
)

DOUBLE = (
    *forms("WinSCP 4", manners.WINSCP, (("4", _SCP_FIXED, REQUIRED),)),
    *forms(
        "DoubleLogin",
        (),
        (("", plain("USER {fu}", "PASS {fp}", "USER {u}", "PASS {p}"), REQUIRED),),
    ),
)
