"""``portway`` as it is, but that a wrong login costs nothing.

For tests that give many wrong ones, and are not about what those cost.
"""

import sys

from portway.cli.main import run
from portway.users import guessing

PROGRAM = (sys.executable, "-m", __spec__.name)

if __name__ == "__main__":
    guessing.DELAYS = (0.0,)
    guessing.BAN_AFTER = 1_000_000
    run()
