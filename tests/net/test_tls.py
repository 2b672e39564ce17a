"""Our TLS streams against the standard library's, which block, in a thread."""

import asyncio
import fcntl
import socket
import ssl
import termios
import time
from array import array
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from tests.certificates import HOST, Certificates, issue
from tests.fds import nothing_left_open
from tests.wires import tcp_pair

from portway.errors import PeerError, Refused
from portway.model import Reason, Side
from portway.net.contexts import accepting, connecting
from portway.net.stream import RESET, SocketStream
from portway.net.tls import TlsStream, start_tls
from portway.relay.meter import Meter
from portway.relay.pipes import Pipes
from portway.relay.pump import pump

T = TypeVar("T")

LONG = bytes(range(256)) * 8192  # 2 MiB: more than both buffers hold


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("certificates"))


@dataclass
class Ends:
    """*ours* in clear yet; *peer* blocks, for a thread."""

    ours: SocketStream
    peer: socket.socket
    certificates: Certificates
    tls: ssl.SSLSocket | None = None

    def peer_as_server(self, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        context = context or self.certificates.accepting()
        self.tls = context.wrap_socket(
            self.peer, server_side=True, suppress_ragged_eofs=False
        )
        return self.tls

    def peer_as_client(self, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        context = context or self.certificates.connecting()
        self.tls = context.wrap_socket(
            self.peer, server_hostname=HOST, suppress_ragged_eofs=False
        )
        return self.tls

    async def as_client(self) -> TlsStream:
        """Shake hands, the peer being the server."""
        shaking = apart(self.peer_as_server)
        context = self.certificates.connecting()
        stream = await start_tls(self.ours, context, server_hostname=HOST)
        await shaking
        return stream

    async def as_server(self) -> TlsStream:
        """Shake hands, the peer being the client."""
        shaking = apart(self.peer_as_client)
        context = self.certificates.accepting()
        stream = await start_tls(self.ours, context, server_side=True)
        await shaking
        return stream


def apart(work: Callable[[], T]) -> "asyncio.Future[T]":
    """Do *work*, which blocks, in a thread."""
    return asyncio.get_running_loop().run_in_executor(None, work)


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    made = Pipes()
    yield made
    made.close()


@pytest.fixture
async def ends(certificates: Certificates) -> AsyncIterator[Ends]:
    await asyncio.gather(*(apart(lambda: time.sleep(0.01)) for _ in range(4)))
    with nothing_left_open():
        sock, peer = tcp_pair()
        peer.settimeout(10)
        made = Ends(SocketStream(sock, Side.SERVER), peer, certificates)
        yield made
        if made.tls is not None:
            made.tls.close()
        peer.close()
        with suppress(AttributeError):  # it was taken over
            made.ours.close()


def read_all(sock: ssl.SSLSocket) -> bytes:
    found = b""
    while data := sock.recv(65536):
        found += data
    return found


async def test_both_roles_carry_bytes_both_ways(ends: Ends) -> None:
    stream = await ends.as_client()
    peer = ends.tls
    assert peer is not None
    await stream.send(b"hello")
    assert await apart(lambda: peer.recv(100)) == b"hello"
    await apart(lambda: peer.sendall(b"welcome"))
    assert await stream.receive(3) == b"wel"
    assert await stream.receive() == b"come"
    assert stream.version == "TLSv1.3"
    assert stream.cipher
    stream.close()


async def test_as_a_server_it_is_no_different(ends: Ends) -> None:
    stream = await ends.as_server()
    peer = ends.tls
    assert peer is not None
    await apart(lambda: peer.sendall(b"x" * 40_000))
    buffer = memoryview(bytearray(100_000))
    count = 0
    while count < 40_000:
        count += await stream.receive_into(buffer[count:])
    assert bytes(buffer[:count]) == b"x" * 40_000
    stream.close()


async def test_a_long_payload_goes_whole_and_ends_with_a_close_notify(
    ends: Ends,
) -> None:
    stream = await ends.as_client()
    peer = ends.tls
    assert peer is not None
    reading = apart(lambda: read_all(peer))
    await stream.send(LONG)
    await stream.send_eof()
    assert await reading == LONG  # suppress_ragged_eofs is off: it was a clean end
    stream.close()


async def test_the_peers_close_notify_is_an_end_that_it_meant(ends: Ends) -> None:
    stream = await ends.as_client()
    peer = ends.tls
    assert peer is not None
    await apart(lambda: peer.sendall(b"last"))
    peer.setblocking(False)
    with suppress(ssl.SSLWantReadError):
        peer.unwrap()
    assert await stream.receive() == b"last"
    assert await stream.receive() == b""
    assert await stream.receive() == b""
    assert stream.said_goodbye
    assert not stream.truncated
    stream.close()


@pytest.mark.parametrize("lenient", [False, True])
async def test_an_end_without_a_close_notify_is_a_truncation(
    ends: Ends, *, lenient: bool
) -> None:
    stream = await ends.as_client()
    stream.lenient = lenient
    peer = ends.tls
    assert peer is not None
    await apart(lambda: peer.sendall(b"half"))
    socket.socket.shutdown(peer, socket.SHUT_WR)
    assert await stream.receive() == b"half"
    if lenient:
        assert await stream.receive() == b""
    else:
        with pytest.raises(PeerError, match="without a close_notify") as caught:
            await stream.receive()
        assert caught.value.reason is Reason.GONE
    assert stream.truncated
    assert not stream.said_goodbye
    stream.close()


async def test_records_before_a_truncation_count_first(ends: Ends) -> None:
    stream = await ends.as_client()
    peer = ends.tls
    assert peer is not None
    await apart(lambda: peer.sendall(b"x" * 30_000))
    socket.socket.shutdown(peer, socket.SHUT_WR)
    await asyncio.sleep(0.05)
    buffer = memoryview(bytearray(65536))
    count = 0
    with pytest.raises(PeerError):
        while True:
            count += await stream.receive_into(buffer)
    assert count == 30_000
    stream.close()


async def test_bytes_under_way_are_kept_when_we_end_first(ends: Ends) -> None:
    stream = await ends.as_client()
    peer = ends.tls
    assert peer is not None
    await apart(lambda: peer.sendall(b"under way"))
    await asyncio.sleep(0.05)
    await stream.send_eof()
    assert await stream.receive() == b"under way"
    assert await apart(lambda: peer.recv(10)) == b""
    await apart(peer.unwrap)
    assert await stream.receive() == b""
    stream.close()


async def test_nothing_is_sent_in_clear_once_tls_is_over(ends: Ends) -> None:
    stream = await ends.as_client()
    peer = ends.tls
    assert peer is not None
    peer.setblocking(False)
    with suppress(ssl.SSLWantReadError):
        peer.unwrap()
    assert await stream.receive() == b""
    await stream.send_eof()
    with pytest.raises(PeerError):
        await stream.send(b"secret")
    stream.close()


async def test_a_session_is_resumed(ends: Ends, certificates: Certificates) -> None:
    server, client = certificates.accepting(), certificates.connecting()
    session = None
    for turn in range(3):
        ours, peer = tcp_pair()
        peer.settimeout(10)
        shaking = apart(
            lambda peer=peer: server.wrap_socket(peer, server_side=True)  # type: ignore[misc]
        )
        stream = await start_tls(
            SocketStream(ours, Side.SERVER),
            client,
            server_hostname=HOST,
            session=session,
        )
        inside = await shaking
        await apart(lambda inside=inside: inside.sendall(b"220 hello"))  # type: ignore[misc]
        assert await stream.receive() == b"220 hello"  # tickets came with it
        assert stream.resumed is bool(turn)
        session = stream.session
        stream.close()
        inside.close()


async def test_bytes_in_clear_behind_the_upgrade_refuse_it(ends: Ends) -> None:
    ends.ours.unread(b"USER eve\r\n")
    with pytest.raises(Refused) as caught:
        await start_tls(ends.ours, ends.certificates.accepting(), server_side=True)
    assert caught.value.reason is Reason.SYNTAX
    assert ends.ours.closed


@pytest.mark.parametrize("clear", [b"USER eve\r\n", b"\x16\x03\x01garbage" * 9])
async def test_what_is_no_tls_fails_the_handshake(ends: Ends, clear: bytes) -> None:
    ends.peer.sendall(clear)
    with pytest.raises(PeerError) as caught:
        await start_tls(ends.ours, ends.certificates.accepting(), server_side=True)
    assert caught.value.reason is Reason.TLS
    assert "eve" not in str(caught.value)


async def test_a_handshake_that_stalls_ends(ends: Ends) -> None:
    with pytest.raises(PeerError, match="took too long"):
        await start_tls(
            ends.ours,
            ends.certificates.connecting(),
            server_hostname=HOST,
            seconds=0.05,
        )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("other.example.org", "is for another name"),
        ("127.0.0.2", "is for another address"),
    ],
)
async def test_a_certificate_for_another_is_refused(
    ends: Ends, name: str, words: str
) -> None:
    shaking = apart(ends.peer_as_server)
    context = ends.certificates.connecting()
    with pytest.raises(PeerError, match=words) as caught:
        await start_tls(ends.ours, context, server_hostname=name)
    assert caught.value.reason is Reason.TLS
    with pytest.raises(OSError):
        await shaking


