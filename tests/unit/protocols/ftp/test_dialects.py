import pytest

from portway.errors import ProtocolError
from portway.model import Endpoint, Side
from portway.protocols.ftp.dialects import (
    METHODS,
    BadTarget,
    Candidate,
    Context,
    Place,
    candidates,
    read_place,
    split,
    split_place,
)

NONE = Context(("site", "open", "user@host"))
OPTIONAL = Context(("joined", "acct", "site", "open", "user@host"), "optional")
REQUIRED = Context(
    ("joined", "acct", "site", "open", "user@host", "proxyuser@host", "resp"),
    "required",
)
STANDING = Context(REQUIRED.methods, "required", standing=True)
HOST = Endpoint("ftp.example.org", 21)


def methods(argument: bytes, context: Context) -> list[str]:
    return [candidate.method for candidate in candidates(argument, context)]


def only(argument: bytes, context: Context, method: str) -> Candidate:
    (candidate,) = (
        found for found in candidates(argument, context) if found.method == method
    )
    return candidate


# Places.


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"ftp.example.org", Place("ftp.example.org")),
        (b"FTP.Example.ORG.", Place("ftp.example.org")),
        (b"my_host-1", Place("my_host-1")),
        (b"localhost", Place("localhost")),
        (b"h:2121", Place("h", 2121)),
        (b"h,2121", Place("h", 2121)),
        (b"h 2121", Place("h", 2121)),
        (b"h  2121 ", Place("h", 2121)),
        (b"h 2121 bob", Place("h", 2121, b"bob")),
        (b"h bob", Place("h", None, b"bob")),
        (b"h:2121 bob", Place("h", 2121, b"bob")),
        (b"h:2121 1234", Place("h", 2121, b"1234")),
        (b"h,2121 1234", Place("h", 2121, b"1234")),
        (b"h 2121 1234", Place("h", 2121, b"1234")),
        (b"192.0.2.1:2121", Place("192.0.2.1", 2121)),
        (b"[2001:DB8::1]", Place("2001:db8::1")),
        (b"[2001:db8::1]:2121", Place("2001:db8::1", 2121)),
        (b"[2001:db8::1],2121", Place("2001:db8::1", 2121)),
        (b"[2001:db8::1] 2121", Place("2001:db8::1", 2121)),
        (b"[2001:db8::1] 2121 bob", Place("2001:db8::1", 2121, b"bob")),
        (b"[2001:db8::1]:2121 7", Place("2001:db8::1", 2121, b"7")),
        (b"[::1]", Place("::1")),
        (b"[::ffff:192.0.2.1]:21", Place("192.0.2.1", 21)),
        ("b\u00fccher.example".encode(), Place("xn--bcher-kva.example")),
        (b"h 00021", Place("h", 21)),
        (b"a.b.c.1x", Place("a.b.c.1x")),
        (b"0xg.0xag", Place("0xg.0xag")),
        (b"x" * 63 + b".example", Place("x" * 63 + ".example")),
    ],
)
def test_places(text: bytes, place: Place) -> None:
    assert read_place(text) == place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        # No address as a whole, but one before the last group.
        (b"1:2:3:4:5:6:7:8:2121", Place("1:2:3:4:5:6:7:8", 2121)),
        (b"2001:db8::1:50021", Place("2001:db8::1", 50021)),
        (b"2001:db8:::2121", Place("2001:db8::", 2121)),
        (b"::ffff:192.0.2.1:21", Place("192.0.2.1", 21)),
        # Both readings are addresses.
        (b"2001:db8::1:2121", Place("2001:db8::1", 2121)),
        (b"2001:db8::1:21", Place("2001:db8::1", 21)),
        (b"2001:db8::1:990", Place("2001:db8::1", 990)),
        (b"2001:db8::1:1000", Place("2001:db8::1", 1000)),
        (b"2001:db8::1:999", Place("2001:db8::1:999")),
        (b"2001:db8::1:0021", Place("2001:db8::1:21")),
        (b"fe80::10:20", Place("fe80::10:20")),
        # Only the whole is one.
        (b"1:2:3:4:5:6:7:2121", Place("1:2:3:4:5:6:7:2121")),
        (b"::ffff:192.0.2.1", Place("192.0.2.1")),
        (b"2001:db8::1", Place("2001:db8::1")),
        (b"2001:db8::abcd", Place("2001:db8::abcd")),
        # A word behind.
        (b"2001:db8::1 2121", Place("2001:db8::1", 2121)),
        (b"2001:db8::1:2121 2121", Place("2001:db8::1", 2121, b"2121")),
        (b"2001:db8::1,2121", Place("2001:db8::1", 2121)),
    ],
)
def test_ipv6_without_brackets(text: bytes, place: Place) -> None:
    assert read_place(text) == place


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b" h",
        b"h:",
        b"h,",
        b":21",
        b"h:0",
        b"h 0",
        b"h:65536",
        b"h 99999",
        b"h:021210",
        b"h:+21",
        b"h:2x",
        b"h:\xb2",
        b"h bob 2121",
        b"h 2121 bob x",
        b"h:21:22",
        b"2130706433",
        b"127.1",
        b"0x7f000001",
        b"0x7f.1",
        b"a.0x",
        b"1.2.3.256",
        b"01.2.3.4",
        b"1.2.3.4.",
        b"1.2.3.4.5",
        b"a..b",
        b".a",
        b"a.b..",
        b".",
        b"-" * 64,
        b"a" * 64 + b".example",
        b".".join([b"a" * 49] * 6),
        b"a/b",
        b"a%41",
        b"a\x00",
        b"fe80::1%eth0",
        b"[fe80::1%eth0]",
        b"[::1",
        b"::1]",
        b"[::1]x",
        b"[::1]:",
        b"[h]",
        b"[192.0.2.1]",
        b"[]",
        b"\xff\xfe.example",
        "\uff11\uff12\uff17\uff0e\uff11".encode(),
        "a\u2100b".encode(),
        "\u00ad".encode() * 300 + b"a",
    ],
)
def test_bad_places(text: bytes) -> None:
    with pytest.raises(BadTarget) as caught:
        read_place(text)
    assert isinstance(caught.value, ProtocolError)
    assert caught.value.side is Side.CLIENT


