"""Rules and questions, as short as tests want them."""

from ipaddress import ip_address

from portway.config import schema
from portway.model import Access, Action
from portway.policy.compile import compile_rules
from portway.policy.rules import Ruleset

PROTOCOLS = {
    "ftp": {
        "CONNECT": Action.CONNECT,
        "RETR": Action.READ,
        "STOR": Action.WRITE,
        "LIST": Action.LIST,
        "SITE": Action.MANAGE,
    }
}
MONDAY = 1795428000.0  # 2026-11-23 10:00 UTC


def written(**keys: object) -> schema.Rule:
    """Return a rule as the loader gives it; one word stands for a list of it."""
    words = {
        key: (value,)
        if isinstance(value, str) and key in {"who", "do", "to", "when"}
        else value
        for key, value in keys.items()
    }
    lines = {key: f"x.toml:{line}" for line, key in enumerate(keys, 2)}
    found = {"then": "allow", "where": "x.toml:1", "lines": lines} | words
    return schema.Rule(**found)  # type: ignore[arg-type]


def group(name: str, *members: str) -> schema.Group:
    """Return a group as the loader gives it, each member on a line of its own."""
    lines = tuple(f"g.toml:{line}" for line in range(2, 2 + len(members)))
    return schema.Group(name=name, where="g.toml:1", members=members, lines=lines)


def ruleset(
    *rules: dict[str, object],
    timezone: str = "UTC",
    groups: tuple[schema.Group, ...] = (),
) -> Ruleset:
    compiled, problems = compile_rules(
        tuple(written(**rule) for rule in rules),
        timezone=timezone,
        protocols=PROTOCOLS,
        groups=groups,
    )
    assert problems == ()
    return compiled


def asked(
    method: str = "CONNECT",
    host: str = "ftp.example.org",
    path: str = "",
    *,
    client: str = "10.0.0.7",
    user: str = "",
    port: int = 21,
    address: str | None = None,
    groups: tuple[str, ...] = (),
    mac: str = "",
) -> Access:
    return Access(
        protocol="ftp",
        client=ip_address(client),
        user=user,
        action=PROTOCOLS["ftp"].get(method, Action.CONNECT),
        method=method,
        host=host,
        port=port,
        address=None if address is None else ip_address(address),
        path=path,
        groups=frozenset(groups),
        mac=mac,
    )
