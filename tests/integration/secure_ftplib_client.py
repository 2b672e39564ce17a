"""Python's ftplib inside TLS, made to use the data mode and the protection it is told.

``secure_ftplib_client.py HOST PORT TLS CA MODE USER PASSWORD UPLOAD``
"""

import ftplib
import socket
import ssl
import sys
from pathlib import Path

from tests.integration.ftplib_client import Client

SECONDS = 8


class SecureClient(Client, ftplib.FTP_TLS):
    """ftplib.FTP_TLS with the data modes of `Client`."""

    def connect_inside(self, host: str, port: int) -> None:
        """Begin TLS with the connection."""
        self.host = host
        plain = socket.create_connection((host, port), SECONDS)
        self.af = plain.family
        self.sock = self.context.wrap_socket(plain, server_hostname=host)
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()


def connect(host: str, port: int, tls: str, ca: str) -> Client:
    """Return a client that is connected, and inside TLS if it is to be."""
    if tls == "off":
        client = Client(timeout=SECONDS)
        client.connect(host, port)
        return client
    context = ssl.create_default_context(cafile=ca)
    secure = SecureClient(timeout=SECONDS, context=context)
    secure.set_debuglevel(1)
    if tls == "implicit":
        secure.connect_inside(host, port)
    else:
        secure.connect(host, port)
        secure.auth()
    return secure


def main(words: list[str]) -> None:
    host, port, tls, ca, mode, user, password, upload = words
    client = connect(host, int(port), tls, ca)
    client.set_debuglevel(1)
    client.mode = mode
    client.set_pasv(mode in ("PASV", "EPSV"))
    ftplib.FTP.login(client, user, password)
    if isinstance(client, SecureClient) and tls != "clear":
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
