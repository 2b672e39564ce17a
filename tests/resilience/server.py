"""pyftpdlib that tells how each file ended: ``server.py FOLDER``, a port by itself."""

import logging
import sys
from pathlib import Path

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer


def tell(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


class Handler(FTPHandler):  # type: ignore[misc]
    def on_file_sent(self, file: str) -> None:
        tell("sent", Path(file).name)

    def on_file_received(self, file: str) -> None:
        tell("received", Path(file).name)

    def on_incomplete_file_sent(self, file: str) -> None:
        tell("cut", Path(file).name)

    def on_incomplete_file_received(self, file: str) -> None:
        tell("cut", Path(file).name)

    def on_disconnect(self) -> None:
        tell("bye")


def main(folder: str) -> None:
    logging.basicConfig(level=logging.WARNING)
    authorizer = DummyAuthorizer()
    authorizer.add_user("joe", "s3cret", folder, perm="elradfmwMT")
    Handler.authorizer = authorizer
    server = FTPServer(("127.0.0.1", 0), Handler)
    tell("port", server.socket.getsockname()[1])
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
