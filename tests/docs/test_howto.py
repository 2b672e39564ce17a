"""Every command of the how-tos is run as it stands, in order, in one folder."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BLOCKS = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
PASSWORD = "a password\n"


def commands() -> list[str]:
    text = (DOCS / "howto.md").read_text()
    return [line for block in BLOCKS.findall(text) for line in block.splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(120)  # half a second for each of them, and more where all is busy
def test_the_commands_do_what_the_page_says(tmp_path: Path) -> None:
    with ExitStack() as stack:
        run_all(tmp_path, stack)


def run_all(tmp_path: Path, stack: ExitStack) -> None:
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
        assert done.returncode == 0, (command, done.stderr)
        assert "Traceback" not in done.stderr
        if command.startswith("portway init"):
            own_state_folder(tmp_path / "portway.toml", tmp_path / "state")
            stack.enter_context(running(tmp_path / "portway.toml", environment))


@contextmanager
def running(path: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Hold a gateway running, on any port, for the commands that ask one."""
    text = path.read_text()
    path.write_text(text.replace('"127.0.0.1:2121"', '"127.0.0.1:0"', 1))
    program = Path(sys.executable).with_name("portway")
    command = [str(program), "serve", "-c", str(path)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True
    ) as gateway:
        try:
            assert gateway.stdout is not None
            while gateway.stdout.readline() not in {"ready\n", ""}:
                continue
            assert gateway.poll() is None
            yield
        finally:
            gateway.terminate()
            gateway.wait(10)


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
