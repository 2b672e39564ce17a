"""The authority of interception: its key, its certificate, and the leaves of it.

Clients must trust its certificate. Its key is made here, at first need, and never
leaves its folder; the one key of all leaves never leaves the process.

Not here: whose TLS is opened (protocols.http.intercept). Invariant: what is in the
folder is a key and the certificate of that key, or nothing; a leaf has one name, which
the authority permits, and no secret is in any repr.
"""

import errno
import os
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from ssl import SSLContext

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from portway.model import read_address
from portway.net.contexts import accepting

FOLDER = "ca"  # in the state folder
KEY = "key.pem"
CERTIFICATE = "certificate.pem"
YEARS = timedelta(days=3650)
LEAF_DAYS = timedelta(days=7)
BEFORE = timedelta(hours=1)  # for clients whose clock is slow
FRESH = timedelta(days=1)  # a leaf that ends sooner is made anew
MOST = 1000  # leaves that are kept: security.md, section 4
ALPN = ("http/1.1",)  # RFC 7301
LARGEST = 65536  # bytes of a file

Network = IPv4Network | IPv6Network
EVERY_ADDRESS: tuple[Network, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@dataclass(frozen=True, slots=True)
class Shown:
    """What people may see of an authority; times are in UTC."""

    path: str
    subject: str
    fingerprint: str
    begins: datetime
    ends: datetime
    permitted: tuple[str, ...]


class Authority:
    """One authority. Made by `open_authority`, or from a folder by `read_authority`."""

    __slots__ = (
        "_certificate",
        "_key",
        "_leaf_key",
        "_leaf_pem",
        "_leaves",
        "_names",
        "_networks",
    )

    def __init__(
        self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
    ) -> None:
        self._key = key
        self._certificate = certificate
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._leaf_pem = _private(self._leaf_key)
        self._names, self._networks = _split(permitted_by(certificate))
        # the ends of leaves, and what shows them, by name and by the server's leaf
        self._leaves: OrderedDict[tuple[str, bytes], tuple[datetime, SSLContext]] = (
            OrderedDict()
        )

    def __repr__(self) -> str:
        return f"<Authority {self._certificate.subject.rfc4514_string()}>"

    def __len__(self) -> int:
        return len(self._leaves)

    @property
    def der(self) -> bytes:
        """The certificate, as browsers and phones take it."""
        return self._certificate.public_bytes(serialization.Encoding.DER)

    @property
    def permitted(self) -> tuple[str, ...]:
        """The domains and networks that it is limited to; none: it is not."""
        return permitted_by(self._certificate)

    def permits(self, host: str) -> bool:
        """Say whether it may vouch for *host*, a name or an address."""
        if not (self._names or self._networks):
            return True
        address = read_address(host)
        if address is not None:
            return any(address in network for network in self._networks)
        return any(host == name or host.endswith(f".{name}") for name in self._names)

    def context(self, host: str, server: bytes, now: float) -> SSLContext:
        """Return what shows a client a certificate for *host*.

        *server* is a hash of what the server has shown, for which it stands; *now* is
        in seconds since the epoch. Raises ValueError for what is no name of a host.
        """
        moment = datetime.fromtimestamp(now, UTC)
        known = self._leaves.get((host, server))
        if known is not None and moment < known[0] - FRESH:
            self._leaves.move_to_end((host, server))
            return known[1]
        leaf = self._mint(host, moment)
        context = self._shows(leaf)
        self._leaves[host, server] = leaf.not_valid_after_utc, context
        self._leaves.move_to_end((host, server))
        if len(self._leaves) > MOST:
            self._leaves.popitem(last=False)
        return context

    def _mint(self, host: str, now: datetime) -> x509.Certificate:
        address = read_address(host)
        name = x509.DNSName(host) if address is None else x509.IPAddress(address)
        begins, issuer = now - BEFORE, self._certificate
        identifier = issuer.extensions.get_extension_for_class(
            x509.SubjectKeyIdentifier
        ).value
        builder = _begun(x509.Name([]), issuer.subject, self._leaf_key.public_key())
        builder = builder.not_valid_before(begins).not_valid_after(
            min(begins + LEAF_DAYS, issuer.not_valid_after_utc)
        )
        for extension, critical in (
            # critical, since there is no subject: RFC 5280, section 4.2.1.6
            (x509.SubjectAlternativeName([name]), True),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage(signs_data=True), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                    identifier
                ),
                False,
            ),
        ):
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self._key, hashes.SHA256())

    def _shows(self, leaf: x509.Certificate) -> SSLContext:
        """Return a context for *leaf*; OpenSSL takes keys from files alone."""
        descriptor = os.memfd_create("leaf", os.MFD_CLOEXEC)
        try:
            with os.fdopen(descriptor, "wb", closefd=False) as stream:
                stream.write(self._leaf_pem)
                stream.write(leaf.public_bytes(serialization.Encoding.PEM))
            return accepting(f"/proc/self/fd/{descriptor}", alpn=ALPN)
        finally:
            os.close(descriptor)


