"""What needs no packet filter; the rest is in tests/integration/test_transparent.py."""

import ctypes
import socket
import threading
from ipaddress import ip_address

import pytest
from tests.fds import nothing_left_open
from tests.wires import listener, port_of

from portway.errors import PeerError, UpstreamError
from portway.model import Endpoint, Side
from portway.net.capture import (
    RightLackingError,
    bind_to,
    original_destination,
    take_any_address,
)
from portway.net.dataport import open_data_port
from portway.net.dial import dial
from portway.net.listen import bind
from portway.net.stream import SocketStream

FAR = {"127.0.0.1": "203.0.113.9", "::1": "2001:db8::9"}
HERE = list(FAR)
NO_RIGHTS = 1 << 12 | 1 << 13  # CAP_NET_ADMIN, CAP_NET_RAW


@pytest.mark.parametrize("host", HERE)
async def test_who_was_not_caught_was_going_to_us(host: str) -> None:
    with nothing_left_open():
        door = listener(host, 1)
        with socket.create_connection((host, port_of(door))):
            sock, _ = door.accept()
            stream = SocketStream(sock, Side.CLIENT)
            assert original_destination(stream) == Endpoint(host, port_of(door))
            stream.close()
        door.close()


@pytest.mark.parametrize("host", HERE)
def test_an_address_that_is_not_ours_is_bound_where_that_is_meant(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        with pytest.raises(OSError, match="assign"):
            bind_to(sock, FAR[host], 0, foreign=False)
        bind_to(sock, FAR[host], 0, foreign=True)
        assert sock.getsockname()[0] == FAR[host]
        take_any_address(sock)  # once more is no harm


@pytest.mark.parametrize("host", HERE)
async def test_a_data_port_at_an_address_that_is_not_ours(host: str) -> None:
    with nothing_left_open():
        at = ip_address(FAR[host])
        port = open_data_port(at, None, lambda _: True, Side.CLIENT, foreign=True)
        assert port.endpoint.host == FAR[host]
        port.close()


async def test_a_connection_from_an_address_that_is_not_ours() -> None:
    """It is begun from there; nobody answers, as no way leads back."""
    with nothing_left_open():
        nobody, far = ip_address("127.0.0.1"), ip_address(FAR["127.0.0.1"])
        with pytest.raises((UpstreamError, PeerError)) as caught:
            await dial([nobody], 9, source=far, seconds=0.3)
        assert "assign" in caught.value.text
        with pytest.raises((UpstreamError, PeerError)) as caught:
            await dial([nobody], 9, source=far, seconds=0.3, foreign=True)
        assert "assign" not in caught.value.text


def test_without_the_right_it_says_what_is_lacking() -> None:
    said: list[BaseException] = []

    def try_it() -> None:
        library = ctypes.CDLL(None, use_errno=True)
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # <linux/capability.h>, version 3
        data = (ctypes.c_uint32 * 6)()
        assert library.capget(header, data) == 0
        for at in (0, 1, 2):  # effective, permitted, inheritable; of this thread alone
            data[at] &= ~NO_RIGHTS
        assert library.capset(header, data) == 0
        try:
            bind(Endpoint("127.0.0.1", 0), captures=True)
        except OSError as error:
            said.append(error)

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()
    (error,) = said
    assert isinstance(error, RightLackingError)
    assert "CAP_NET_ADMIN" in str(error.strerror)
