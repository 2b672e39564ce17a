import pytest

from portway.users.ber import INTEGER, OCTETS, Reader, element, flag, number, total


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "020100"), (127, "02017f"), (128, "02020080"), (65536, "0203010000")],
)
def test_numbers(value: int, encoded: str) -> None:
    assert number(value) == bytes.fromhex(encoded)
    assert Reader(number(value)).take_number() == value


@pytest.mark.parametrize(
    ("size", "head"),
    [(0, "0400"), (127, "047f"), (128, "048180"), (256, "04820100")],
)
def test_lengths(size: int, head: str) -> None:
    made = element(OCTETS, bytes(size))
    assert made == bytes.fromhex(head) + bytes(size)
    assert total(made) == len(made)
    assert Reader(made).take(OCTETS) == bytes(size)


def test_flags() -> None:
    assert flag(value=True) == b"\x01\x01\xff"
    assert flag(value=False) == b"\x01\x01\0"


@pytest.mark.parametrize("cut", range(5))
def test_more_is_needed(cut: int) -> None:
    whole = element(OCTETS, bytes(300))
    assert total(whole[:cut]) in {None, len(whole)}
    with pytest.raises(ValueError, match="cut"):
        Reader(whole[:cut]).next()


@pytest.mark.parametrize("data", ["3080", "3085ffffffffff", "30ff"])
def test_lengths_of_no_use(data: str) -> None:
    with pytest.raises(ValueError, match="length"):
        total(bytes.fromhex(data))


def test_another_tag_than_the_one_that_must_be() -> None:
    with pytest.raises(ValueError, match="0x4 in the place of 0x2"):
        Reader(element(OCTETS, b"x")).take(INTEGER)


def test_one_after_the_other() -> None:
    reader = Reader(number(1) + number(2))
    assert reader.take_number() == 1
    assert reader
    assert reader.take_number() == 2
    assert not reader
