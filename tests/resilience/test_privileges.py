"""A gateway that root has started goes on as somebody who may do little."""

import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.nanoftpd import NanoFtpd
from tests.integration.speaker import read_all
from tests.resilience.running import Running, configuration, portway

from portway.privileges import become

NOBODY = pwd.getpwnam("nobody")
NET_BIND_SERVICE, NET_ADMIN = 1 << 10, 1 << 12


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that everybody can get at, which those of pytest are not."""
    folder = Path(tempfile.mkdtemp(prefix="portway-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def threads(gateway: Running) -> list[dict[str, str]]:
    """What the kernel says of each of its threads, which have rights of their own."""
    found = []
    for thread in Path(f"/proc/{gateway.process.pid}/task").iterdir():
        lines = (thread / "status").read_text().splitlines()
        pairs = (line.split(":", 1) for line in lines)
        found.append({key: value.strip() for key, value in pairs})
    return found


def has_laid_root_down(now: dict[str, str]) -> None:
    assert now["Uid"].split() == [str(NOBODY.pw_uid)] * 4
    assert now["Gid"].split() == [str(NOBODY.pw_gid)] * 4
    assert now["NoNewPrivs"] == "1"
    for rights in ("CapEff", "CapPrm", "CapBnd"):
        kept = int(now[rights], 16)
        assert kept & ~(NET_BIND_SERVICE | NET_ADMIN) == 0, rights
        assert kept & NET_BIND_SERVICE, rights


def test_it_goes_on_as_that_user(reachable: Path, nano: NanoFtpd) -> None:
    if os.geteuid() != 0:  # then there is nothing to lay down, and no right to
        with pytest.raises(PermissionError):
            become("nobody", reachable)
        return
    records = reachable / "records.json"  # logs have to be within the user's reach
    records.touch()
    os.chown(records, NOBODY.pw_uid, NOBODY.pw_gid)
    text = configuration(gateway='user = "nobody"')
    with Running(reachable, text) as gateway:
        found = threads(gateway)
        assert len(found) > 1  # the ledger's writer, too
        for one in found:
            has_laid_root_down(one)
        limits = Path(f"/proc/{gateway.process.pid}/limits").read_text()
        assert "Max core file size        0 " in limits
        # one whose memory nobody but root may look at belongs to root
        assert Path(f"/proc/{gateway.process.pid}/fd").stat().st_uid == 0
        with gateway.enter(nano) as client:
            with client.data("RETR big") as stream:
                assert read_all(stream) == nano.files["big"]
            assert client.reply().code == 226
        assert gateway.record_of("RETR", nano)["outcome"] == "ok"
        for path in (gateway.state, *gateway.state.rglob("*")):
            assert path.lstat().st_uid == NOBODY.pw_uid, path
        gateway.portway("reload")  # root may still tell it what to do
        gateway.process.signal(signal.SIGTERM)
        assert gateway.ends(10) == 0


def test_a_user_who_does_not_exist_is_told(tmp_path: Path) -> None:
    path = tmp_path / "portway.toml"
    text = configuration(gateway='user = "no-such-user"')
    path.write_text(text.format(state=tmp_path / "state", records=tmp_path / "log"))
    code, said = portway(tmp_path, "check", "-c", str(path))
    assert code == 2
    assert 'no user "no-such-user"' in said
