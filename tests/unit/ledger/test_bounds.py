from tests.ledger.records import record

from portway.ledger.bounds import FACTS, FIELD, PATH, clean, fit


def test_what_is_within_the_bounds_stays_itself() -> None:
    given = record()
    assert clean(given) is given


def test_text_that_is_no_ascii_stays_as_it_is() -> None:
    given = record(user="Zoë", path="/наука/文書")
    assert clean(given) == given


def test_bytes_that_are_no_utf8_are_shown_as_such() -> None:
    path = b"/caf\xe9".decode(errors="surrogateescape")
    assert clean(record(path=path)).path == "/caf%E9"


def test_long_fields_are_cut_visibly() -> None:
    found = clean(
        record(path="/" * 5000, error="é" * 5000, facts={"claimed": "x" * 5000})
    )
    assert len(found.path.encode()) <= PATH
    assert len(found.error.encode()) <= FIELD
    assert found.error.endswith("é…")
    assert len(found.facts["claimed"].encode()) <= FIELD
    assert found.path.endswith("/…")


def test_facts_are_bounded_together() -> None:
    found = clean(record(facts={f"fact{number}": "x" * 1000 for number in range(100)}))
    assert 0 < sum(map(len, found.facts.values())) <= FACTS


def test_a_cut_is_made_between_characters() -> None:
    assert fit("ééé", 5) == "é…"
    assert fit("abc", 3) == "abc"
