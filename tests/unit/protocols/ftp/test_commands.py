import pytest

from portway.model import Action
from portway.protocols.ftp.commands import (
    METHODS,
    VERBS,
    Kind,
    action_of,
    is_clear,
    kind_of,
    path_of,
)
from portway.protocols.ftp.wire import parse_command


@pytest.mark.parametrize(
    ("action", "verbs"),
    [
        (Action.READ, "RETR"),
        (Action.WRITE, "STOR STOU APPE COMB"),
        (Action.LIST, "LIST NLST MLSD MLST STAT"),
        (Action.DELETE, "DELE RMD XRMD RMDA"),
        (Action.MANAGE, "MKD XMKD RNFR RNTO MFMT MFCT MFF SITE MDTM"),
        (Action.CONNECT, "CONNECT"),
    ],
)
def test_what_each_method_does(action: Action, verbs: str) -> None:
    assert {verb for verb in METHODS if METHODS[verb] is action} == set(verbs.split())


@pytest.mark.parametrize(
    ("line", "action"),
    [
        (b"RETR f", Action.READ),
        (b"stor f", Action.WRITE),
        (b"STAT", None),
        (b"STAT ", None),
        (b"STAT /pub", Action.LIST),
        (b"MDTM f", None),
        (b"MDTM 20200101000000", None),
        (b"MDTM 2020 f", None),
        (b"MDTM 20200101000000 f", Action.MANAGE),
        (b"MDTM  20200101000000.123+60 f", Action.MANAGE),
        (b"SITE CHMOD 600 f", Action.MANAGE),
        (b"SIZE f", None),
        (b"CWD /", None),
        (b"XYZZY f", None),
        (b"LOGIN", None),
        (b"", None),
    ],
)
def test_what_each_command_does(line: bytes, action: Action | None) -> None:
    assert action_of(parse_command(line)) is action


def test_what_may_be_sent_ahead() -> None:
    ahead = {name for name, verb in VERBS.items() if verb.kind is Kind.AHEAD}
    listed = """
        CWD CDUP PWD TYPE STRU SIZE MDTM MLST MKD RMD DELE RNFR RNTO SITE OPTS NOOP
        SYST HELP ALLO MFMT STAT XCWD XCUP XPWD XMKD XRMD
    """
    assert ahead == set(listed.split())


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"STAT", Kind.BARRIER),
        (b"STAT /pub", Kind.AHEAD),
        (b"REST 100", Kind.BARRIER),
        (b"XYZZY", Kind.BARRIER),
        (b"", Kind.BARRIER),
        (b"PASV", Kind.DATA),
        (b"EPRT |1|1.2.3.4|5|", Kind.DATA),
        (b"RETR f", Kind.TRANSFER),
        (b"NLST", Kind.TRANSFER),
        (b"MLST f", Kind.AHEAD),
        (b"AUTH TLS", Kind.SECURITY),
        (b"CPSV", Kind.NOT_OFFERED),
    ],
)
def test_how_each_command_takes_its_place(line: bytes, kind: Kind) -> None:
    assert kind_of(parse_command(line)) is kind


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (b"RETR f", b"/home/f"),
        (b"STOR /in/f g", b"/in/f g"),
        (b"STOU", b"/home"),
        (b"LIST", b"/home"),
        (b"LIST -la", b"/home"),
        (b"LIST -l -a /pub/x y", b"/pub/x y"),
        (b"STAT -a ..", b"/"),
        (b"MLSD -x", b"/home/-x"),
        (b"MFMT 20200101000000 f", b"/home/f"),
        (b"MFF modify=20200101000000;mode=0600; a b", b"/home/a b"),
        (b"MDTM 20200101000000 f", b"/home/f"),
        (b"MDTM f", b"/home/f"),
        (b"CWD ../x", b"/x"),
        (b"SIZE f", b"/home/f"),
        (b"SITE CHMOD 600 f", b"/home/f"),
        (b"SITE chmod 600 /a b", b"/a b"),
        (b"SITE CHOWN me f", b"/home/f"),
        (b"SITE CPFR f", b"/home/f"),
        (b"SITE CPTO ../f", b"/f"),
        (b"SITE UTIME 202001010000 a b", b"/home/a b"),
        (b"SITE UTIME a b 20200101 20200101 20200101 UTC", b"/home/a b"),
        (b"SITE SYMLINK a b", b"/home/b"),
        (b"SITE COPY a /b", b"/b"),
        (b"SITE CHMOD 600", None),
        (b"SITE UMASK 022", None),
        (b"SITE EXEC /f", None),
        (b"SITE ", None),
        (b"SITE", None),
        (b"COMB f g h", b"/home/f"),
        (b'COMB "f g" "h"', b"/home/f g"),
        (b"COMB", b"/home"),
        (b"RMDA f", b"/home/f"),
        (b"TYPE I", None),
        (b"XYZZY f", None),
    ],
)
def test_the_path_a_command_is_about(line: bytes, path: bytes | None) -> None:
    assert path_of(parse_command(line), b"/home") == path


def test_only_what_names_a_path_has_one() -> None:
    with_action = {name for name, verb in VERBS.items() if verb.action}
    with_path = {name for name, verb in VERBS.items() if verb.has_path}
    assert with_action - with_path == {"SITE"}


@pytest.mark.parametrize(
    ("line", "clear"),
    [
        (b"SITE CHMOD 600 a b", True),
        (b"SITE CHMOD 600  f", False),
        (b"SITE CHMOD 600 f ", False),
        (b"SITE\tCHMOD 600 f", True),  # the first blank is the command's own
        (b"SITE CHMOD\t600 f", False),
        (b"SITE CHMOD 600 \\f", False),
        (b"SITE CHMOD 600 ~", False),
        (b"SITE CPTO f", True),
        (b"SITE SYMLINK a b", False),
        (b"SITE UTIME 20200101 f", True),
        (b"SITE UTIME f 20200101 20200101 20200101 UTC", True),
        (b"SITE UTIME 20200101 f 20200101 20200101 20200101 UTC", False),
        (b"SITE UMASK 022", True),
        (b"SITE EXEC  x", True),
        (b"COMB a b", False),
        (b"DELE \xff\xff", False),
        (b"DELE \xfff", True),
    ],
)
def test_whether_every_server_reads_the_same_path(line: bytes, clear: bool) -> None:
    assert is_clear(parse_command(line)) is clear
