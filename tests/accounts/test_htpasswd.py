"""The htpasswd source: hashes that other programs made, and a file that changes."""

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.accounts.asking import OK, UNKNOWN, WRONG, login, said, why_not
from tests.integration.process import run

from portway.config.sources import Htpasswd
from portway.users import hashes
from portway.users.htpasswd import HtpasswdSource, read

SECRETS = ["s3cret", "p\xe4ss w\xf6rd", "x" * 60, "a:b$c'\\"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts"


@pytest.fixture
def source(path: Path) -> Iterator[HtpasswdSource]:
    made = HtpasswdSource(Htpasswd(path=str(path)))
    yield made
    made.close()


def line(name: str, password: str, how: str = "-B") -> str:
    """Return the line that Apache's program makes."""
    if shutil.which("htpasswd") is None:
        pytest.fail("no htpasswd: run tests/peers/install", pytrace=False)
    status, output = run(["htpasswd", "-nb" + how.removeprefix("-"), name, password])
    assert status == 0, output
    found = [one for one in output.splitlines() if one.startswith(f"{name}:")]
    return found[0] + "\n"


@pytest.mark.parametrize("how", ["-B", "-m", "-s", "-2", "-5"])
async def test_what_apache_makes(source: HtpasswdSource, path: Path, how: str) -> None:
    names = [f"n{place}" for place in range(len(SECRETS))]
    lines = map(line, names, SECRETS, [how] * len(names))
    path.write_text("".join(lines))
    for name, password in zip(names, SECRETS, strict=True):
        assert await said(source, name, password) is OK
        wrong = (password + " ", password[:-1], password + "\0", "")
        for other in wrong:
            assert await said(source, name, other) is WRONG


@pytest.mark.parametrize("kind", ["-apr1", "-5", "-6"])
def test_what_openssl_makes(kind: str) -> None:
    for size in (1, 15, 16, 17, 63, 64, 65, 127):
        password = "y" * size
        status, output = run(["openssl", "passwd", kind, password])
        assert status == 0
        assert hashes.fault(output.strip()) == ""
        assert hashes.matches(output.strip(), password.encode())
        assert not hashes.matches(output.strip(), password[:-1].encode())


@pytest.mark.parametrize("how", ["-d", "-p"])
async def test_weak_ones_are_refused(
    source: HtpasswdSource, path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("# people\n" + line("joe", "s3cret", how) + line("ann", "s3cret"))
    with caplog.at_level(logging.WARNING):
        assert await said(source, "joe") is WRONG
    (record,) = caplog.records
    assert record.__dict__["where"] == f"{path}:2"
    assert "s3cret" not in str(record.__dict__)
    assert await said(source, "ann") is OK


BAD = {
    "joe": "no colon",
    "a b:$apr1$abcdefgh$M2T3erDstkD7SsE2QQnfH0": "blank",
    ":$apr1$abcdefgh$M2T3erDstkD7SsE2QQnfH0": "empty",
    "joe:": "plain text",
    "joe:secret": "plain text",
    "joe:$1$abcdefgh$M2T3erDstkD7SsE2QQnfH0": "not taken",
    "joe:$apr1$abcdefghi$M2T3erDstkD7SsE2QQnfH0": "not taken",
    "joe:$apr1$abcdefgh$M2T3erDstkD7SsE2QQnfH": "not taken",
    "joe:$2y$31$" + "a" * 53: "cost",
    "joe:$2y$03$" + "a" * 53: "cost",
    "joe:$5$rounds=999999999$abc$" + "a" * 43: "rounds",
    "joe:$y$j9T$abc$" + "a" * 43: "not taken",
    "joe:*": "plain text",
}


@pytest.mark.parametrize(("text", "words"), BAD.items(), ids=range(len(BAD)))
def test_a_bad_line_is_named(text: str, words: str) -> None:
    found = read(f"# people\n\n{text}\nann:{hashes.apr1(b'x', 'abc')}\n")
    ((number, why),) = found.problems
    assert number == 3
    assert words in why
    assert "secret" not in why.replace("htpasswd", "")
    assert set(found.hashes.values()) - {""} == {hashes.apr1(b"x", "abc")}


async def test_a_name_that_stands_twice_is_nobody_s(
    source: HtpasswdSource, path: Path
) -> None:
    path.write_text(line("joe", "one") + line("joe", "two"))
    assert await said(source, "joe", "one") is WRONG
    assert await said(source, "joe", "two") is WRONG


async def test_names(source: HtpasswdSource, path: Path) -> None:
    path.write_text(line("zoë", "s3cret") + line("joe", "s3cret"))
    assert (await login(source, "zoe\u0308")).user == "zo\xeb"
    for name in ("JOE", "*", "nobody", "joe\n", "joe:", "x" * 100_000, "#", ""):
        assert await said(source, name) is UNKNOWN
        assert not await source.knows(name)
    assert await source.knows("joe")


async def test_a_change_counts_at_once(source: HtpasswdSource, path: Path) -> None:
    path.write_text(line("joe", "one"))
    taken = await login(source, "joe", "one")
    assert await source.renewed(taken) == taken
    path.write_text(line("joe", "other") + line("ann", "s3cret"))
    assert await said(source, "joe", "one") is WRONG
    assert await said(source, "joe", "other") is OK
    assert await source.renewed(taken) is None  # the password is another
    taken = await login(source, "ann")
    other = path.with_name("new")
    other.write_text(line("joe", "other"))
    other.replace(path)
    assert await source.renewed(taken) is None  # the account is gone
    assert await said(source, "ann") is UNKNOWN


async def test_without_the_file_nobody_can_tell(
    source: HtpasswdSource, path: Path
) -> None:
    assert "No such file" in await why_not(source)
    path.write_text(line("joe", "s3cret"))
    taken = await login(source, "joe")
    path.unlink()
    assert "No such file" in await why_not(source)
    assert await source.renewed(taken) == taken
    path.write_text(line("joe", "s3cret"))
    assert await said(source, "joe") is OK
    with path.open("wb") as stream:
        os.truncate(stream.fileno(), 1 << 30)  # a hole: no file of that size is read
    assert "larger" in await why_not(source)
