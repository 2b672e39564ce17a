from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.config.kinds import Inner, Settings

from portway.config.amounts import Speed
from portway.config.checks import check, is_loopback, is_timezone
from portway.config.locate import Path
from portway.config.schema import (
    Configuration,
    Gateway,
    KeepFor,
    Ledger,
    Limit,
    Limits,
    Listener,
    LogFile,
    Logins,
    Rule,
)
from portway.model import Endpoint
from portway.units import Seconds, Size


def listener(*addresses: str, name: str = "x", **more: Any) -> Listener:
    at = (one.rpartition(":") for one in addresses)
    address = tuple(Endpoint(host, int(port)) for host, _, port in at)
    settings = more.pop("settings", Settings())
    return Listener(
        name=name,
        where="p.toml:1",
        protocol="test",
        address=address,
        settings=settings,
        **more,
    )


def rule(then: Any = "allow", **keys: Any) -> Rule:
    lines = dict.fromkeys(keys, "p.toml:1")
    return Rule(where="p.toml:1", lines=lines, then=then, **keys)


RIGHT = Configuration(
    path="p.toml",
    gateway=Gateway(),
    listeners=(listener("127.0.0.1:2121"),),
    rules=(rule(),),
    ledger=Ledger(),
    limits=Limits(),
)


def changed(**changes: Any) -> Configuration:
    return replace(RIGHT, **changes)


def wrong(**changes: Any) -> dict[Path, str]:
    return dict(check(changed(**changes)))


def test_what_is_right() -> None:
    assert wrong() == {}
    assert wrong(rules=()) == {}


@pytest.mark.parametrize(
    ("key", "value", "cure"),
    [
        ("name", " ", "give the gateway a name"),
        ("state", "", "name a folder"),
        ("state", "~/x", "no home folder is known"),
        ("timezone", "Europe/Pariss", 'did you mean "Europe/Paris"?'),
        ("timezone", "Mars", "no such time zone"),
    ],
)
def test_gateway(key: str, value: str, cure: str) -> None:
    found = wrong(gateway=replace(Gateway(), **{key: value}))
    assert list(found) == [("gateway", key)]
    assert cure in found["gateway", key]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("", True),
        ("UTC", True),
        ("America/New_York", True),
        ("America", False),
        ("/etc/passwd", False),
        ("../../etc/passwd", False),
        ("a\0b", False),
        ("x" * 5000, False),
        ("\u00e9/\u00e9", False),
        (".", False),
        ("__init__.py", False),
    ],
)
def test_time_zones(name: str, *, known: bool) -> None:
    assert is_timezone(name) is known


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ("127.0.0.1:21", "127.0.0.1:21", True),
        ("127.0.0.1:21", "127.0.0.1:22", False),
        ("127.0.0.1:21", "127.0.0.2:21", False),
        ("0.0.0.0:21", "127.0.0.1:21", True),
        ("127.0.0.1:21", "0.0.0.0:21", True),
        ("0.0.0.0:21", ":::21", False),
        (":::21", "::1:21", True),
        ("localhost:21", "127.0.0.1:21", True),
        ("::1:21", "localhost:21", True),
        ("localhost:21", "localhost:21", True),
        ("localhost:21", "0.0.0.0:21", True),
        ("localhost:21", "10.0.0.1:21", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
    ],
)
def test_two_listeners_on_one_port(first: str, second: str, *, clash: bool) -> None:
    one, two = listener(first), listener(second, name="y")
    found = wrong(listeners=(one, two))
    assert list(found) == ([("listen", "y", "address", 0)] if clash else [])
    found = wrong(listeners=(listener(first, second),))
    assert list(found) == ([("listen", "x", "address", 1)] if clash else [])


def test_a_listener_without_an_address() -> None:
    assert list(wrong(listeners=(listener(),))) == [("listen", "x", "address")]


def test_the_protocol_has_its_say() -> None:
    settings = Settings(number=13, inner=Inner(depth=13))
    assert wrong(listeners=(listener("127.0.0.1:1", settings=settings),)) == {
        ("listen", "x", "number"): "x does not like 13",
        ("listen", "x", "inner", "depth"): "nor 13 deep",
    }


@pytest.mark.parametrize("key", ["who", "do", "to", "when"])
def test_an_empty_list_in_a_rule(key: str) -> None:
    found = wrong(rules=(rule(), rule(**{key: ()})))
    assert list(found) == [("rules", 1, key)]


def test_what_a_ledger_forgets() -> None:
    day = 86_400.0
    right = Ledger(
        keep_for=KeepFor(ftp=Seconds(day)),
        max_size=Size(16 << 20),
        anonymise=Seconds(30 * day),
        file=(LogFile(path="/a", rotate=Size(1 << 20), rotated=1),),
    )
    assert list(wrong(ledger=right)) == []
    odd = Ledger(
        keep_for=KeepFor(ftp=Seconds(91 * day)),
        max_size=Size(1 << 20),
        anonymise=Seconds(90 * day),
        file=(
            LogFile(path="/a", rotate=Size(100)),
            LogFile(path="/b", rotated=3),
            LogFile(path="/c", rotate=Size(1 << 20), rotated=0),
        ),
    )
    assert list(wrong(ledger=odd)) == [
        ("ledger", "keep_for", "ftp"),
        ("ledger", "anonymise"),
        ("ledger", "max_size"),
        ("ledger", "file", 0, "rotate"),
        ("ledger", "file", 1, "rotated"),
        ("ledger", "file", 2, "rotated"),
    ]


def test_ledger() -> None:
    paths = ["/a", "/b", "/a", " ", "~/c"]
    files = tuple(LogFile(path=path) for path in paths)
    assert list(wrong(ledger=Ledger(keep=Seconds(0.0), file=files))) == [
        ("ledger", "keep"),
        ("ledger", "file", 2, "path"),
        ("ledger", "file", 3, "path"),
        ("ledger", "file", 4, "path"),
    ]


def test_limits() -> None:
    assert list(wrong(limits=Limits(per_client=0))) == [("limits", "per_client")]


def test_a_limit_per_group_is_for_groups_alone() -> None:
    limit = (Limit(rate=Speed(1000.0), per="group"),)
    limited = [
        rule(limit=limit, who=("group:lab", "group:staff")),
        rule(limit=limit),
        rule(limit=limit, who=("group:lab", "10.0.0.1")),
    ]
    found = wrong(rules=tuple(limited))
    assert list(found) == [("rules", 1, "limit"), ("rules", 2, "limit")]
    assert '"10.0.0.1" is no group' in found["rules", 2, "limit"]


def test_sources_of_accounts() -> None:
    assert list(wrong(logins=Logins(sources=()))) == [("login", "sources")]
    twice = wrong(logins=Logins(sources=("local", "local")))
    assert list(twice) == [("login", "sources", 1)]


def test_loopback() -> None:
    assert is_loopback(Endpoint("localhost", 1))
    assert not is_loopback(Endpoint("0.0.0.0", 1))
