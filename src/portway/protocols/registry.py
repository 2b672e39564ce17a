"""The protocols that Portway speaks: a list, to be read.

Not here: anything else. A new protocol is its folder and one line below.
"""

from collections.abc import Mapping
from types import MappingProxyType

from portway.config.schema import ProtocolSettings
from portway.model import Action
from portway.net.parent import Handshake
from portway.protocol import Protocol
from portway.protocols.auto.protocol import PROTOCOL as AUTO
from portway.protocols.ftp.protocol import PROTOCOL as FTP
from portway.protocols.http import via as http
from portway.protocols.http.protocol import PROTOCOL as HTTP
from portway.protocols.socks import via as socks
from portway.protocols.socks.protocol import PROTOCOL as SOCKS

PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {protocol.name: protocol for protocol in (FTP, HTTP, SOCKS, AUTO)}
)

SETTINGS: Mapping[str, type[ProtocolSettings]] = MappingProxyType(
    {name: protocol.settings for name, protocol in PROTOCOLS.items()}
)

METHODS: Mapping[str, Mapping[str, Action]] = MappingProxyType(
    {name: one.methods for name, one in PROTOCOLS.items() if one.methods}
)

_SOCKS_5 = Handshake(socks.connect_5, socks.listen_5, socks.reply_5)
_SOCKS_4 = Handshake(socks.connect_4, socks.listen_4, socks.reply_4)

HANDSHAKES: Mapping[str, Handshake] = MappingProxyType(
    {
        "socks5": _SOCKS_5,
        "socks5h": _SOCKS_5,
        "socks4": _SOCKS_4,
        "socks4a": _SOCKS_4,
        "http": Handshake(http.connect),
    }
)
