from ipaddress import ip_network

import pytest

from portway.ledger.filters import Filters
from portway.ledger.spans import Part, hits, probes

TEXT = b"\n7\tftp.example.org/a7\n17\texample.org/b\n27\tftp.example.net/c\td\n"


@pytest.mark.parametrize(
    ("needle", "expected"),
    [
        (b"example.org", [7, 17]),
        (b"\texample.org/b\n", [17]),
        (b"7", [7]),  # no digit of a number
        (b"17", []),
        (b"c\td", [27]),
        (b"/c\td\n", [27]),
        (b"7\tftp", []),
        (b"none", []),
    ],
)
def test_hits(needle: bytes, expected: list[int]) -> None:
    assert list(hits(TEXT, Part("place", needle))) == expected


def test_a_hit_may_be_looked_at_closer() -> None:
    part = Part("place", b"example", lambda text: text.endswith(b"b"))
    assert list(hits(TEXT, part)) == [17]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), []),
        (Filters(user="Alice"), [[("user", b"\talice\n")]]),
        (Filters(host="A.example."), [[("host", b"\ta.example\n")]]),
        (Filters(host="*.example.*"), [[("host", b".example.")]]),
        (Filters(host="a*"), [[("host", b"\ta")]]),
        (Filters(host="*"), []),
        (
            Filters(host="192.0.2.1"),
            [[("host", b"\t192.0.2.1\n"), ("address", b"\t192.0.2.1\n")]],
        ),
        (Filters(path="/in/*.EDI"), [[("place", b".edi\n")]]),
        (Filters(path="/a"), [[("place", b"/a\n")]]),
        (
            Filters(texts=("Ä", "b")),
            [
                [("place", "Ä".encode()), ("user", "Ä".encode())],
                [("place", b"b"), ("user", b"b")],
            ],
        ),
        (Filters(client=ip_network("10.0.0.7")), [[("client", b"\t10.0.0.7\n")]]),
        (Filters(client=ip_network("10.1.0.0/16")), [[("client", b"\t10.1.")]]),
        (
            Filters(client=ip_network("10.1.0.0/15", strict=False)),
            [[("client", b"\t10.")]],
        ),
        (Filters(client=ip_network("0.0.0.0/0")), [[("client", b"\t")]]),
        (Filters(client=ip_network("2001:db8::/32")), [[("client", b"\t2001:db8:")]]),
        (Filters(client=ip_network("2001:0:1::/48")), [[("client", b"\t2001:")]]),
    ],
)
def test_what_is_looked_for(
    filters: Filters, expected: list[list[tuple[str, bytes]]]
) -> None:
    found = [[(part.field, part.needle) for part in probe] for probe in probes(filters)]
    assert found == expected
