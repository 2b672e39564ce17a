import asyncio
import contextlib
import errno
import resource
import socket
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from tests.fds import nothing_left_open
from tests.wires import port_of

from portway.errors import PeerError, Refused, UpstreamError
from portway.model import IPAddress, Reason, Side
from portway.net import dial as module
from portway.net.dial import alternate, dial
from portway.net.stream import SocketStream

HERE = ip_address("127.0.0.1")
DEAF = ip_address("127.0.0.2")
HERE6 = ip_address("::1")


@contextlib.contextmanager
def listening(address: IPAddress = HERE, port: int = 0) -> Iterator[socket.socket]:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((str(address), port))
        sock.listen(8)
        sock.setblocking(False)
        yield sock


@contextlib.contextmanager
def deaf(port: int, address: IPAddress = DEAF) -> Iterator[None]:
    """An address that does not answer at *port*: its queue is full."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((str(address), port))
        sock.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((str(address), port))
        yield


@pytest.fixture
def refusing() -> int:
    """A port at which nobody listens."""
    with listening() as sock:
        return port_of(sock)


@pytest.mark.parametrize("address", [HERE, HERE6])
async def test_a_listener_is_reached_and_named(address: IPAddress) -> None:
    with nothing_left_open(), listening(address) as sock:
        stream = await dial([address], port_of(sock), host="ftp.example")
        assert stream.side is Side.SERVER
        assert stream.peer_address == address
        assert stream.peer.port == port_of(sock)
        stream.close()


async def test_what_is_dialled_keeps_urgent_bytes_and_notices_dead_peers() -> None:
    with listening() as sock:
        stream = await dial([HERE], port_of(sock))
        ours = stream._sock
        for level, option in (
            (socket.SOL_SOCKET, socket.SO_OOBINLINE),
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            (socket.IPPROTO_TCP, socket.TCP_NODELAY),
        ):
            assert ours.getsockopt(level, option)
        assert ours.getblocking() is False
        stream.close()


@pytest.mark.parametrize(
    ("side", "kind"), [(Side.SERVER, UpstreamError), (Side.CLIENT, PeerError)]
)
async def test_a_refusal_names_side_host_and_address(
    side: Side, kind: type[UpstreamError | PeerError], refusing: int
) -> None:
    with nothing_left_open(), pytest.raises(kind) as caught:
        await dial([HERE], refusing, side=side, host="ftp.example")
    error = caught.value
    assert error.reason is Reason.REFUSED
    assert error.side is side
    assert error.text == f"ftp.example (127.0.0.1:{refusing}): connection refused"


async def test_an_address_that_refuses_is_followed_by_the_next_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "NEXT_ATTEMPT", 30.0)
    with nothing_left_open(), listening() as sock:
        async with asyncio.timeout(10):
            stream = await dial([DEAF, HERE], port_of(sock))
        assert stream.peer_address == HERE
        stream.close()


async def test_an_address_that_is_silent_is_overtaken_by_the_next() -> None:
    with nothing_left_open(), listening() as sock, deaf(port_of(sock)):
        loop = asyncio.get_running_loop()
        before = loop.time()
        stream = await dial([DEAF, HERE], port_of(sock))
        assert stream.peer_address == HERE
        assert loop.time() - before >= module.NEXT_ATTEMPT - 0.01
        stream.close()


async def test_nobody_who_answers_in_time_is_a_timeout() -> None:
    with nothing_left_open(), listening() as sock, deaf(port_of(sock)):
        with pytest.raises(UpstreamError) as caught:
            await dial([DEAF], port_of(sock), seconds=0.05)
        assert caught.value.reason is Reason.CONNECT_TIMEOUT
        assert "no answer in time" in caught.value.text


async def test_the_most_telling_failure_is_told(refusing: int) -> None:
    unreachable = ip_address("240.0.0.1")
    with pytest.raises(UpstreamError) as caught:
        await dial([unreachable, HERE], refusing)
    assert caught.value.reason is Reason.REFUSED
    with pytest.raises(UpstreamError) as caught:
        await dial([HERE], refusing, source=ip_address("203.0.113.1"))
    assert caught.value.reason is Reason.UNREACHABLE  # the source is not ours


async def test_a_cancelled_dial_leaves_nothing_open() -> None:
    with nothing_left_open(), listening() as sock, deaf(port_of(sock)):
        for delay in (0, 0.01):
            dialling = asyncio.ensure_future(dial([DEAF, HERE6], port_of(sock)))
            await asyncio.sleep(delay)
            dialling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dialling


async def test_a_connection_that_is_made_as_we_are_cancelled_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dialling: list[asyncio.Task[SocketStream]] = []
    settled = module._Race._settled

    def settle_and_cancel(race: module._Race, sock: socket.socket) -> None:
        settled(race, sock)
        assert race.result.done()
        dialling[0].cancel()

    monkeypatch.setattr(module._Race, "_settled", settle_and_cancel)
    with nothing_left_open(), listening() as sock:
        dialling.append(asyncio.ensure_future(dial([HERE], port_of(sock))))
        with pytest.raises(asyncio.CancelledError):
            await dialling[0]


async def test_the_source_address_and_port_are_used() -> None:
    with listening() as sock:
        source = ip_address("127.0.0.3")
        stream = await dial([HERE6, HERE], port_of(sock), source=source)
        assert stream.local_address == source
        stream.close()
    with listening() as sock, listening() as other:
        port = port_of(other)
        other.close()
        stream = await dial([HERE], port_of(sock), source_port=port)
        assert stream.local.port == port
        stream.close()


async def test_no_address_of_the_sources_family_is_unreachable() -> None:
    with pytest.raises(UpstreamError) as caught:
        await dial([HERE6], 21, source=HERE)
    assert caught.value.reason is Reason.UNREACHABLE
    assert "family" in caught.value.text


async def test_without_descriptors_the_gateway_is_busy_not_the_server() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with nothing_left_open(), listening() as sock:
        port = port_of(sock)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            with pytest.raises(Refused) as caught:
                await dial([HERE], port)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert caught.value.reason is Reason.BUSY


def test_families_alternate_and_the_first_ones_stays_first() -> None:
    four = [ip_address(f"10.0.0.{n}") for n in range(3)]
    six = [ip_address("2001:db8::1")]
    assert alternate([*four, *six]) == [four[0], six[0], four[1], four[2]]
    assert alternate([*six, *four]) == [six[0], *four]
    assert alternate(four) == four


async def test_a_broadcast_is_no_server() -> None:
    with nothing_left_open(), pytest.raises(UpstreamError) as caught:
        await dial([ip_address("255.255.255.255")], 21)
    assert caught.value.reason is Reason.UNREACHABLE


async def test_without_descriptors_for_one_attempt_no_other_is_made(
    monkeypatch: pytest.MonkeyPatch, refusing: int
) -> None:
    """Else a gateway that is full would call servers unreachable."""
    start = module._Race._start

    def start_while_there_are_some(race: module._Race, address: IPAddress) -> None:
        if address == DEAF:
            raise OSError(errno.EMFILE, "Too many open files")
        start(race, address)

    monkeypatch.setattr(module._Race, "_start", start_while_there_are_some)
    with nothing_left_open(), pytest.raises(Refused) as caught:
        await dial([HERE, DEAF, HERE6], refusing)
    assert caught.value.reason is Reason.BUSY


async def test_what_the_kernel_lacks_while_it_connects_is_no_fault_of_the_server(
    monkeypatch: pytest.MonkeyPatch, refusing: int
) -> None:
    failed = module._Race._failed

    def fail(race: module._Race, address: IPAddress, number: int) -> None:
        failed(race, address, errno.ENOBUFS if number else number)

    monkeypatch.setattr(module._Race, "_failed", fail)
    with nothing_left_open(), pytest.raises(Refused) as caught:
        await dial([HERE, HERE6], refusing)
    assert caught.value.reason is Reason.BUSY
