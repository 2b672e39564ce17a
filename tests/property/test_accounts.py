"""What servers of accounts may send: garbage is told from answers by ValueError."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.users import hashes, htpasswd
from portway.users import ldap_messages as messages
from portway.users import radius_packet as packets
from portway.users.ber import Reader, element, total
from portway.users.ldap_filter import read_filter

ASKED = packets.request(
    b"joe", b"s3cret", b"shared", b"nas", identifier=1, authenticator=bytes(16)
)
READ = (total, messages.read_message, messages.read_result, messages.read_entry)


@given(st.binary(max_size=200))
def test_no_bytes_make_ldap_fail_otherwise(data: bytes) -> None:
    for read in READ:
        with suppress(ValueError):
            read(data)
    assert isinstance(messages.common_name(data), str)


@given(st.binary(max_size=100))
def test_no_garbage_is_a_radius_answer(data: bytes) -> None:
    size = (len(data) + 4).to_bytes(2, "big")
    for head in (b"", b"\2\1", b"\2\1" + size):
        with pytest.raises(ValueError):
            packets.read_answer(head + data, ASKED)


@given(st.integers(0, 2**31), st.binary(max_size=300), st.binary(max_size=300))
def test_what_is_written_is_read(serial: int, dn: bytes, password: bytes) -> None:
    message = messages.read_message(
        messages.wrapped(serial, messages.bind(dn, password))
    )
    assert (message.number, message.tag) == (serial, messages.BIND)
    reader = Reader(message.content)
    assert reader.take_number() == 3
    assert (reader.take(4), reader.take(0x80)) == (dn, password)
    assert not reader


FIXED = read_filter("(&(a=1)(uid=x{user}y))", frozenset({"user"}))


@given(st.binary(max_size=300))
def test_a_name_changes_nothing_but_its_value(name: bytes) -> None:
    """The filter that goes out has the shape that was configured, whatever the name."""
    outer = Reader(Reader(FIXED({"user": name})).take(0xA0))
    first, second = outer.take(0xA3), Reader(outer.take(0xA3))
    assert first == element(4, b"a") + element(4, b"1")
    assert (second.take(4), second.take(4)) == (b"uid", b"x" + name + b"y")
    assert not second
    assert not outer


@given(st.text(alphabet="()&|!=<>~*\\{}:ab2u", max_size=30))
def test_a_filter_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        made = read_filter(text, frozenset({"user"}))({"user": b"x"})
        assert total(made) == len(made)


@given(st.text(max_size=200))
def test_a_file_is_read_whatever_it_holds(text: str) -> None:
    found = htpasswd.read(text)
    for hashed in found.hashes.values():
        assert hashed == htpasswd.LOCKED or not hashes.fault(hashed)
