import pytest

from portway.users.ldap_filter import read_filter

PLACES = frozenset({"user", "dn"})


def made(text: str, user: bytes = b"joe") -> str:
    return read_filter(text, PLACES)({"user": user, "dn": b"cn=x"}).hex(" ")


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("(uid={user})", "a3 0a 04 03 75 69 64 04 03 6a 6f 65"),
        ("(uid=*)", "87 03 75 69 64"),
        ("(n>=5)", "a5 06 04 01 6e 04 01 35"),
        ("(n<=5)", "a6 06 04 01 6e 04 01 35"),
        ("(n~=5)", "a8 06 04 01 6e 04 01 35"),
        ("(!(n=5))", "a2 08 a3 06 04 01 6e 04 01 35"),
        ("(&(n=5)(m=6))", "a0 10 a3 06 04 01 6e 04 01 35 a3 06 04 01 6d 04 01 36"),
        ("(|(n=5))", "a1 08 a3 06 04 01 6e 04 01 35"),
        ("(n=a*)", "a4 08 04 01 6e 30 03 80 01 61"),
        ("(n=*a*b)", "a4 0b 04 01 6e 30 06 81 01 61 82 01 62"),
        ("(n=\\2a)", "a3 06 04 01 6e 04 01 2a"),
        ("(n=)", "a3 05 04 01 6e 04 00"),
        ("(n:=5)", "a9 06 82 01 6e 83 01 35"),
        ("(n:1.2:=5)", "a9 0b 81 03 31 2e 32 82 01 6e 83 01 35"),
        ("(n:dn:1.2:=5)", "a9 0e 81 03 31 2e 32 82 01 6e 83 01 35 84 01 ff"),
        ("(:1.2:=5)", "a9 08 81 03 31 2e 32 83 01 35"),
    ],
)
def test_what_goes_over_the_wire(text: str, wire: str) -> None:
    assert made(text) == wire


@pytest.mark.parametrize("name", [b"*", b"*)(uid=*", b"\\2a", b"{dn}", b"\0", b"\xff"])
def test_a_name_stays_a_name(name: bytes) -> None:
    """It is in the one value, as it is, however it looks."""
    size = len(name)
    head = bytes((0xA3, 7 + size, 4, 3)) + b"uid" + bytes((4, size))
    assert made("(uid={user})", name) == (head + name).hex(" ")
    part = made("(uid={user}*)", name)
    assert part.endswith((bytes((0x80, size)) + name).hex(" "))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", '"("'),
        ("uid=joe", '"("'),
        ("(uid=joe", '")"'),
        ("(uid=joe))", "behind"),
        ("(uid=joe)x", "behind"),
        ("(&)", "number"),
        ("(!(a=1)(b=2))", "number"),
        ("(&(a=1)", '")"'),
        ("(uid)", "no condition"),
        ("(=x)", "no condition"),
        ("(u d=x)", "no name"),
        ("(uid={name})", "stands for nothing"),
        ("(uid=\\2)", "two digits"),
        ("(uid=\\zz)", "two digits"),
        ("(uid={user)", "a name"),
        ("(:=x)", "no name"),
        ("(a:1.2:3.4:=x)", "no condition"),
        ("(!" * 99, "deep"),
    ],
)
def test_what_is_no_filter(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_filter(text, PLACES)
    assert words in str(caught.value)
