"""What is loaded, and when."""

import subprocess
import sys

WITHOUT = """
import sys
import portway.app
import portway.cli.main
from portway.protocols.ftp.settings import FtpSettings
from portway.protocols.ftp.sftp.way import SftpWay
SftpWay(FtpSettings())
assert "asyncssh" not in sys.modules
assert "cryptography" not in sys.modules
"""


def test_a_gateway_without_sftp_loads_none_of_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
