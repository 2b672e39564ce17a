import pytest

from portway.config.later import is_later_key, is_later_value
from portway.config.locate import Path


@pytest.mark.parametrize(
    ("path", "later"),
    [
        (("dashboard",), True),
        (("group",), False),
        (("login",), False),
        (("gatewy",), False),
        (("listen", "any name", "mode_z"), True),
        (("listen", "servers"), False),
        (("listen", "x", "upstream", "via"), False),
        (("listen", "x", "via"), False),
        (("rules", 0, "limit"), False),
        (("rules", 0, "filter"), True),
        (("rules", 17, "limits"), False),
        (("limits", "buffers"), True),
        (("gateway", "resolver"), True),
    ],
)
def test_keys(path: Path, *, later: bool) -> None:
    assert is_later_key(path) is later


@pytest.mark.parametrize(
    ("path", "value", "later"),
    [
        (("listen", "x", "protocol"), "smtp", True),
        (("listen", "x", "protocol"), "socks", False),
        (("listen", "x", "protocol"), "ftp", False),
        (("listen", "x", "protocol"), "gopher", False),
        (("listen", "x", "mode"), "reverse", False),
        (("listen", "x", "tls"), "implicit", False),
        (("listen", "x", "tls"), "off", False),
        (("ledger", "store"), "postgresql://x/y", False),
        (("ledger", "store"), "sqlite", False),
        (("ledger", "store"), 3, False),
        (("rules", 0, "then"), "http", False),
    ],
)
def test_values(path: Path, value: object, *, later: bool) -> None:
    assert is_later_value(path, value) is later
