"""``python -m portway``."""

from portway.cli.main import run

run()
