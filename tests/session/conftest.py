"""What the session tests share: clocks that do not keep them waiting."""

import pytest

from portway.protocols.ftp import mover


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mover, "REPLY_AT_END", 0.05)
