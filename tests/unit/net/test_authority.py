"""The authority's files, and its leaves, as OpenSSL and Python take them or do not."""

import os
import socket
import ssl
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from portway.net import authority
from portway.net.authority import (
    Authority,
    make_authority,
    open_authority,
    read_authority,
    show,
)

NOW = float(int(time.time()))
DAY = 86400.0
PRIVATE = b"PRIVATE KEY"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def ours(state: Path) -> Authority:
    return open_authority(state, "edge", (), NOW)


def leaf_of(
    context: ssl.SSLContext, name: str, trusting: ssl.SSLContext | None = None
) -> x509.Certificate:
    """Shake hands in memory as a client that wants *name*; return what it is shown."""
    if trusting is None:
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(down, up, server_hostname=name)
    server = context.wrap_bio(up, down, server_side=True)
    done = False
    while not done:
        done = True
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                done = False
    shown = client.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown)


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def trusting(state: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=show(state).path)


def test_what_is_made(state: Path, ours: Authority) -> None:
    folder = state / "ca"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    assert names_in(state) == ["ca"]
    assert PRIVATE not in (folder / "certificate.pem").read_bytes()
    made = x509.load_der_x509_certificate(ours.der)
    assert made.public_key().curve.name == "secp256r1"  # type: ignore[union-attr]
    basic = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    assert made.not_valid_after_utc.year - made.not_valid_before_utc.year == 10


def test_nothing_is_told_of_a_key(ours: Authority) -> None:
    assert "Portway CA edge" in repr(ours)
    assert "key" not in repr(ours).lower()
    assert PRIVATE not in ours.der


def test_a_leaf(state: Path, ours: Authority) -> None:
    leaf = leaf_of(ours.context("www.here.test", b"", NOW), "www.here.test")
    assert leaf.subject == x509.Name([])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert [*names.value] == [x509.DNSName("www.here.test")]
    hour = timedelta(hours=1)
    now = datetime.fromtimestamp(NOW, UTC)
    assert leaf.not_valid_before_utc == now - hour
    assert leaf.not_valid_after_utc == now - hour + timedelta(days=7)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert leaf.public_key() != read_authority(state)._certificate.public_key()


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7"])
def test_a_leaf_for_an_address(state: Path, ours: Authority, host: str) -> None:
    context = ours.context(host, b"", NOW)
    leaf = leaf_of(context, host, trusting(state))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert [*names.value] == [x509.IPAddress(ip_address(host))]


def test_one_key_a_process_and_another_after_it(state: Path, ours: Authority) -> None:
    keys = {
        leaf_of(made.context(host, b"", NOW), host).public_key().public_numbers()  # type: ignore[union-attr]
        for made, host in (
            (ours, "a.test"),
            (ours, "b.test"),
            (read_authority(state), "a.test"),
        )
    }
    assert len(keys) == 2


def test_python_takes_the_leaf_for_its_name_alone(state: Path, ours: Authority) -> None:
    context = ours.context("www.here.test", b"", NOW)
    leaf_of(context, "www.here.test", trusting(state))
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        leaf_of(context, "other.test", trusting(state))
    with pytest.raises(ssl.SSLCertVerificationError):
        leaf_of(context, "www.here.test", ssl.create_default_context())


def test_leaves_are_kept_by_name_and_by_the_servers_own(ours: Authority) -> None:
    first = ours.context("kept.test", b"1", NOW)
    assert ours.context("kept.test", b"1", NOW + 60) is first
    assert ours.context("kept.test", b"2", NOW) is not first
    assert ours.context("other.test", b"1", NOW) is not first


def test_a_leaf_that_is_about_to_end_is_made_anew(ours: Authority) -> None:
    first = ours.context("old.test", b"", NOW)
    assert ours.context("old.test", b"", NOW + 5.9 * DAY) is first
    second = ours.context("old.test", b"", NOW + 6 * DAY)
    assert second is not first
    leaf = leaf_of(second, "old.test")
    assert leaf.not_valid_after_utc.timestamp() > NOW + 12 * DAY


def test_no_leaf_outlives_its_authority(ours: Authority) -> None:
    ends = ours._certificate.not_valid_after_utc
    leaf = leaf_of(ours.context("last.test", b"", ends.timestamp() - DAY), "last.test")
    assert leaf.not_valid_after_utc == ends


def test_no_more_are_kept_than_a_bound(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authority, "MOST", 3)
    made = read_authority(state)
    first = made.context("h0.test", b"", NOW)
    for number in range(1, 3):
        made.context(f"h{number}.test", b"", NOW)
    assert made.context("h0.test", b"", NOW) is first  # used last
    made.context("h3.test", b"", NOW)
    assert len(made) == 3
    assert made.context("h0.test", b"", NOW) is first


def test_what_is_there_is_taken(tmp_path: Path) -> None:
    first = open_authority(tmp_path, "edge", (), NOW)
    assert open_authority(tmp_path, "other", (), NOW + DAY).der == first.der


def test_many_at_once_make_one(tmp_path: Path) -> None:
    wait = threading.Barrier(8)

    def make() -> bytes:
        wait.wait()
        return open_authority(tmp_path, "edge", (), NOW).der

    with ThreadPoolExecutor(8) as threads:
        found = {future.result() for future in [threads.submit(make) for _ in range(8)]}
    assert len(found) == 1
    assert names_in(tmp_path) == ["ca"]


