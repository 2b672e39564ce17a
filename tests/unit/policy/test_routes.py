from ipaddress import ip_address

from portway.config.reverse import Health, Route
from portway.config.schema import Group
from portway.model import Endpoint
from portway.policy.groups import compile_groups
from portway.policy.routes import Farms, farms_of
from portway.protocols.ftp.settings import FtpSettings

CLIENT = ip_address("10.0.0.7")
GROUPS = compile_groups(
    [Group(name="lab", where="p:1", members=("user:joe",), lines=("p:2",))], []
)
ROUTES = (
    Route(who=("user:alice",), servers=("a",)),
    Route(who=("group:lab", "192.168.0.0/16"), servers=("b", "a")),
)


def farms(*servers: str, health: Health | None = None) -> Farms:
    settings = FtpSettings(servers=servers, route=ROUTES, health=health)
    found, wrong = farms_of(settings, GROUPS)
    assert not wrong
    assert found is not None
    return found


def hosts(
    made: Farms, user: str = "", client: str = "10.0.0.7", *groups: str
) -> list[str] | None:
    farm = made.of(ip_address(client), user, frozenset(groups))
    return None if farm is None else [one.at.host for one in farm.servers]


def test_the_first_route_that_fits_says_where() -> None:
    made = farms("c")
    assert hosts(made, "alice") == ["a"]
    assert hosts(made, "alice", "192.168.1.1") == ["a"]
    assert hosts(made, "joe") == ["b", "a"]
    assert hosts(made, "ann", CLIENT.compressed, "lab") == ["b", "a"]
    assert hosts(made, "", "192.168.1.1") == ["b", "a"]


def test_all_others_get_the_usual_servers_or_none() -> None:
    assert hosts(farms("c"), "ann") == ["c"]
    assert hosts(farms(), "ann") is None


def test_a_server_of_several_routes_is_one() -> None:
    made = farms("c", "a")
    assert [one.at for one in made.whole.servers] == [
        Endpoint(host, 21) for host in ("c", "a", "b")
    ]
    alices = made.of(CLIENT, "alice", frozenset())
    usual = made.of(CLIENT, "", frozenset())
    assert alices is not None
    assert usual is not None
    assert alices.servers[0] is usual.servers[1]


def test_a_reload_keeps_what_is_known() -> None:
    old, new = farms("c", health=Health()), farms("d", "c", health=Health())
    old.whole.servers[0].sessions = 3
    old.whole.servers[0].up = False
    new.inherit(old)
    usual = new.of(CLIENT, "", frozenset())
    assert usual is not None
    assert [(one.at.host, one.sessions, one.up) for one in usual.servers] == [
        ("d", 0, True),
        ("c", 3, False),
    ]
    assert usual.servers[1] in new.whole.servers


def test_who_is_asked_no_more_is_not_down_for_ever() -> None:
    old, new = farms("c", health=Health()), farms("c")
    old.whole.servers[0].up = False
    new.inherit(old)
    assert new.whole.servers[0].up


def test_words_that_say_nobody() -> None:
    route = (Route(who=("group:lap", "mac:00:11:22:33:44:55", "bob"), servers=("a",)),)
    _, wrong = farms_of(FtpSettings(servers=("a",), route=route), GROUPS)
    assert [one.key for one in wrong] == ["route.0.who"] * 3
    assert 'did you mean "lab"' in wrong[0].text
    assert "a route knows users" in wrong[1].text
    assert "user:bob" in wrong[2].text


def test_a_door_that_leads_to_no_servers_has_none() -> None:
    assert farms_of(FtpSettings(), GROUPS) == (None, [])
    assert farms_of(FtpSettings(servers=("a b",)), GROUPS) == (None, [])
