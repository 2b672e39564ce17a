"""A client that stops amid a transfer: ``client.py PORT USER COMMAND``.

It says ``moving`` once a part of the payload went through, and then does nothing more.
"""

import signal
import sys
from ftplib import FTP

PART = 1 << 20


def main(port: str, user: str, command: str) -> None:
    client = FTP()
    client.connect("127.0.0.1", int(port), 10)
    client.login(user, "s3cret")
    client.voidcmd("TYPE I")
    stream = client.transfercmd(command)
    left = PART
    if command.startswith("STOR"):
        stream.sendall(bytes(left))
        left = 0
    while left:
        left -= len(stream.recv(min(left, 65536)))
    sys.stdout.write("moving\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
