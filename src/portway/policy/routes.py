"""Which servers a reverse door has for whom.

Not here: which of them gets the session (net.balance), and whether the client may go
there at all: rules say that. Invariant: a server that several routes name is one
server, whose sessions and state all of them see.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from portway.config.reverse import ReverseSettings
from portway.config.schema import Wrong
from portway.model import Access, Action, Endpoint, IPAddress
from portway.net.balance import Farm, Server
from portway.policy.clients import By, Client, Clients, Group, read_client
from portway.policy.groups import unknown_group


@dataclass(frozen=True, slots=True)
class Route:
    """Servers, and the clients that they are for."""

    clients: Clients
    farm: Farm


class Farms:
    """The servers of one door: those of its *routes*, and those of all others.

    *whole* has each of them once.
    """

    __slots__ = ("_probed", "_routes", "_usual", "whole")

    def __init__(
        self, usual: Farm | None, routes: Iterable[Route], *, probed: bool = False
    ) -> None:
        self._usual = usual
        self._routes = tuple(routes)
        self._probed = probed
        known: dict[Endpoint, Server] = {}
        for farm in self._farms():
            farm.share(known)
        self.whole = Farm((), "round-robin")
        self.whole.servers = tuple(known.values())

    def _farms(self) -> list[Farm]:
        farms = [route.farm for route in self._routes]
        return farms if self._usual is None else [self._usual, *farms]

    def of(self, client: IPAddress, user: str, groups: frozenset[str]) -> Farm | None:
        """Return the servers for a client, by the first route that it is on."""
        who = Access(
            protocol="",
            client=client,
            user=user,
            action=Action.CONNECT,
            method="",
            host="",
            port=0,
            groups=groups,
        )
        found = (route.farm for route in self._routes if route.clients.include(who))
        return next(found, self._usual)

    def inherit(self, other: "Farms") -> None:
        """Take over what *other* knows of the same servers; for a reload."""
        known = {server.at: server for server in other.whole.servers}
        for farm in (self.whole, *self._farms()):
            farm.share(known)
        if not self._probed:  # nobody would ever find them up again
            for server in self.whole.servers:
                server.up, server.failures = True, 0


def farms_of(
    settings: ReverseSettings, groups: Mapping[str, Group]
) -> tuple[Farms | None, list[Wrong]]:
    """Return the servers of a door, and what is wrong with the words of its routes.

    None: the door leads to no servers of its own, or they are wrong, as
    `ReverseSettings.wrong_servers` says.
    """
    wrong: list[Wrong] = []
    routes: list[Route] = []
    try:
        usual = _farm(settings, settings.servers) if settings.servers else None
        for place, route in enumerate(settings.route):
            key = f"route.{place}.who"
            clients = _clients(route.who, key, groups, wrong)
            routes.append(Route(clients, _farm(settings, route.servers)))
    except ValueError:  # was reported
        return None, wrong
    if usual is None and not routes:
        return None, wrong
    return Farms(usual, routes, probed=settings.health is not None), wrong


def _farm(settings: ReverseSettings, servers: Iterable[str]) -> Farm:
    return Farm([settings.read_server(one) for one in servers], settings.balance)


def _clients(
    words: Iterable[str], key: str, groups: Mapping[str, Group], wrong: list[Wrong]
) -> Clients:
    found: list[Client] = []
    for word in words:
        try:
            client = read_client(word)
            if client.by is By.GROUP and client.name not in groups:
                raise ValueError(unknown_group(client.name, groups))  # noqa: TRY301 - one of several faults
            if client.by is By.MAC:
                text = f'"{word}": a route knows users, groups and addresses alone'
                raise ValueError(text)  # noqa: TRY301 - one of several faults
        except ValueError as error:
            wrong.append(Wrong(key, str(error)))
        else:
            found.append(client)
    return Clients(found, groups)
