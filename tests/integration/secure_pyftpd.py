"""pyftpdlib inside TLS: ``secure_pyftpd.py PEM VERSION PORT ADDRESS FOLDER USER WORD``.

It insists on TLS for the control connection and for data.
"""

import sys

from OpenSSL import SSL
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import TLS_FTPHandler
from pyftpdlib.servers import FTPServer


class Handler(TLS_FTPHandler):  # type: ignore[misc]
    banner = "pyftpdlib of the tests"
    use_gmt_times = True
    tls_control_required = True
    tls_data_required = True


def main(  # noqa: PLR0917 - its command line
    pem: str, version: str, port: str, address: str, folder: str, user: str, word: str
) -> None:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(pem)
    context.use_privatekey_file(pem)
    number = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}[version]
    context.set_min_proto_version(number)
    context.set_max_proto_version(number)
    authorizer = DummyAuthorizer()
    authorizer.add_user(user, word, folder, perm="elradfmwMT")
    Handler.authorizer = authorizer
    Handler.ssl_context = context
    FTPServer((address, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
