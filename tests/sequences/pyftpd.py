"""The pyftpdlib server: ``pyftpd.py ADDRESS FOLDER RECORD USER PASSWORD``.

It listens on a free port of ADDRESS and, if it may, on 21 too; it prints the ports when
it is ready. RECORD gets a line for each visitor's arrival, its number alone, and one
for each command: the visitor's number, a blank, and what was said.
"""

import contextlib
import itertools
import sys
from pathlib import Path

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

# pyftpdlib makes a reply of many lines of what is longer than 75 characters.
GREETING = "Welcome to\r\n the server\r\n of the sequences" + 60 * "."


def main(address: str, folder: str, record: str, user: str, password: str) -> None:
    numbers = itertools.count()
    authorizer = DummyAuthorizer()
    authorizer.add_user(user, password, folder, perm="elr")
    authorizer.add_anonymous(folder, perm="elr")
    with Path(record).open("a", buffering=1) as heard:

        class Handler(FTPHandler):  # type: ignore[misc]  # it has no types
            banner = GREETING
            auth_failed_timeout = 0

            def on_connect(self) -> None:
                self.number = next(numbers)
                heard.write(f"{self.number}\n")

            def pre_process_command(self, line: str, verb: str, argument: str) -> None:
                heard.write(f"{self.number} {line}\n")
                super().pre_process_command(line, verb, argument)

        Handler.authorizer = authorizer
        server = FTPServer((address, 0), Handler)
        ports = [server.address[1]]
        with contextlib.suppress(OSError):
            ports.append(FTPServer((address, 21), Handler).address[1])
        print("ready", *ports, flush=True)  # noqa: T201 - who started it waits for it
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
