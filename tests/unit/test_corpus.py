"""Every input that once mattered to a parser, through the same checks as in fuzzing."""

import importlib
from pathlib import Path

import pytest
from fuzz.run import CORPUS, names

FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())


def test_every_target_has_a_corpus() -> None:
    assert {path.parent.name for path in FILES} == set(names())


@pytest.mark.parametrize(
    "path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_corpus_file(path: Path) -> None:
    target = importlib.import_module(f"fuzz.fuzz_{path.parent.name}").target
    target(path.read_bytes())
