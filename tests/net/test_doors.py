import resource
import socket
from ipaddress import ip_address

import pytest

from portway.errors import Refused
from portway.model import Reason
from portway.net.doors import Doors, is_local

ANY, ANY6 = ip_address("0.0.0.0"), ip_address("::")
HERE, HERE6 = ip_address("127.0.0.1"), ip_address("::1")
FAR, FAR6 = ip_address("203.0.113.1"), ip_address("2001:db8::1")


@pytest.mark.parametrize(
    ("bound", "address", "ours"),
    [
        (HERE, HERE, True),
        (HERE, ip_address("127.0.0.2"), False),
        (HERE, FAR, False),
        (HERE, ANY, True),  # a connection to no address ends up on this machine
        (HERE6, ANY6, True),
        (ANY, HERE, True),
        (ANY, ip_address("127.9.9.9"), True),
        (ANY, FAR, False),
        (ANY6, HERE6, True),
        (ANY6, FAR6, False),
        (FAR, FAR, True),
    ],
)
def test_a_door_is_ours_where_a_connection_would_reach_it(
    bound: str, address: str, ours: bool
) -> None:
    doors = Doors([(ip_address(bound), 2121)])
    assert doors.is_ours(ip_address(address), 2121) is ours
    assert not doors.is_ours(ip_address(address), 2122)


def test_without_doors_nothing_is_ours() -> None:
    assert not Doors().is_ours(HERE, 21)


def test_every_address_of_this_machine_is_local() -> None:
    for address in (HERE, HERE6, ip_address("127.1.2.3")):
        assert is_local(address)
    for address in (FAR, FAR6):
        assert not is_local(address)


def test_without_a_descriptor_there_is_no_answer() -> None:
    doors = Doors([(ANY, 2121)])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(Refused) as caught:
            doors.is_ours(FAR, 2121)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.reason is Reason.BUSY


def test_a_family_that_the_machine_lacks_has_no_address_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> socket.socket:
        raise OSError(97, "Address family not supported")

    monkeypatch.setattr(socket, "socket", refuse)
    assert not is_local(HERE6)
