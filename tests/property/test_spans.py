"""A search through the spans finds what a look at every row would find."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.records import BASE, NOON

from portway.ledger import spans
from portway.ledger.bounds import clean
from portway.ledger.filters import Filters, conditions
from portway.ledger.forget import transaction
from portway.ledger.ids import first_id
from portway.ledger.query import SqliteDialect, is_inside, search
from portway.ledger.spans import extend
from portway.ledger.store import insert, migrate
from portway.model import Outcome, Record

ODD = st.text(st.sampled_from("aAbÄ./%_\\*[?\n\t71"), max_size=6)
FEW = st.sampled_from(["", "a", "A", "ab", "a*", "/a", "7", "b.a", "Ä"])
WORDS = st.one_of(FEW, FEW, ODD)  # many alike, so that there is something to find
CLIENTS = st.sampled_from(
    ["10.0.0.7", "10.0.1.7", "10.1.0.7", "2001:db8::7", "2001:db8:1::7", "::1", ""]
)
NETWORKS = st.sampled_from(
    ["10.0.0.7/32", "10.0.0.0/24", "10.0.0.0/15", "2001:db8::/32", "::/0", "0.0.0.0/0"]
)
RECORDS = st.lists(
    st.builds(
        lambda user, client, host, path, late, outcome: BASE._replace(
            user=user, client=client, host=host, path=path,
            address="10.0.0.9" if host == "a" else "", time=NOON + late,
            outcome=outcome,
        ),
        WORDS, CLIENTS, st.one_of(WORDS, st.just("10.0.0.9")), WORDS,
        st.integers(0, 20), st.sampled_from([Outcome.OK, Outcome.OPEN]),
    ),
    max_size=25,
)  # fmt: skip
FILTERS = st.builds(
    Filters,
    user=st.one_of(st.just(""), WORDS),
    client=st.one_of(st.none(), NETWORKS.map(ip_network)),
    host=st.one_of(st.just(""), WORDS, st.just("10.0.0.9")),
    path=st.one_of(st.just(""), WORDS),
    texts=st.one_of(st.just(()), st.tuples(WORDS.filter(bool))),
    since=st.one_of(st.none(), st.integers(0, 20).map(lambda n: NOON + n)),
    until=st.one_of(st.none(), st.integers(0, 20).map(lambda n: NOON + n)),
)


@given(RECORDS, FILTERS, st.one_of(st.none(), st.integers(0, 10)))
def test_all_is_found_in_order(
    records: list[Record], filters: Filters, limit: int | None
) -> None:
    with (
        patch.object(spans, "ROWS", 4),
        closing(sqlite3.connect(":memory:", isolation_level=None)) as connection,
    ):
        connection.create_function("inside", 2, is_inside)
        migrate(connection, Path("memory"))
        given_ids = [
            clean(each._replace(id=f"{first_id(each.time)}{number:016}"))
            for number, each in enumerate(records)
        ]
        insert(connection, given_ids)
        extend(connection, 0, len(records))
        where, values = conditions(
            replace(filters, since=None, until=None), SqliteDialect()
        )
        expected = [
            str(name)
            for name, time in connection.execute(
                f"SELECT id, time FROM records WHERE {' AND '.join(where)} ORDER BY id",
                values,
            )
            if (filters.since is None or time >= filters.since)
            and (filters.until is None or time < filters.until)
        ]
        if limit is not None:
            expected = expected[len(expected) - min(limit, len(expected)) :]
        asked = replace(filters, limit=limit)
        assert [name for (name,) in search(connection, asked, ["id"])] == expected
        with transaction(connection):
            connection.execute("DELETE FROM records")
        assert list(search(connection, asked, ["id"])) == []
