from portway.ledger.ids import first_id, new_id

DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def milliseconds(text: str) -> int:
    value = 0
    for digit in text[:10]:
        value = value * 32 + DIGITS.index(digit)
    return value


def test_an_id_is_a_ulid_of_its_time() -> None:
    found = new_id(1_795_428_000.123)
    assert len(found) == 26
    assert set(found) <= set(DIGITS)
    assert milliseconds(found) == 1_795_428_000_123


def test_the_known_times_of_the_specification() -> None:
    # the ULID specification: 1469918176385 is 01ARYZ6S41
    assert new_id(1469918176.385)[:10] == "01ARYZ6S41"
    assert new_id((2**48 - 1) / 1000)[:10] == "7ZZZZZZZZZ"


def test_ids_differ_and_sort_as_they_were_given() -> None:
    found = [new_id(1_795_428_000.0) for _ in range(10_000)]
    assert len(set(found)) == len(found)
    assert found == sorted(found)
    assert new_id(1_795_428_000.001) > found[-1]


def test_first_id_parts_what_was_before() -> None:
    assert new_id(99.999) < first_id(100.0) < new_id(100.0)
    assert first_id(-5.0) == "0" * 10