def test_the_last_at_divides() -> None:
    named = split(b"bob@dom@ftp.example.org:2121")
    assert named.user == b"bob@dom"
    assert named.place.endpoint() == Endpoint("ftp.example.org", 2121)
    assert split(b"a:b@[::1]").user == b"a:b"
    assert split(b"@h").user == b""
    with pytest.raises(BadTarget):
        split(b"bob")


def test_site_and_open_take_a_place_and_no_word() -> None:
    assert split_place(b"ftp.example.org ") == HOST
    assert split_place(b"h 2121") == Endpoint("h", 2121)
    assert split_place(b"h", 990) == Endpoint("h", 990)
    for text in (b"h bob", b"CHMOD 600 f", b"bob@h", b""):
        with pytest.raises(BadTarget):
            split_place(text)


# What a USER may mean.


@pytest.mark.parametrize("context", [NONE, OPTIONAL, REQUIRED, STANDING])
def test_a_name_without_at_is_a_plain_name(context: Context) -> None:
    for name in (b"", b"bob", b"fu:u", b"bob smith"):
        assert candidates(name, context) == ()


def test_where_no_method_reads_names_an_at_is_part_of_the_name() -> None:
    for listed in ((), ("site", "open")):
        assert candidates(b"bob@no host!", Context(listed)) == ()


@pytest.mark.parametrize("context", [NONE, OPTIONAL, REQUIRED, STANDING])
def test_a_bad_place_is_refused(context: Context) -> None:
    with pytest.raises(BadTarget):
        candidates(b"bob@127.1", context)


@pytest.mark.parametrize(
    ("argument", "context", "fitting"),
    [
        # A, B, I.
        (b"bob@h", NONE, ["user@host"]),
        (b"bob@h", OPTIONAL, ["user@host"]),
        (b"bob@h 2121", OPTIONAL, ["user@host"]),
        (b"bob@h", STANDING, ["user@host"]),
        (b"bob@h alice", STANDING, ["user@host"]),
        (b"bob@alice@h", STANDING, ["user@host"]),
        (b"bob@alice@h", NONE, ["user@host"]),
        # E, J.
        (b"bob@h", REQUIRED, ["proxyuser@host", "resp"]),
        (b"bob@h ", REQUIRED, ["proxyuser@host", "resp"]),
        (b"@h", REQUIRED, []),
        # F.
        (b"bob@alice@h", OPTIONAL, ["joined", "user@host"]),
        (b"bob@alice@h", REQUIRED, ["joined", "proxyuser@host", "resp"]),
        (b"bob@@h", OPTIONAL, ["user@host"]),
        # G.
        (b"bob@h alice", OPTIONAL, ["acct", "user@host"]),
        (b"bob@h alice", REQUIRED, ["acct"]),
        (b"bob@h 2121 alice", REQUIRED, ["acct"]),
        (b"bob@h:2121 1234", REQUIRED, ["acct"]),
        (b"bob@h alice", NONE, ["user@host"]),
    ],
)
def test_what_fits(argument: bytes, context: Context, fitting: list[str]) -> None:
    assert methods(argument, context) == fitting


@pytest.mark.parametrize(
    ("argument", "fits"),
    [
        (b"u@h", False),
        (b"fu:u@h", True),
        (b"fu:fp:u@h", True),
        (b"fu:fp:u:p@h", True),
        (b"fu:fp:u:p:x@h", False),
        (b"u@h:2121", False),
        (b"u@2001:db8::1", False),
    ],
)
def test_colon_counts_only_left_of_the_host(argument: bytes, *, fits: bool) -> None:
    context = Context(("colon",), "required")
    assert methods(argument, context) == (["colon"] if fits else [])
    assert methods(argument, Context(("colon",), "none")) == []
    assert methods(argument, Context(("colon",), "required", standing=True)) == []


