"""Python's FTP_TLS as a client whose data resume the control connection's session.

``ftplib_tls_client.py GATEWAY PORT CA IMPLICIT MODE USER PASSWORD UPLOAD``
"""

import ftplib
import socket
import ssl
import sys
from pathlib import Path

from tests.integration.ftplib_client import Client


class SecureClient(Client, ftplib.FTP_TLS):
    """FTP_TLS, made to use the data mode it is told, and to resume."""

    implicit = False

    def connect_to(self, host: str, port: int) -> None:
        """Connect, inside TLS at once if that is how."""
        self.host, self.port = host, port
        self.sock = socket.create_connection((host, port), 8)
        self.af = self.sock.family
        if self.implicit:
            self.sock = self.context.wrap_socket(self.sock, server_hostname=host)
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()

    def ntransfercmd(
        self, cmd: str, rest: int | str | None = None
    ) -> tuple[socket.socket, int | None]:
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        assert isinstance(self.sock, ssl.SSLSocket)
        inside = self.context.wrap_socket(
            conn, server_hostname=self.host, session=self.sock.session
        )
        return inside, size


def main(words: list[str]) -> None:
    gateway, port, ca, implicit, mode, user, password, upload = words
    context = ssl.create_default_context(cafile=ca)
    client = SecureClient(timeout=8, context=context)
    client.set_debuglevel(1)
    client.mode = mode
    client.implicit = implicit == "1"
    client.connect_to(gateway, int(port))
    client.set_pasv(mode in ("PASV", "EPSV"))
    if not client.implicit:
        client.auth()
    for command, code in ((f"USER {user}", "331"), (f"PASS {password}", "230")):
        reply = client.sendcmd(command)
        if reply[:3] != code:
            sys.exit(f"{command}: {reply}")
    client.prot_p()
    with Path("up.bin").open("rb") as source:
        client.storbinary(f"STOR files/{upload}", source)
    with Path("down.bin").open("wb") as sink:
        client.retrbinary("RETR files/sample.bin", sink.write)
    client.retrlines("LIST files")
    client.quit()


if __name__ == "__main__":
    main(sys.argv[1:])
