import pytest

from portway.users import radius_packet as packets

# RFC 2865, section 7.1
SECRET = b"xyzzy5461"
AUTHENTICATOR = bytes.fromhex("0f403f9473978057bd83d5cb98f4227a")
ACCEPT = bytes.fromhex(
    "0200002686fe220e7624ba2a1005f6bf9b55e0b20606000000010f06000000000e06c0a80103"
)


def test_the_password_of_the_rfc() -> None:
    hidden = packets.hidden(b"arctangent", SECRET, AUTHENTICATOR)
    assert hidden == bytes.fromhex("0dbe708d93d413ce3196e43f782a0aee")


@pytest.mark.parametrize(
    ("size", "hidden"), [(0, 16), (1, 16), (16, 16), (17, 32), (128, 128)]
)
def test_how_long_a_hidden_password_is(size: int, hidden: int) -> None:
    assert len(packets.hidden(b"x" * size, b"s", AUTHENTICATOR)) == hidden


def test_the_answer_of_the_rfc_is_not_signed() -> None:
    """It was right in its day; its authenticator alone is not enough in ours."""
    question = packets.Request(b"\1\0\0\x38" + AUTHENTICATOR, SECRET)
    with pytest.raises(ValueError, match="no Message-Authenticator"):
        packets.read_answer(ACCEPT, question)
    with pytest.raises(ValueError, match="wrong authenticator"):
        packets.read_answer(ACCEPT[:-1] + b"\4", question)


def test_a_request_shows_no_secret() -> None:
    made = packets.request(
        b"nemo",
        b"arctangent",
        SECRET,
        b"nas",
        identifier=7,
        authenticator=AUTHENTICATOR,
    )
    assert made.identifier == 7
    assert made.authenticator == AUTHENTICATOR
    assert "xyzzy" not in repr(made)
    assert "arctangent" not in repr(made)
    assert b"arctangent" not in made.packet
