"""Lists that change while the gateway runs. The gateway here is only its services."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.gating import Ground, ground
from tests.unit.policy.asking import MONDAY, asked

from portway.prepare import prepare
from portway.watch import Watch

TEXT = """\
[listen.x]
protocol = "ftp"
address = "127.0.0.1:0"

[list.games]
path = "games"

[list.lab]
path = "lab"

[[rules]]
name = "no games"
to = "@games"
then = "deny"

[[rules]]
name = "the lab"
who = "@lab"
then = "allow"
"""


class Watched:
    """A watch, its files, and the services that it changes."""

    def __init__(self, folder: Path, made: Ground) -> None:
        self.games, self.lab = folder / "games", folder / "lab"
        self.games.write_text("games.example\n")
        self.lab.write_text("10.0.0.0/24\n")
        self.configuration = folder / "portway.toml"
        self.configuration.write_text(TEXT)
        self.current = made.current
        prepared = prepare(self.configuration)
        services = replace(made.current.services, rules=prepared.rules)
        made.current.services = services
        self.watch = Watch(made.current, prepared, asyncio.Lock())

    async def look_twice(self) -> None:
        """Look as often as a file has to rest."""
        await self.watch.look()
        await self.watch.look()

    def rule_for(self, host: str) -> str:
        access = asked(host=host, address="203.0.113.7", client="10.0.0.7")
        return self.current.services.rules.decide(access, MONDAY).rule


@contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    with ground() as made:
        yield Watched(folder, made)


async def test_a_changed_list_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with watched(tmp_path) as one:
        one.games.write_text("other.example\nthird.example\n")
        await one.look_twice()
        assert one.rule_for("games.example") == "the lab"
        assert one.rule_for("ftp.other.example") == "no games"
        [told] = caplog.records
        assert told.getMessage() == "list.taken"
        assert vars(told)["list"] == "games"
        assert vars(told)["domains"] == 2
        before = one.current.services
        await one.look_twice()
        assert one.current.services is before


async def test_a_broken_list_keeps_the_old_one_and_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with watched(tmp_path) as one:
        await one.look_twice()
        before = one.current.services
        one.games.write_text("no domain\n")
        await one.look_twice()
        await one.look_twice()
        assert one.current.services is before
        names = [record.getMessage() for record in caplog.records]
        assert names == ["list.refused", "list.kept"]
        assert f"{one.games}:1" in vars(caplog.records[0])["text"]
        caplog.clear()
        one.lab.write_text("10.0.0.7\n")  # another one is taken all the same
        await one.look_twice()
        assert one.rule_for("ftp.example.org") == "the lab"
        assert "list.refused" not in [one.getMessage() for one in caplog.records]
        one.games.write_text("other.example\n")
        await one.look_twice()
        assert one.rule_for("other.example") == "no games"


async def test_a_file_that_goes_away_leaves_its_list(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with watched(tmp_path) as one:
        await one.look_twice()
        one.games.unlink()
        await one.look_twice()
        assert one.rule_for("games.example") == "no games"
        assert "no such file" in vars(caplog.records[0])["text"]


async def test_a_list_that_its_rule_cannot_use_is_kept_as_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with watched(tmp_path) as one:
        await one.look_twice()
        one.lab.write_text("lab.example\n")
        await one.look_twice()
        assert one.rule_for("ftp.example.org") == "the lab"
        assert "holds domains" in vars(caplog.records[0])["text"]
        assert caplog.records[-1].getMessage() == "list.kept"


async def test_it_looks_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portway.watch.EVERY", 0.01)
    with watched(tmp_path) as one:
        running = asyncio.create_task(one.watch.run())
        before = one.current.services
        one.games.write_text("other.example\n")
        while one.current.services is before:
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait([running])
        assert one.rule_for("other.example") == "no games"
