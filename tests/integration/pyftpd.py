"""pyftpdlib as a server of the tests: ``pyftpd.py ADDRESS FOLDER USER PASSWORD``."""

import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer


class Handler(FTPHandler):  # type: ignore[misc]
    banner = "pyftpdlib of the tests"
    use_gmt_times = True


def main(address: str, folder: str, user: str, password: str) -> None:
    authorizer = DummyAuthorizer()
    authorizer.add_user(user, password, folder, perm="elradfmwMT")
    Handler.authorizer = authorizer
    FTPServer((address, 21), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
