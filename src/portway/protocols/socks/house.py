"""What all sessions of one SOCKS door share.

Not here: anything that acts. Invariant: it never changes; a reload makes another one.
"""

from dataclasses import dataclass

from portway.config.schema import Listener
from portway.model import IPAddress
from portway.net.contexts import NO_TLS, TlsContexts
from portway.net.doors import is_local
from portway.net.parent import Parent
from portway.protocols.socks.settings import SocksSettings
from portway.protocols.socks.within import Within


@dataclass(frozen=True, slots=True, eq=False)
class House:
    """What all sessions of one listener share; *name* is the gateway's."""

    name: str
    login: str
    settings: SocksSettings
    contexts: TlsContexts
    parent: Parent | None
    within: Within

    def place(self, usual: IPAddress) -> tuple[IPAddress, IPAddress]:
        """Return the address that data are awaited at, and the one that peers are told.

        *usual* is the one where none is configured. An address that is none of ours
        is one before a NAT. Raises Refused, BUSY.
        """
        told = self.settings.data_address
        if told is None:
            return usual, usual
        return (told if is_local(told) else usual), told


def house_of(
    name: str,
    listener: Listener,
    settings: SocksSettings,
    contexts: TlsContexts = NO_TLS,
) -> House:
    """Return the house of *listener*, which may be a door of other protocols too."""
    return House(
        name=name,
        login=listener.login,
        settings=settings,
        contexts=contexts,
        parent=settings.upstream.parent,
        within=Within(name, listener, settings, contexts),
    )
