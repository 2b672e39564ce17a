"""Where the ledger is kept, as it is written."""

import pytest
from msgspec.structs import replace
from tests.unit.config.test_checks import changed, wrong

from portway.config.checks import check
from portway.config.schema import Ledger
from portway.config.secret import Secret
from portway.config.stores import SQLITE, StoreAt, label, read_store
from portway.units import Size

DATABASE = StoreAt("postgresql://portway@db.example.org/log")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u@db/log", "postgresql://db/log"),
        ("postgres://db.example.org:5433/log", "postgresql://db.example.org:5433/log"),
        ("postgresql://u@[2001:db8::1]:5432/x", "postgresql://[2001:db8::1]:5432/x"),
        ("postgresql://u@a:1,b:2/x?sslmode=require", "postgresql://a:1,b:2/x"),
        ("postgresql:///log?host=/run/postgresql", "postgresql:///run/postgresql/log"),
        ("postgresql://u@%2Frun%2Fpg/log", "postgresql://%2Frun%2Fpg/log"),
        ("postgresql://db?dbname=log&user=u", "postgresql://db/log"),
    ],
)
def test_a_url_is_taken_as_it_is(text: str, shown: str) -> None:
    assert read_store(text) == text
    assert label(text) == shown


def test_the_file_of_the_state_folder() -> None:
    assert read_store("sqlite") == SQLITE


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (3, '"sqlite", or a URL, not a number'),
        ("", 'must be "sqlite", or a URL like'),
        ("sqlite3", 'not "sqlite3"'),
        ("mysql://u:s3cret@db/x", 'must be "sqlite", or a URL like'),
        ("postgresql", "is no URL of a database"),
        ("postgresql:/u@db/x", "is no URL of a database"),
        ("postgresql:bob:s3cret@db/x", "is no URL of a database"),
        ("postgresql://u:s3cret@db/x", "a password is not written here"),
        ("postgresql://u:s3c@ret@db/x", "a password is not written here"),
        ("postgresql://u@s3cret@db/x", "is no URL with a host"),
        ("postgresql://db/x?user=u&password=s3cret", "a password is not written here"),
        ("postgresql://db/x?sslpassword=s3cret", "a password is not written here"),
        ("postgresql://db:s3cret/x", "is no URL with a host"),
        ("postgresql://[db/x", "is no URL; write it like"),
        ("postgresql://db/x?s3cret", "is no URL; write it like"),
        ("postgresql://db/x#s3cret", "is no URL of a database"),
        ("postgresql://db", "names no database"),
        ("postgresql://db/", "names no database"),
        ("postgresql://db/x?options=-csynchronous_commit%3Doff", '"options" is no'),
        ("postgresql://db/x\n", "control character"),
    ],
)
def test_what_is_refused_and_repeats_no_password(value: object, found: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_store(value)
    assert found in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_what_does_not_go_together() -> None:
    ledger = Ledger(store=DATABASE, password=Secret("x"))
    assert [*check(changed(ledger=ledger))] == []
    sized = replace(ledger, max_size=Size(1 << 30))
    (text,) = wrong(ledger=sized).values()
    assert "PostgreSQL keeps its own house" in text
    assert wrong(ledger=Ledger(password=Secret("x"))) == {
        ("ledger", "password"): (
            "is for a PostgreSQL store; write its URL as store, or take it out"
        )
    }
