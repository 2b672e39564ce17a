import ssl

import pytest

from portway.protocols.ftp.secured import Eof, Secured


@pytest.mark.parametrize(
    ("eof", "polite", "lenient"),
    [
        ("auto", False, True),
        ("auto", True, False),
        ("strict", False, False),
        ("strict", True, False),
        ("lenient", False, True),
        ("lenient", True, True),
    ],
)
def test_an_end_without_a_signature(eof: Eof, *, polite: bool, lenient: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    secured = Secured(context, "ftp.example.org", eof)
    secured.says_goodbye = polite
    assert secured.lenient is lenient
