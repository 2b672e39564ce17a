"""What the resilience tests share: gateways and servers that end with the test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.integration.gateway import Held
from tests.integration.nanoftpd import NanoFtpd
from tests.resilience.running import (
    ADDRESS,
    HOME,
    LOOPS,
    MIB,
    Running,
    Served,
    configuration,
)

Start = Callable[..., Running]


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return what starts a gateway; arguments are those of `Running`."""
    with ExitStack() as stack:

        def begin(text: str = "", **options: object) -> Running:
            folder = tmp_path / "gateway"
            made = Running(folder, text, **options)  # type: ignore[arg-type]
            return stack.enter_context(made)

        yield begin


IMPATIENT = configuration(
    listen='login_time = "1500ms"\nidle = "2500ms"\nstall = "1s"',
    upstream='reply_timeout = "1s"',
)


@pytest.fixture(scope="module", params=LOOPS)
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, Held]]:
    """A gateway of little patience, see `IMPATIENT`, and what it holds at rest."""
    folder = tmp_path_factory.mktemp("impatient")
    with Running(folder, IMPATIENT, loop=request.param) as made:
        before = made.held
        with NanoFtpd(HOME, ADDRESS, 0) as server, made.enter(server) as client:
            client.expect("QUIT", 221)  # so that all that is opened once is open
        made.record_of("CONNECT")
        made.lets_go(before)
        yield made, made.held


@pytest.fixture
def impatient(shared: tuple[Running, Held]) -> Running:
    """A gateway of little patience, at rest; all tests of a file share it."""
    gateway, at_rest = shared
    gateway.lets_go(at_rest)
    return gateway


@pytest.fixture
def nano() -> Iterator[NanoFtpd]:
    """A server that does what a test tells it to; ``big`` is 32 MiB."""
    with NanoFtpd(HOME, ADDRESS, 0) as made:
        made.files["big"] = bytes(32 * MIB)
        made.files["small"] = b"a few bytes"
        yield made
        assert not made.failures


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A real server in a process of its own; ``big`` is 64 MiB."""
    made = Served(tmp_path / "served")
    with (made.folder / "big").open("wb") as file:
        file.truncate(64 * MIB)
    yield made
    made.stop()
