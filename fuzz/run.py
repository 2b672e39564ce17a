"""Run the fuzz targets: ``python -m fuzz.run [-max_total_time=SECONDS] [NAME ...]``.

Each target is a module ``fuzz_NAME`` with a function ``target(data)`` that returns, or
lets an assertion or a foreign exception through. The time is for each target; other
words that begin with a dash go to libFuzzer. What breaks a target is left in
``tests/corpus/NAME``, where the tests find it; what is merely new is not kept.
"""

import importlib
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
CORPUS = FOLDER.parent / "tests" / "corpus"
SECONDS = "-max_total_time=60"
BYTES = "-max_len=4096"


def names() -> list[str]:
    """Return the names of all targets."""
    return sorted(path.stem[5:] for path in FOLDER.glob("fuzz_*.py"))


def fuzz(name: str, options: list[str]) -> None:
    """Fuzz one target, in this process. Does not return."""
    import atheris  # noqa: PLC0415 - needed by nothing else here

    with atheris.instrument_imports(include=["portway", "fuzz"]):
        target = importlib.import_module(f"fuzz.fuzz_{name}").target
    seeds = CORPUS / name
    with tempfile.TemporaryDirectory() as fresh:
        words = [name, f"-artifact_prefix={seeds}/", *options, fresh, str(seeds)]
        atheris.Setup(words, target)
        atheris.Fuzz()


def main(words: list[str]) -> int:
    """Fuzz the targets named, or all, each in a process of its own."""
    options = [word for word in words if word.startswith("-")]
    chosen = [word for word in words if not word.startswith("-")]
    if len(chosen) == 1:
        fuzz(chosen[0], [SECONDS, BYTES, *options])
    for name in chosen or names():
        command = [sys.executable, "-m", "fuzz.run", *options, name]
        ended = subprocess.run(command, check=False, cwd=FOLDER.parent)
        if ended.returncode:
            return ended.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