async def test_an_unknown_authority_is_refused_unless_not_verified(
    ends: Ends, tmp_path: Path
) -> None:
    stranger = issue(tmp_path / "other")
    shaking = apart(lambda: ends.peer_as_server(stranger.accepting()))
    with pytest.raises(PeerError, match="authority that is not trusted"):
        await start_tls(ends.ours, ends.certificates.connecting(), server_hostname=HOST)
    with pytest.raises(OSError):
        await shaking


async def test_without_verification_any_certificate_does(ends: Ends) -> None:
    shaking = apart(ends.peer_as_server)
    context = connecting(verify=False)
    stream = await start_tls(ends.ours, context, server_hostname="nobody.example")
    await shaking
    stream.close()


async def test_a_client_without_a_certificate_is_refused_where_one_is_demanded(
    ends: Ends,
) -> None:
    files = ends.certificates
    context = accepting(files.certificate, files.key, client_ca=files.ca)

    def shake() -> None:  # TLS 1.3: the client learns of it when it reads
        ends.peer_as_client().recv(1)

    shaking = apart(shake)
    with pytest.raises(PeerError, match="did not return a certificate"):
        await start_tls(ends.ours, context, server_side=True)
    with pytest.raises(OSError):
        await shaking


@pytest.mark.parametrize("minimum", ["1.2", "1.3"])
async def test_a_version_below_the_minimum_is_refused(ends: Ends, minimum: str) -> None:
    old = ends.certificates.connecting()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    shaking = apart(lambda: ends.peer_as_client(old))
    files = ends.certificates
    context = accepting(files.certificate, files.key, minimum=minimum)  # type: ignore[arg-type]
    if minimum == "1.2":
        stream = await start_tls(ends.ours, context, server_side=True)
        await shaking
        assert stream.version == "TLSv1.2"
        stream.close()
        return
    with pytest.raises(PeerError, match="unsupported protocol"):
        await start_tls(ends.ours, context, server_side=True)
    with pytest.raises(OSError):
        await shaking


