"""Pages of the gateway's own, on the proxy's port: protocols.md, section 2.7.

The automatic configuration of browsers, and the certificate of interception.

Not here: admin pages, which are never on this port. Invariant: nothing here asks for a
login, is dialled, or tells what a rule allows.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network, ip_network
from json import dumps
from pathlib import Path

from portway.errors import UpstreamError
from portway.model import Endpoint, Outcome, Reason, Verdict
from portway.protocols.http.authority import Form, read_authority
from portway.protocols.http.methods import action_of, naming_of
from portway.protocols.http.settings import Pac
from portway.protocols.http.turn import Turn

RULE = "own-page"  # by which the records know them
PAC = "application/x-ns-proxy-autoconfig"
CERTIFICATE = "application/x-x509-ca-cert"
PACS = frozenset({b"/proxy.pac", b"/wpad.dat", b"/wpad.da"})  # some cut it to 8.2
LARGEST = 1 << 20  # bytes of a file of the administrator's


def is_ours(turn: Turn) -> bool:
    """Say whether *turn* is for the gateway itself, by its form or by its name."""
    target = turn.target
    if turn.house.mode != "forward":
        return False
    if target.form is Form.ORIGIN:
        return True
    if target.form is not Form.ABSOLUTE or target.scheme != "http":
        return False
    if target.port != turn.gate.stream.local.port:
        return False
    local = turn.gate.stream.local.host
    return target.host in {local, turn.house.name.lower()}


async def serve(turn: Turn) -> None:
    """Serve a page of ours, or say that there is none."""
    with recorded(turn):
        await _serve(turn)


@contextmanager
def recorded(turn: Turn) -> Iterator[None]:
    """Leave the record of what no rule is asked about: it is ours."""
    head, gate = turn.head, turn.gate
    action, naming = action_of(head.method), naming_of("http")
    local = gate.stream.local
    target = local.host, local.port, local.address
    exchange = gate.draft(action, target, head.method, turn.target.view, naming)
    exchange.verdict = Verdict(allowed=True, rule=RULE)
    try:
        yield
    except BaseException as error:
        exchange.close(turn.blamed(error))
        raise
    exchange.end(Outcome.OK, status=str(turn.status))
    exchange.close()


async def _serve(turn: Turn) -> None:
    path = turn.target.path.partition(b"?")[0]
    if turn.head.method not in {"GET", "HEAD"}:
        await turn.page(405, "This page can only be read.", ((b"Allow", b"GET, HEAD"),))
    elif path in PACS:
        await _send(turn, PAC, await pac_of(turn))
    elif path == b"/ca.crt" and (authority := turn.gate.services.authority):
        await _send(turn, CERTIFICATE, authority.der)
    else:
        await turn.page(404, "There is no such page here.")


async def _send(turn: Turn, media: str, body: bytes) -> None:
    fields = (
        (b"Content-Type", media.encode()),
        (b"Cache-Control", b"max-age=3600"),
        (b"X-Content-Type-Options", b"nosniff"),
    )
    await turn.answer(200, fields, length=len(body))
    await turn.write(body)
    await turn.finish()


async def pac_of(turn: Turn) -> bytes:
    """Return the file that configures a browser. Raises UpstreamError, BUSY."""
    pac = turn.house.settings.pac
    if pac.file:
        try:
            return await asyncio.to_thread(_read, Path(pac.file))
        except OSError as error:
            text = "the file of pac.file cannot be read"
            raise UpstreamError(Reason.BUSY, text) from error
    secure = turn.house.settings.tls != "off"
    return write_pac(pac, pac.proxy or str(_here(turn)), secure=secure).encode()


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(LARGEST)


def _here(turn: Turn) -> Endpoint:
    """Return where the client has found us."""
    local = turn.gate.visitor.called or turn.gate.stream.local
    try:
        asked = read_authority(turn.head.known.get(b"host", b""), local.port)
    except ValueError:
        return local
    return asked if asked.port == local.port else local


def write_pac(pac: Pac, proxy: str, *, secure: bool) -> str:
    """Return the file: what is direct, then *proxy*; no name is ever resolved."""
    ways = [f"{'HTTPS' if secure else 'PROXY'} {proxy}"]
    if pac.socks:
        ways.append(f"SOCKS5 {pac.socks}")
    if pac.fallback:
        ways.append("DIRECT")
    tests = ["isPlainHostName(host)", *(_test(word) for word in pac.direct)]
    lines = "".join(f'  if ({test}) return "DIRECT";\n' for test in tests)
    return (
        "function FindProxyForURL(url, host) {\n"
        "  host = host.toLowerCase();\n"
        f"{lines}"
        f"  return {dumps('; '.join(ways))};\n"
        "}\n"
    )


def _test(word: str) -> str:
    """Return the condition for one name or network that is reached directly."""
    try:
        network = ip_network(word, strict=False)
    except ValueError:
        name = word.lower().removeprefix("*.").removeprefix(".").rstrip(".")
        if "*" in name:
            return f"shExpMatch(host, {dumps(name)})"
        exact = f"host === {dumps(name)}"
        return f"{exact} || dnsDomainIs(host, {dumps('.' + name)})"
    if isinstance(network, IPv4Network):
        start, mask = dumps(str(network.network_address)), dumps(str(network.netmask))
        literal = "/^\\d+\\.\\d+\\.\\d+\\.\\d+$/.test(host)"
        return f"{literal} && isInNet(host, {start}, {mask})"
    known = 'typeof isInNetEx === "function" && host.indexOf(":") >= 0'
    return f"{known} && isInNetEx(host, {dumps(str(network))})"
