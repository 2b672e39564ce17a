"""WebSocket, with PyPI's websockets at both ends: by Upgrade, by tunnels, by SOCKS."""

import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.integration import web_doors
from tests.integration.gateway import Gateway, Record
from tests.integration.http_clients import Call, launch
from tests.integration.http_servers import Web
from tests.integration.network import INNER, Network, wan_address, wan_name
from tests.integration.scene import went_well
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

PLAIN, SECURE = 8090, 8443
SIZE = 1_000_003


def echo(connection: ServerConnection) -> None:
    """Say again what is said, until the word that ends it."""
    try:
        for message in connection:
            connection.send(message)
            if message == "bye":
                connection.close(4001, "as you say")
    except ConnectionClosed:
        pass


@pytest.fixture(scope="module")
def server(network: Network, web: Web) -> Iterator[None]:
    """It listens on ``origin``, in clear and inside TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(web.signed.certificate, web.signed.key)
    with ExitStack() as stack:
        for port, secure in ((PLAIN, None), (SECURE, context)):
            listener = network.wan.listen(wan_address("origin", 4), port)
            listener.settimeout(None)
            running: Server = serve(echo, sock=listener, ssl=secure, max_size=2 * SIZE)
            thread = threading.Thread(target=running.serve_forever)
            thread.start()
            stack.callback(thread.join)
            stack.callback(running.shutdown)
        yield


_TALK = f"""
def talk(send, receive):
    large = bytes(range(256)) * {SIZE // 256}
    for message in ("first", large, "ü" * 70_000, ""):
        send(message)
        assert receive() == message, message[:20]
    send("bye")
    assert receive() == "bye"
"""

# As programs do that know of proxies: by a tunnel, whatever the scheme.
_TUNNEL = f"""\
import ssl, sys
from websockets.sync.client import connect
from websockets.exceptions import ConnectionClosed
{_TALK}
url, proxy, ca = sys.argv[1:]
context = ssl.create_default_context(cafile=ca) if url.startswith("wss") else None
options = dict(max_size=None, open_timeout=8, compression=None)
with connect(url, proxy=proxy, ssl=context, **options) as there:
    talk(there.send, there.recv)
    try:
        there.recv()
    except ConnectionClosed as closed:
        print(closed.rcvd.code, closed.rcvd.reason)
"""

# As browsers once did, and old programs do: GET of the whole URL, with Upgrade.
_UPGRADE = f"""\
import dataclasses, socket, sys
from urllib.parse import urlsplit
from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.uri import parse_uri
{_TALK}
url, proxy, _ = sys.argv[1:]
place = urlsplit(proxy)
stream = socket.create_connection((place.hostname, place.port), timeout=8)
protocol = ClientProtocol(parse_uri(url), max_size=None)
request = protocol.connect()
request.path = url.replace("ws:", "http:")
protocol.send_request(request)
messages, parts = [], []

def flush():
    for data in protocol.data_to_send():
        stream.sendall(data) if data else stream.shutdown(socket.SHUT_WR)

def pump():
    data = stream.recv(65536)
    protocol.receive_data(data) if data else protocol.receive_eof()
    for event in protocol.events_received():
        if hasattr(event, "opcode") and event.opcode in (0, 1, 2):
            kind = event.opcode or parts[0][0]
            parts.append((kind, event.data))
            if event.fin:
                whole = b"".join(bytes(piece) for _, piece in parts)
                messages.append(whole.decode() if parts[0][0] == 1 else whole)
                parts.clear()
        elif hasattr(event, "status_code"):
            print(event.status_code)
    if protocol.handshake_exc:
        sys.exit(repr(protocol.handshake_exc))
    flush()
    return bool(data)

def send(message):
    if isinstance(message, str):
        protocol.send_text(message.encode())
    else:
        protocol.send_binary(message)
    flush()

def receive():
    while not messages:
        assert pump()
    return messages.pop(0)

flush()
while protocol.state.name == "CONNECTING":
    pump()
talk(send, receive)
while protocol.close_expected() or not protocol.close_rcvd:
    if not pump():
        break
print(protocol.close_rcvd.code, protocol.close_rcvd.reason)
"""

WAYS = {
    "upgrade": (_UPGRADE, "ws", f"http://{INNER[4]}:{web_doors.OPEN}"),
    "upgrade-auto": (_UPGRADE, "ws", f"http://{INNER[4]}:{web_doors.AUTO}"),
    "tunnel": (_TUNNEL, "ws", web_doors.proxy("required", 4, web_doors.LOGIN)),
    "tunnel-tls": (_TUNNEL, "wss", web_doors.proxy("open", 4)),
    "socks": (_TUNNEL, "ws", f"socks5h://{INNER[4]}:{web_doors.SOCKS}"),
    "socks-tls": (_TUNNEL, "wss", f"socks5h://{INNER[4]}:{web_doors.SOCKS}"),
}


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("way", WAYS)
def test_messages_go_both_ways(
    way: str, tmp_path: Path, network: Network, web: Web, web_gateway: Gateway
) -> None:
    """Small ones, large ones, and the end with its code and its word."""
    web_gateway.fresh()
    script, scheme, proxy = WAYS[way]
    port = SECURE if scheme == "wss" else PLAIN
    url = f"{scheme}://{wan_name('origin', 4)}:{port}/talk"
    words = [sys.executable, "-c", script, url, proxy, web.signed.ca]
    status, said = launch(Call(url, tmp_path), network.lan, words)
    assert status == 0, f"{said}\n{web_gateway.output[-2000:]}"
    assert "4001 as you say" in said, said

    def there(found: list[Record]) -> bool:
        wanted = "CONNECT" if scheme == "wss" else "UPGRADE"
        return any(one["method"] == wanted for one in found)

    records = web_gateway.wait_for(there)
    for record in records:
        assert went_well(record), record
    moved = [int(str(one["bytes_up"])) for one in records]
    assert max(moved) > SIZE, records
