"""The protocols that Portway speaks: a list, to be read.

Not here: anything else. A new protocol is its folder and one line below.
"""

from collections.abc import Mapping
from types import MappingProxyType

from portway.config.schema import ProtocolSettings
from portway.model import Action
from portway.protocol import Protocol
from portway.protocols.ftp.protocol import PROTOCOL as FTP

PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {protocol.name: protocol for protocol in (FTP,)}
)

SETTINGS: Mapping[str, type[ProtocolSettings]] = MappingProxyType(
    {name: protocol.settings for name, protocol in PROTOCOLS.items()}
)

METHODS: Mapping[str, Mapping[str, Action]] = MappingProxyType(
    {name: protocol.methods for name, protocol in PROTOCOLS.items()}
)