def open_authority(
    state: Path, name: str, permitted: Sequence[str], now: float
) -> Authority:
    """Return the authority of the gateway whose folder *state* is; make it, if need be.

    *name* is the gateway's, *permitted* domains and networks that it is limited to.
    Raises ValueError, in one line, for one that cannot be used; OSError.
    """
    folder = state / FOLDER
    if not folder.exists():
        make_authority(state, name, permitted, now)
    authority = read_authority(state)
    cure = f"remove {folder} to have another made, which clients have to be given"
    if sorted(authority.permitted) != sorted(permitted):
        told = ", ".join(authority.permitted) or "any host"
        text = f"the certificate that clients have permits other names: {told}"
        raise ValueError(f"{text}; write the same, or {cure}")
    if datetime.fromtimestamp(now, UTC) >= show(state).ends:
        raise ValueError(f"{folder / CERTIFICATE} has expired; {cure}")
    return authority


def make_authority(
    state: Path, name: str, permitted: Sequence[str], now: float
) -> None:
    """Make an authority in *state*, whole or not at all; one that is there stays.

    Raises OSError.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certify(key, name, permitted, datetime.fromtimestamp(now, UTC))
    fresh = Path(tempfile.mkdtemp(prefix=f"{FOLDER}.", dir=state))  # of mode 0700
    try:
        _write(fresh / KEY, _private(key), 0o600)
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        _write(fresh / CERTIFICATE, pem, 0o644)
        _own_as(state, fresh)
        _sync(fresh)
        fresh.rename(state / FOLDER)
        _sync(state)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:  # somebody was faster
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def read_authority(state: Path) -> Authority:
    """Return the authority in *state*. Raises ValueError, in one line; OSError."""
    path = state / FOLDER / KEY
    with path.open("rb") as stream:
        if os.fstat(stream.fileno()).st_mode & 0o077:
            raise ValueError(f"{path}: others can read it; chmod 600 {path}")
        data = stream.read(LARGEST)
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError):  # TypeError: it is encrypted
        key = None
    certificate = read_certificate(state)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        text = f"{path}: no private key of an elliptic curve in PEM"
        raise ValueError(text)  # noqa: TRY004 - it is a file that is wrong
    if key.public_key() != certificate.public_key():
        raise ValueError(f"{path}: it is not the key of {path.with_name(CERTIFICATE)}")
    return Authority(key, certificate)


def read_certificate(state: Path) -> x509.Certificate:
    """Return the certificate alone. Raises ValueError, in one line; OSError."""
    path = state / FOLDER / CERTIFICATE
    with path.open("rb") as stream:
        data = stream.read(LARGEST)
    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError:
        raise ValueError(f"{path}: no certificate in PEM") from None


def export(state: Path, form: str) -> bytes:
    """Return the certificate as clients import it; *form* is pem or der. As above."""
    known = {
        "pem": serialization.Encoding.PEM,
        "der": serialization.Encoding.DER,
    }
    return read_certificate(state).public_bytes(known[form])


def show(state: Path) -> Shown:
    """Return what people may see of the authority in *state*. Raises as above."""
    certificate = read_certificate(state)
    return Shown(
        path=str(state / FOLDER / CERTIFICATE),
        subject=certificate.subject.rfc4514_string(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        begins=certificate.not_valid_before_utc,
        ends=certificate.not_valid_after_utc,
        permitted=permitted_by(certificate),
    )


def permitted_by(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the domains and networks that *certificate* is limited to."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(one.value) for one in found.value.permitted_subtrees or ())


def _certify(
    key: ec.EllipticCurvePrivateKey, name: str, permitted: Sequence[str], now: datetime
) -> x509.Certificate:
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    tag = identifier.digest[:4].hex()  # so that two of one gateway can be told apart
    kept = "".join(sign for sign in name if sign.isprintable())[:32]
    common = x509.NameAttribute(NameOID.COMMON_NAME, f"Portway CA {kept} {tag}")
    subject = x509.Name([common])
    builder = _begun(subject, subject, public)
    builder = builder.not_valid_before(now - BEFORE).not_valid_after(now + YEARS)
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_usage(signs_data=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (identifier, False),
    ]
    if permitted:
        extensions.append((_constraints(permitted), True))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, hashes.SHA256())


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    return builder.public_key(key).serial_number(x509.random_serial_number())


def _constraints(permitted: Sequence[str]) -> x509.NameConstraints:
    """Return what bounds names and addresses alike. RFC 5280, section 4.2.1.10.

    A kind of which nothing is permitted would not be bounded, so all of it is excluded.
    """
    names, networks = _split(permitted)
    allowed = [*map(x509.DNSName, names), *map(x509.IPAddress, networks)]
    versions = {network.version for network in networks}
    excluded: list[x509.GeneralName] = [
        x509.IPAddress(every)
        for every in EVERY_ADDRESS
        if every.version not in versions
    ]
    if not names:
        excluded.append(x509.DNSName(""))
    return x509.NameConstraints(allowed, excluded or None)


def _split(permitted: Sequence[str]) -> tuple[tuple[str, ...], tuple[Network, ...]]:
    names, networks = [], []
    for word in permitted:
        try:
            networks.append(ip_network(word))
        except ValueError:
            names.append(word)
    return tuple(names), tuple(networks)


def _usage(*, signs_data: bool) -> x509.KeyUsage:
    """Return what a key may do: sign in TLS, or else sign certificates."""
    return x509.KeyUsage(
        digital_signature=signs_data,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not signs_data,
        crl_sign=not signs_data,
        encipher_only=False,
        decipher_only=False,
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)


def _own_as(state: Path, folder: Path) -> None:
    """Let *folder* belong to whom *state* does: root may have made it."""
    there = state.stat()
    for path in (folder, *folder.iterdir()):
        with suppress(PermissionError):
            os.chown(path, there.st_uid, there.st_gid)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