async def test_a_peer_that_leaves_politely_is_noticed_while_nobody_reads(
    ends: Ends,
) -> None:
    stream = await ends.as_client()
    peer = ends.tls
    assert peer is not None
    gone = asyncio.Event()
    stream.on_hangup = gone.set
    await apart(lambda: peer.setblocking(False))
    with suppress(ssl.SSLWantReadError):
        peer.unwrap()
    await gone.wait()
    assert stream.has_ended()
    stream.close()


async def test_bytes_that_come_while_nobody_reads_are_kept(ends: Ends) -> None:
    stream = await ends.as_client()
    peer = ends.tls
    assert peer is not None
    stream.on_hangup = lambda: pytest.fail("it is still there")
    await apart(lambda: peer.sendall(b"ABOR\r\n"))
    await asyncio.sleep(0.05)
    assert not stream.has_ended()
    assert await stream.receive() == b"ABOR\r\n"
    stream.on_hangup = None
    stream.close()


async def test_tls_can_be_ended_and_the_connection_goes_on_in_clear(
    ends: Ends,
) -> None:
    stream = await ends.as_server()
    peer = ends.tls
    assert peer is not None
    unwrapping = apart(peer.unwrap)
    clear = await stream.to_clear(5)
    raw = await unwrapping
    assert type(clear) is SocketStream
    await clear.send(b"200 in clear")
    assert await apart(lambda: raw.recv(100)) == b"200 in clear"
    await apart(lambda: raw.sendall(b"NOOP"))
    assert await clear.receive() == b"NOOP"
    clear.close()
    raw.close()


