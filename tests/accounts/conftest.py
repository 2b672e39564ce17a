"""The account servers that the tests share, each started on first use."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.accounts.servers import FreeRadius, Slapd
from tests.certificates import issue


@pytest.fixture(scope="session")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    folder = tmp_path_factory.mktemp("slapd")
    made = Slapd(folder, issue(folder / "tls", "127.0.0.1"))
    made.fill()
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def freeradius(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreeRadius]:
    made = FreeRadius(tmp_path_factory.mktemp("freeradius"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
