import pytest

from portway.users import ldap_messages as messages
from portway.users.ber import element, number


def test_a_bind() -> None:
    made = messages.wrapped(1, messages.bind(b"cn=a", b"pw"))
    wire = "30 12 02 01 01 60 0d 02 01 03 04 04 63 6e 3d 61 80 02 70 77"
    assert made == bytes.fromhex(wire)


def test_starttls_and_goodbye() -> None:
    assert messages.start_tls() == b"\x77\x18\x80\x16" + messages.START_TLS
    assert messages.wrapped(2, messages.unbind()).hex() == "30050201024200"


def test_a_search() -> None:
    made = messages.search(b"dc=x", b"\x87\x01a", ["uid"], 2, 5)
    numbers = bytes.fromhex("0a0102 0a0100") + number(2) + number(5) + b"\1\1\0"
    asked = element(4, b"dc=x") + numbers + b"\x87\x01a"
    assert made == element(0x63, asked, element(0x30, element(4, b"uid")))


def test_an_answer() -> None:
    data = bytes.fromhex("300c02010161070a013104000400")
    message = messages.read_message(data)
    assert (message.number, message.tag) == (1, messages.BOUND)
    assert messages.read_result(message.content) == messages.INVALID_CREDENTIALS


def test_an_entry() -> None:
    values = element(0x31, element(4, b"joe"), element(4, b"jo"))
    listed = element(0x30, element(0x30, element(4, b"UID"), values))
    entry = messages.read_entry(element(4, b"uid=joe") + listed)
    assert entry.dn == b"uid=joe"
    assert entry.values("uid") == entry.values("Uid") == [b"joe", b"jo"]
    assert entry.values("cn") == ()


@pytest.mark.parametrize(
    "data", [b"", b"0", b"0\0", b"0\3\2\1\1", b"1\3\2\1\1", b"0\5\2\1\1a\1"]
)
def test_no_message(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut|place"):
        messages.read_message(data)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"cn=staff,ou=groups,dc=example", "staff"),
        (b"CN = Night shift , ou=x", "Night shift"),
        (b"cn=a\\,b,ou=x", "a,b"),
        (b"cn=a\\2Cb,ou=x", "a,b"),
        (b"cn=zo\\C3\\AB", "zo\xeb"),
        (b"cn=a+ou=b,dc=x", "a"),
        (b"staff", "staff"),
        (b"ou=staff,dc=x", "ou=staff,dc=x"),
        (b"\xff", "\ufffd"),
    ],
)
def test_the_common_name(value: bytes, name: str) -> None:
    assert messages.common_name(value) == name
