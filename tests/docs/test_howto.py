"""Every command of the how-tos is run as it stands, in order, in one folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
BLOCKS = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
PASSWORD = "a password\n"


def commands() -> list[str]:
    text = (DOCS / "howto.md").read_text()
    return [line for block in BLOCKS.findall(text) for line in block.splitlines()]


def test_the_commands_do_what_the_page_says(tmp_path: Path) -> None:
    program = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{program}:{os.environ['PATH']}",
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    assert len(commands()) > 8
    for command in commands():
        done = subprocess.run(
            command,
            check=False,
            shell=True,
            cwd=tmp_path,
            env=environment,
            input=PASSWORD,
            capture_output=True,
            text=True,
            timeout=15,
        )
        no_log_yet = command.startswith("portway log") and done.returncode == 1
        assert done.returncode == 0 or no_log_yet, (command, done.stderr)
        assert "Traceback" not in done.stderr
        if command.startswith("portway init"):
            own_state_folder(tmp_path / "portway.toml", tmp_path / "state")


def own_state_folder(path: Path, state: Path) -> None:
    """Let a configuration that was just written keep its state where we may write."""
    text = re.sub(
        r"^#?\s*state\s*=.*$",
        f'state = "{state}"',
        path.read_text(),
        flags=re.MULTILINE,
    )
    assert str(state) in text
    path.write_text(text)