@pytest.mark.parametrize("toward_tls", [True, False])
async def test_the_pump_bridges_clear_and_tls(
    ends: Ends, pipes: Pipes, *, toward_tls: bool
) -> None:
    stream = await ends.as_client()
    peer = ends.tls
    assert peer is not None
    sock, other = tcp_pair()
    other.settimeout(10)
    bare = SocketStream(sock, Side.CLIENT)
    try:
        if toward_tls:
            writing = apart(lambda: send_all(other))
            reading = apart(lambda: read_all(peer))
            await pump(bare, stream, Meter(), pipes)
            await stream.send_eof()
        else:
            reading = apart(lambda: read_bare(other))
            writing = apart(lambda: send_all(peer))
            await pump(stream, bare, Meter(), pipes)
            await bare.send_eof()
        assert await reading == LONG
        await writing
    finally:
        stream.close()
        bare.close()
        other.close()


def read_bare(sock: socket.socket) -> bytes:
    found = b""
    while data := sock.recv(65536):
        found += data
    return found


def send_all(sock: socket.socket) -> None:
    sock.sendall(LONG)
    if isinstance(sock, ssl.SSLSocket):
        sock.setblocking(False)
        with suppress(ssl.SSLWantReadError):
            sock.unwrap()
    else:
        sock.close()


@pytest.mark.parametrize(
    ("offered", "admitted"),
    [((), True), (("ftp",), True), (("h2", "ftp-data"), True), (("h2",), False)],
)
async def test_a_client_that_offers_other_protocols_only_is_refused(
    offered: tuple[str, ...], admitted: bool, ends: Ends, certificates: Certificates
) -> None:
    context = certificates.connecting()
    if offered:
        context.set_alpn_protocols(list(offered))
    server = accepting(
        certificates.certificate, certificates.key, alpn=("ftp", "ftp-data")
    )
    client = asyncio.create_task(asyncio.to_thread(ends.peer_as_client, context))
    shaking = start_tls(
        ends.ours, server, server_side=True, admitted={b"ftp", b"ftp-data"}
    )
    if admitted:
        stream = await shaking
        await client
        assert stream.alpn == (offered[-1] if offered else "")
        stream.close()
        return
    with pytest.raises(PeerError, match="other protocols") as raised:
        await shaking
    assert raised.value.reason is Reason.TLS
    with pytest.raises(OSError):
        await client


