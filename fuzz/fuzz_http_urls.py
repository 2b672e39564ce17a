"""Targets, hosts and paths: a good value with one reading, or a refusal."""

from portway.model import Endpoint, Side
from portway.protocols.http.authority import (
    Form,
    format_authority,
    read_authority,
    read_host,
    read_target,
    rules_path,
    target_at,
)
from portway.protocols.http.wire import BadMessage


def check_endpoint(place: Endpoint) -> None:
    assert 0 < place.port < 65536
    assert place.host == place.host.lower()
    assert place.host.isascii()
    assert 0 < len(place.host) <= 253
    written = format_authority(place.host, place.port)
    assert read_authority(written) == place
    if place.address is not None:
        assert str(place.address) == place.host


def check_target(method: str, data: bytes) -> None:
    try:
        target = read_target(method, data)
    except BadMessage as error:
        if error.side is not Side.CLIENT or error.status not in {400, 501}:
            raise
        return
    if target.form in {Form.ABSOLUTE, Form.AUTHORITY}:
        check_endpoint(target.endpoint)
    if target.path:
        assert target.path[:1] in {b"/", b"*"}
        assert target.path.endswith(data[len(data) - len(target.path) + 1 :])
    assert "password" not in repr(target)
    assert not {"\r", "\n", "\0"} & {*target.user, *(target.password or "")}


def check_host(data: bytes) -> None:
    for idna in (False, True):
        try:
            host = read_host(data, idna=idna)
        except ValueError:
            continue
        assert host.isascii()
        assert read_host(f"[{host}]" if ":" in host else host) == host
    try:
        target = target_at("http", data, b"/")
    except BadMessage:
        return
    check_endpoint(target.endpoint)


def check_path(data: bytes) -> None:
    path = b"/" + data
    seen = rules_path(path)
    assert seen.startswith("/")
    assert seen == "/" or not seen.endswith("/")
    assert not {"", ".", ".."} & set(seen[1:].split("/")) or seen == "/"
    assert rules_path(path + b"?x=/../y") == rules_path(path.partition(b"?")[0])
    plain = path.partition(b"?")[0]
    if b"%" not in plain:
        escaped = b"".join(
            b"%%%02x" % byte if byte > 127 or byte in b".aZ" else bytes([byte])
            for byte in plain
        )
        assert rules_path(escaped) == seen


def target(data: bytes) -> None:
    for method in ("GET", "OPTIONS", "CONNECT"):
        check_target(method, data)
        check_target(method, b"http://" + data)
    check_target("GET", b"ftp://" + data)
    check_host(data)
    check_path(data)
