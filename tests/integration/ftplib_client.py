"""Python's ftplib as a client that speaks every dialect, by hand.

``ftplib_client.py GATEWAY PORT DIALECT MODE HOST USER PASSWORD FU FP UPLOAD``
"""

import ftplib
import socket
import sys
from collections.abc import Callable
from pathlib import Path

Step = tuple[str, str]  # a command, and the codes, parted by blanks, that may answer it


def steps(
    dialect: str, host: str, *, user: str, password: str, fu: str, fp: str
) -> list[Step]:
    """Return the words of *dialect*, with the one reply that each may get."""
    proxy: list[Step] = []
    if fu:
        proxy = [(f"USER {fu}", "331"), (f"PASS {fp}", "230")]
    login = [(f"USER {user}", "331"), (f"PASS {password}", "230")]
    at = [(f"USER {user}@{host}", "331"), (f"PASS {password}", "230")]
    dialects: dict[str, Callable[[], list[Step]]] = {
        "A": lambda: at,
        "B": lambda: [*proxy, *at],
        "C": lambda: [*proxy, (f"SITE {host}", "220"), *login],
        "D": lambda: [*proxy, (f"OPEN {host}", "220"), *login],
        "D1": lambda: [(f"OPEN {host}", "220"), *proxy, *login],
        "D2": lambda: [*login, (f"ACCT {host}", "230")],
        "E": lambda: [(f"USER {fu}@{host}", "331"), (f"PASS {fp}", "230"), *login],
        "F": lambda: [
            (f"USER {user}@{fu}@{host}", "331"),
            (f"PASS {password}@{fp}", "230"),
        ],
        "G": lambda: [
            (f"USER {user}@{host} {fu}", "331"),
            (f"PASS {password}", "332"),
            (f"ACCT {fp}", "230"),
        ],
        "I": lambda: [(f"USER {user}@{host} 21", "331"), (f"PASS {password}", "230")],
        "J": lambda: [*at, (f"AUTH {fu}", "331"), (f"RESP {fp}", "230")],
        "J1": lambda: [
            *at,
            (f"SITE AUTHENTICATE {fu}", "331"),
            (f"SITE RESPONSE {fp}", "230"),
        ],
        "L": lambda: [
            (f"USER {fu}:{user}@{host}", "331"),
            (f"PASS {fp}:{password}", "230"),
        ],
        "L3": lambda: [
            (f"USER {fu}:{fp}:{user}@{host}", "331"),
            (f"PASS {password}", "230"),
        ],
        "L4": lambda: [
            (f"USER {fu}:{fp}:{user}:{password}@{host}", "331"),
            ("PASS x", "230"),
        ],
    }
    return dialects[dialect]()


class Client(ftplib.FTP):
    """ftplib, made to use the data mode it is told."""

    mode = "PASV"

    def makepasv(self) -> tuple[str, int]:
        if self.mode == "EPSV":
            assert self.sock is not None
            return ftplib.parse229(self.sendcmd("EPSV"), self.sock.getpeername())
        self.trust_server_pasv_ipv4_address = True
        return ftplib.parse227(self.sendcmd("PASV"))

    def makeport(self) -> socket.socket:
        assert self.sock is not None
        host = self.sock.getsockname()[0]
        listener = socket.create_server((host, 0), family=self.af, backlog=1)
        listener.settimeout(8)
        port = listener.getsockname()[1]
        if self.mode == "EPRT":
            self.sendeprt(host, port)
        else:
            self.sendport(host, port)
        return listener


def main(words: list[str]) -> None:
    gateway, port, dialect, mode, host, user, password, fu, fp, upload = words
    client = Client(timeout=8)
    client.set_debuglevel(1)
    client.mode = mode
    client.connect(gateway, int(port))
    client.set_pasv(mode in ("PASV", "EPSV"))
    said = steps(dialect, host, user=user, password=password, fu=fu, fp=fp)
    for command, codes in said:
        reply = client.sendcmd(command)
        if reply[:3] not in codes.split():
            sys.exit(f"{command}: {reply}")
    with Path("up.bin").open("rb") as source:
        client.storbinary(f"STOR files/{upload}", source)
    with Path("down.bin").open("wb") as sink:
        client.retrbinary("RETR files/sample.bin", sink.write)
    client.retrlines("LIST files")
    client.quit()


if __name__ == "__main__":
    main(sys.argv[1:])