def test_nothing_is_left_of_one_that_could_not_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        make_authority(tmp_path, "edge", (), NOW)
    assert names_in(tmp_path) == []


def test_what_cannot_be_used(tmp_path: Path) -> None:
    open_authority(tmp_path, "edge", (), NOW)
    key, certificate = tmp_path / "ca" / "key.pem", tmp_path / "ca" / "certificate.pem"
    with pytest.raises(ValueError, match="has expired; remove"):
        open_authority(tmp_path, "edge", (), NOW + 3651 * DAY)
    with pytest.raises(ValueError, match="permits other names: any host; write"):
        open_authority(tmp_path, "edge", ("here.test",), NOW)
    key.chmod(0o640)
    with pytest.raises(ValueError, match="others can read it; chmod 600"):
        read_authority(tmp_path)
    key.chmod(0o600)
    other = tmp_path / "other"
    open_authority(other, "edge", (), NOW)
    right = certificate.read_bytes()
    certificate.write_bytes((other / "ca" / "certificate.pem").read_bytes())
    with pytest.raises(ValueError, match="it is not the key of"):
        read_authority(tmp_path)
    certificate.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no certificate in PEM"):
        read_authority(tmp_path)
    certificate.write_bytes(right)
    key.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no private key of an elliptic curve"):
        read_authority(tmp_path)


PERMITTED = [
    # what is permitted, a host, whether it is
    (("here.test",), "here.test", True),
    (("here.test",), "a.b.here.test", True),
    (("here.test",), "there.test", False),
    (("here.test",), "nothere.test", False),
    (("here.test",), "192.0.2.7", False),
    (("here.test",), "2001:db8::7", False),
    (("192.0.2.0/24",), "192.0.2.7", True),
    (("192.0.2.0/24",), "198.51.100.7", False),
    (("192.0.2.0/24",), "2001:db8::7", False),
    (("192.0.2.0/24",), "here.test", False),
    (("2001:db8::/32", "here.test"), "2001:db8::7", True),
    (("2001:db8::/32", "here.test"), "192.0.2.7", False),
    (("2001:db8::/32", "here.test"), "www.here.test", True),
    (("2001:db8::/32", "here.test"), "there.test", False),
]


@pytest.mark.parametrize(("permitted", "host", "fits"), PERMITTED)
def test_clients_hold_it_to_what_is_permitted(
    tmp_path: Path, permitted: tuple[str, ...], host: str, fits: bool
) -> None:
    made = open_authority(tmp_path, "edge", permitted, NOW)
    assert sorted(made.permitted) == sorted(permitted)
    assert made.permits(host) is fits
    context = made.context(host, b"", NOW)  # as one who has stolen the key would
    if fits:
        leaf_of(context, host, trusting(tmp_path))
        return
    with pytest.raises(ssl.SSLCertVerificationError, match=r"permitted|excluded"):
        leaf_of(context, host, trusting(tmp_path))


@contextmanager
def served(context: ssl.SSLContext) -> Iterator[int]:
    """Serve one client of a program after another on a port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        stop = threading.Event()

        def run() -> None:
            while not stop.is_set():
                sock, _ = door.accept()
                with sock:
                    sock.settimeout(5)
                    try:
                        with context.wrap_socket(sock, server_side=True) as tls:
                            tls.recv(4096)
                            tls.sendall(
                                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                                b"Connection: close\r\n\r\nhi"
                            )
                    except OSError:
                        continue

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield door.getsockname()[1]
        finally:
            stop.set()
            socket.create_connection(door.getsockname()).close()
            thread.join(10)


def test_openssl_and_curl_take_the_leaf_for_its_name_alone(
    state: Path, ours: Authority
) -> None:
    ca = show(state).path
    curl = ["curl", "-sS", "--noproxy", "*", "--cacert", ca]
    with served(ours.context("www.here.test", b"", NOW)) as port:
        for name, fits in (("www.here.test", True), ("other.test", False)):
            command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}"]
            options = ["-CAfile", ca, "-verify_return_error", "-verify_hostname", name]
            done = subprocess.run(
                [*command, *options, "-servername", name, "-x509_strict"],
                input=b"GET / HTTP/1.1\r\n\r\n",
                capture_output=True,
                check=False,
                timeout=10,
            )
            assert (b"Verify return code: 0 (ok)" in done.stdout) is fits, done
            got = subprocess.run(
                [*curl, "--connect-to", f"::127.0.0.1:{port}", f"https://{name}/"],
                capture_output=True,
                check=False,
                timeout=10,
            )
            assert (got.returncode, got.stdout) == ((0, b"hi") if fits else (60, b""))


def test_openssl_finds_no_fault_with_the_certificates(
    state: Path, ours: Authority, tmp_path: Path
) -> None:
    leaf = leaf_of(ours.context("lint.test", b"", NOW), "lint.test")
    path = tmp_path / "leaf.pem"
    path.write_bytes(leaf.public_bytes(Encoding.PEM))
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver"]
    done = subprocess.run(
        [*command, "-CAfile", show(state).path, str(path)],
        capture_output=True,
        check=False,
        timeout=10,
    )
    assert done.returncode == 0, done.stderr
