"""Python's ftplib inside TLS, made to use the data mode and the protection it is told.

``secure_ftplib_client.py HOST PORT TLS CA MODE USER PASSWORD UPLOAD``
"""

import ftplib
import socket
import ssl
import sys
from pathlib import Path

from ftplib_client import Client

SECONDS = 8


class SecureClient(Client, ftplib.FTP_TLS):
    """ftplib.FTP_TLS with the data modes of `Client`."""


class AtOnce(SecureClient):
    """It is inside TLS from the first byte on, and so are its data."""

    def connect(  # type: ignore[override] - fewer words than ftplib takes
        self, host: str, port: int
    ) -> str:
        self.host = host
        plain = socket.create_connection((host, port), SECONDS)
        self.af = plain.family
        self.sock = self.context.wrap_socket(plain, server_hostname=host)
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        return self.welcome


def client_of(tls: str, ca: str) -> ftplib.FTP:
    """Return a client that is not connected yet."""
    if tls == "off":
        return Client(timeout=SECONDS)
    kind = AtOnce if tls == "implicit" else SecureClient
    return kind(context=ssl.create_default_context(cafile=ca), timeout=SECONDS)


def main(words: list[str]) -> None:
    host, port, tls, ca, mode, user, password, upload = words
    client = client_of(tls, ca)
    client.set_debuglevel(1)
    assert isinstance(client, Client)
    client.mode = mode
    client.connect(host, int(port))
    if isinstance(client, ftplib.FTP_TLS) and tls != "implicit":
        client.auth()
    client.set_pasv(mode in ("PASV", "EPSV"))
    ftplib.FTP.login(client, user, password)
    if isinstance(client, ftplib.FTP_TLS) and tls != "clear":
        client.prot_p()
    with Path("up.bin").open("rb") as source:
        client.storbinary(f"STOR files/{upload}", source)
    with Path("down.bin").open("wb") as sink:
        client.retrbinary("RETR files/sample.bin", sink.write)
    with Path("listing").open("w") as listing:
        client.retrlines("LIST files", listing.write)
    client.quit()


if __name__ == "__main__":
    main(sys.argv[1:])
