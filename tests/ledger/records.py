"""Records for the ledger's tests."""

from portway.ledger.ids import new_id
from portway.model import Outcome, Record

NOON = 1_795_428_000.0  # 2026-11-23 10:00:00 UTC

BASE = Record(
    id="",
    time=NOON,
    duration=1.5,
    session="01KAQ0000000000000000000AA",
    seq=3,
    protocol="ftp",
    listener="ftp",
    mode="forward",
    client="10.0.0.7",
    client_port=40_000,
    user="alice",
    by="password",
    method="RETR",
    action="read",
    url="ftp://ftp.example.org/pub/a.zip",
    host="ftp.example.org",
    port=21,
    path="/pub/a.zip",
    address="203.0.113.7",
    source="192.0.2.1",
    verdict="allow",
    rule="staff",
    rule_at="portway.toml:48",
    outcome=Outcome.OK,
    status="226",
    bytes_down=10_240,
    server_login="joe",
    facts={"client_data": "passive", "server_data": "active"},
)


def record(after: float = 0.0, /, **values: object) -> Record:
    """Return a record that began *after* seconds after noon."""
    time = NOON + after
    given = {"id": new_id(time), "time": time} | values
    return BASE._replace(**given)  # type: ignore[arg-type]