def test_proxyuser_at_host_under_each_login() -> None:
    listed = ("proxyuser@host",)
    assert not only(b"x@h", Context(listed, "none"), *listed).only_if_known
    assert only(b"x@h", Context(listed, "optional"), *listed).only_if_known
    assert not only(b"x@h", Context(listed, "required"), *listed).only_if_known
    assert methods(b"x@h", Context(listed, "optional", standing=True)) == []
    assert methods(b"x@h w", Context(listed, "required")) == []


def test_resp_only_where_a_login_is_required() -> None:
    assert methods(b"x@h", Context(("resp",), "optional")) == []


def test_candidates_come_in_the_order_of_the_methods() -> None:
    context = Context(tuple(reversed(METHODS)), "required")
    assert methods(b"bob@alice@h", context) == ["resp", "proxyuser@host", "joined"]


def test_each_reading_says_who_is_who() -> None:
    assert only(b"bob@ftp.example.org", NONE, "user@host") == Candidate(
        "user@host", b"bob", HOST
    )
    assert only(b"bob@ftp.example.org x", NONE, "user@host").has_word
    assert only(b"b@c@alice@ftp.example.org", OPTIONAL, "joined") == Candidate(
        "joined", b"b@c", HOST, b"alice", only_if_known=True
    )
    assert only(b"bob@ftp.example.org alice", OPTIONAL, "acct") == Candidate(
        "acct", b"bob", HOST, b"alice"
    )
    assert only(b"alice@ftp.example.org", REQUIRED, "proxyuser@host") == Candidate(
        "proxyuser@host", b"", HOST, b"alice"
    )
    assert only(b"bob@ftp.example.org", REQUIRED, "resp") == Candidate(
        "resp", b"bob", HOST
    )
    context = Context(("user@host",), default_port=990)
    assert only(b"bob@h", context, "user@host").place == Endpoint("h", 990)


@pytest.mark.parametrize(
    ("argument", "context", "method", "word", "passwords"),
    [
        (b"u@h", NONE, "user@host", b"p@q", (b"p@q", None)),
        (b"u@fu@h", OPTIONAL, "joined", b"p@q@fp", (b"p@q", b"fp")),
        (b"u@fu@h", OPTIONAL, "joined", b"p", (b"p", None)),
        (b"u@fu@h", OPTIONAL, "joined", b"@", (b"", b"")),
        (b"u@h fu", OPTIONAL, "acct", b"p", (b"p", None)),
        (b"fu@h", REQUIRED, "proxyuser@host", b"fp@x", (None, b"fp@x")),
        (b"u@h", REQUIRED, "resp", b"p", (b"p", None)),
    ],
)
def test_whose_password_it_is(
    argument: bytes,
    context: Context,
    method: str,
    word: bytes,
    passwords: tuple[bytes | None, bytes | None],
) -> None:
    assert only(argument, context, method).split_password(word) == passwords


@pytest.mark.parametrize(
    ("argument", "user", "word", "passwords"),
    [
        (b"fu:u@h", b"u", b"fp:p:q", (b"p:q", b"fp")),
        (b"fu:u@h", b"u", b"fp", (b"fp", None)),
        (b"fu:fp:u@h", b"u", b"p:q", (b"p:q", b"fp")),
        (b"fu:fp:u:p@h", b"u", b"x", (b"p", b"fp")),
        (b"fu:fp:u:@h", b"u", b"x", (b"", b"fp")),
    ],
)
def test_colon_passwords(
    argument: bytes,
    user: bytes,
    word: bytes,
    passwords: tuple[bytes | None, bytes | None],
) -> None:
    candidate = only(argument, Context(("colon",), "required"), "colon")
    assert (candidate.account, candidate.user) == (b"fu", user)
    assert candidate.split_password(word) == passwords


def test_no_password_shows_in_a_repr() -> None:
    context = Context(("colon",), "required")
    assert "s3cret" not in repr(candidates(b"fu:s3cret:u:s3cret@h", context))


# A fixed server.


def test_with_a_fixed_server_joined_needs_no_host() -> None:
    context = Context(("joined",), "required", fixed=True)
    for account in (b"alice", b"alice smith", b"127.1"):
        (candidate,) = candidates(b"bob@" + account, context)
        assert candidate.user == b"bob"
        assert candidate.account == account
        assert candidate.only_if_known
        assert candidate.place == Endpoint("", 0)
        assert candidate.split_password(b"p@fp") == (b"p", b"fp")


def test_with_a_fixed_server_the_other_readings_stand_beside_it() -> None:
    context = Context(("joined", "user@host"), "optional", fixed=True)
    assert methods(b"bob@alice", context) == ["joined", "user@host"]
    assert methods(b"bob@127.1", context) == ["joined"]
    assert methods(b"bob@alice@h", context) == ["joined", "user@host"]
    assert only(b"bob@alice@h", context, "joined").place == Endpoint("h", 21)
    assert methods(b"bob@alice", Context(context.methods, fixed=True)) == ["user@host"]
