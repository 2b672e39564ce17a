"""What holds for every source file, and what pure modules may not load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import portway

SOURCE = Path(portway.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
LINES = 400

# Every module that its docstring, or the architecture, calls pure.
PURE = [
    "portway.model",
    "portway.errors",
    "portway.lines",
    "portway.units",
    "portway.config.locate",
    "portway.net.guard",
    "portway.policy.clients",
    "portway.policy.index",
    "portway.policy.limits",
    "portway.policy.rule",
    "portway.policy.lists",
    "portway.policy.listreader",
    "portway.policy.match",
    "portway.policy.schedule",
    "portway.policy.rules",
    "portway.policy.explain",
    "portway.users.guessing",
    "portway.users.ber",
    "portway.users.ldap_filter",
    "portway.users.ldap_messages",
    "portway.users.radius_packet",
    "portway.protocols.ftp.wire",
    "portway.protocols.ftp.commands",
    "portway.protocols.ftp.dialects",
    "portway.protocols.ftp.data",
    "portway.protocols.ftp.dialogue",
    "portway.protocols.ftp.transfer",
    "portway.protocols.ftp.sftp.entries",
    "portway.protocols.ftp.sftp.failures",
    "portway.protocols.ftp.sftp.textlines",
]
IO = ["asyncio", "socket", "ssl", "select", "selectors", "logging", "_socket", "_ssl"]


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_loads_nothing_that_does_io(module: str) -> None:
    program = f"import sys, {module}; print(*(m for m in {IO} if m in sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={"PYTHONPATH": str(SOURCE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.split() == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_no_longer_than_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.name == "__init__.py"], ids=name_of
)
def test_a_package_does_nothing_when_it_is_imported(path: Path) -> None:
    docstring, *rest = ast.parse(path.read_text()).body
    assert isinstance(docstring, ast.Expr)
    if path.parent == SOURCE:  # the version, and nothing else
        (version,) = rest
        assert isinstance(version, ast.Assign)
        assert isinstance(version.value, ast.Constant)
    else:
        assert rest == []
