"""An authority, certificates of it, and contexts, made anew for each run."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

from portway.net.contexts import accepting, connecting

HOST = "ftp.example.org"


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM: an authority, and a server's certificate and key."""

    ca: str
    certificate: str
    key: str

    def accepting(self) -> ssl.SSLContext:
        """Return a server's context."""
        return accepting(self.certificate, self.key)

    def connecting(self) -> ssl.SSLContext:
        """Return a client's context that trusts the authority."""
        return connecting(ca=self.ca)


def issue(folder: Path, *names: str) -> Certificates:
    """Issue a certificate for *names*, HOST if there is none, into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    leaf = authority.issue_cert(*(names or (HOST, "127.0.0.1", "::1")))
    ca, certificate, key = (folder / f"{n}.pem" for n in ("ca", "certificate", "key"))
    authority.cert_pem.write_to_path(str(ca))
    leaf.private_key_pem.write_to_path(str(key))
    for number, blob in enumerate(leaf.cert_chain_pems):
        blob.write_to_path(str(certificate), append=number > 0)
    return Certificates(str(ca), str(certificate), str(key))