@pytest.mark.parametrize("ends_there", [True, False])
async def test_a_hello_that_comes_bit_by_bit_is_looked_at_all_the_same(
    ends_there: bool,
    ends: Ends,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without haste: whoever waits for more is not woken by what is there already."""
    waits = 0
    readable = TlsStream.readable

    async def counted(stream: TlsStream) -> None:
        nonlocal waits
        waits += 1
        await readable(stream)

    monkeypatch.setattr(TlsStream, "readable", counted)
    context = certificates.connecting()
    context.set_alpn_protocols(["h2"])
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=HOST)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = out.read()
    server = accepting(certificates.certificate, certificates.key, alpn=("ftp",))
    shaking = asyncio.create_task(
        start_tls(ends.ours, server, server_side=True, admitted={b"ftp"})
    )
    ends.peer.sendall(hello[:7])
    await asyncio.sleep(0.1)
    assert waits < 6
    last = len(hello) - ends_there
    for at in range(7, last, 100):
        ends.peer.sendall(hello[at : min(at + 100, last)])
        await asyncio.sleep(0.001)
    if ends_there:
        ends.peer.shutdown(socket.SHUT_WR)
    words = "ended in the middle" if ends_there else "other protocols"
    with pytest.raises(PeerError, match=words):
        await shaking


async def test_without_tickets_nothing_waits_unread_at_the_client(
    ends: Ends, certificates: Certificates
) -> None:
    context = certificates.accepting()
    client = asyncio.create_task(asyncio.to_thread(ends.peer_as_client))
    stream = await start_tls(ends.ours, context, server_side=True, tickets=False)
    tls = await client
    await asyncio.to_thread(tls.sendall, b"payload")
    waiting = array("i", [0])
    await asyncio.sleep(0.05)
    fcntl.ioctl(tls.fileno(), termios.FIONREAD, waiting)
    assert waiting[0] == 0
    tls.close()
    assert await stream.receive() == b"payload"
    with pytest.raises(PeerError, match="close_notify"):
        await stream.receive()
    stream.close()
    assert context.num_tickets == 2


@pytest.mark.parametrize("lenient", [True, False])
async def test_a_reset_is_no_end_that_anybody_is_lenient_with(
    lenient: bool, ends: Ends
) -> None:
    client = asyncio.create_task(asyncio.to_thread(ends.peer_as_client))
    stream = await start_tls(ends.ours, ends.certificates.accepting(), server_side=True)
    stream.lenient = lenient
    tls = await client
    await asyncio.to_thread(tls.sendall, b"payload")
    assert await stream.receive() == b"payload"
    tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    tls.close()
    with pytest.raises(PeerError, match="reset"):
        await stream.receive()
    assert not stream.truncated
    stream.close()


async def test_a_peer_that_goes_on_in_clear_without_a_close_notify(ends: Ends) -> None:
    client = asyncio.create_task(asyncio.to_thread(ends.peer_as_client))
    stream = await start_tls(ends.ours, ends.certificates.accepting(), server_side=True)
    tls = await client
    ending = asyncio.create_task(stream.to_clear(5))
    assert await asyncio.to_thread(tls.recv, 10) == b""  # our close_notify
    plain = socket.socket(fileno=tls.detach())
    plain.sendall(b"NOOP\r\n")
    clear = await ending
    assert await clear.receive() == b"NOOP\r\n"
    clear.close()
    plain.close()


@pytest.mark.parametrize("early", [False, True])
async def test_a_peer_that_closes_at_our_end_has_ended_well(
    ends: Ends, monkeypatch: pytest.MonkeyPatch, *, early: bool
) -> None:
    if not early:  # it comes between our last look and our close_notify
        monkeypatch.setattr(TlsStream, "_gone", lambda _: False)
    stream = await ends.as_client()
    peer = ends.tls
    assert peer is not None
    await stream.send(b"all of it")
    assert await apart(lambda: peer.recv(100)) == b"all of it"
    socket.socket.shutdown(peer, socket.SHUT_WR)
    await asyncio.sleep(0.02)
    await stream.send_eof()
    if early:  # OpenSSL has given the connection up
        with pytest.raises(ssl.SSLError):
            await apart(lambda: peer.recv(100))
    else:
        assert await apart(lambda: peer.recv(100)) == b""
    stream.close()
