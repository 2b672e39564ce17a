"""Every client's way to its server, word for word, through a running gateway.

Those that must fail are walked all at once; what they cost is another matter.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from tests.integration.process import eventually
from tests.sequences.conftest import CONTENT, Stage
from tests.sequences.sequences import FORMS
from tests.sequences.walk import SAMPLE, Door, Form, Outcome, walk, work

NOWHERE = "nowhere.invalid"  # RFC 6761, section 6.4: no such name, ever
# A 530 that holds one of these makes lftp try again, for ever.
TRY_AGAIN = (
    "too many",
    "overloaded",
    "later",
    "is restricted to",
    "maximum number",
    "number of connect",
    "more connection",
    "already connected",
    "simultaneous login",
    "login incorrect",
)


@dataclass(frozen=True, slots=True)
class Case:
    """A setting of a client, at one door."""

    form: Form
    door: Door

    def __str__(self) -> str:
        return f"{self.form.client} {self.form.setting}, {self.door}"


CASES = [Case(form, door) for form in FORMS for door in form.doors]
WITH_ACCOUNT = [
    case
    for case in CASES
    if case.form.sends("fu") and case.door in ("optional", "required", "colon")
]
WITH_LOGIN = [case for case in CASES if case.form.sends("p")]

Walks = Mapping[str, Outcome]  # by the case's words


def cases(chosen: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", chosen, ids=str)


def walk_all(chosen: list[Case], stage: Stage, **other: str) -> Walks:
    """Walk each case's login that can be, with *other* words than the right ones."""
    chosen = [case for case in chosen if case.form.has_port or stage.server.has_21]

    def outcome(case: Case) -> Outcome:
        words = stage.words(case.form, case.door, **other)
        with stage.knock(case.door) as client:
            return walk(case.form, client, words)

    with ThreadPoolExecutor(24) as pool:
        return dict(zip(map(str, chosen), pool.map(outcome, chosen), strict=True))


def outcome_of(case: Case, walks: Walks, stage: Stage) -> Outcome:
    stage.words(case.form, case.door)  # which fails, and says why, if it could not be
    return walks[str(case)]


@pytest.fixture(scope="session")
def with_wrong_proxy_password(stage: Stage) -> Walks:
    before = len(stage.server.visits)
    walks = walk_all(WITH_ACCOUNT, stage, fp="wrong")
    assert len(stage.server.visits) == before, "a wrong password reached the server"
    return walks


@pytest.fixture(scope="session")
def with_wrong_password(stage: Stage) -> Walks:
    return walk_all(WITH_LOGIN, stage, p="wrong")


@pytest.fixture(scope="session")
def with_unknown_host(stage: Stage) -> Walks:
    return walk_all(WITH_LOGIN, stage, a=NOWHERE)


@cases(CASES)
def test_client_gets_in(case: Case, stage: Stage) -> None:
    form = case.form
    words = stage.words(form, case.door)
    before = len(stage.server.visits)
    with stage.knock(case.door) as client:
        outcome = walk(form, client, words)
        assert outcome.inside, outcome
        brought = work(form.manner, client)
    assert brought.pop("RETR") == CONTENT
    assert brought
    assert all(SAMPLE.encode() in listing for listing in brought.values())
    assert len(stage.server.visits) == before + 1
    heard = stage.server.visits[-1]
    assert tuple(heard[:2]) == tuple(line.format_map(words) for line in form.heard)
    assert not any("fu" in line or "fp-word" in line for line in heard)


@cases(WITH_ACCOUNT)
def test_wrong_proxy_password(
    case: Case, stage: Stage, with_wrong_proxy_password: Walks
) -> None:
    outcome = outcome_of(case, with_wrong_proxy_password, stage)
    assert outcome.last.code == 530, outcome
    text = outcome.last.text.lower()
    assert not any(word in text for word in (*TRY_AGAIN, "host", "resolve")), text


@cases(WITH_LOGIN)
def test_wrong_server_password(
    case: Case, stage: Stage, with_wrong_password: Walks
) -> None:
    outcome = outcome_of(case, with_wrong_password, stage)
    assert outcome.last.code == 530, outcome
    assert "Authentication failed" in outcome.last.text  # the server's own words


@cases(WITH_LOGIN)
def test_unknown_host(case: Case, stage: Stage, with_unknown_host: Walks) -> None:
    outcome = outcome_of(case, with_unknown_host, stage)
    if outcome.last.code == 421 and not stage.has_names:
        assert "the name server does not answer" in outcome.last.text
        return
    assert outcome.last.code == 530, outcome
    text = outcome.last.text.lower()
    assert "resolve host" in text  # by which lftp knows that it is final
    assert not any(word in text for word in TRY_AGAIN), text


@cases([case for case in CASES if case.form.client == "lftp"])
def test_all_at_once(case: Case, stage: Stage) -> None:
    """``set ftp:sync-mode off``: lftp waits for no reply."""
    words = stage.words(case.form, case.door)
    lines = [step.line.format_map(words) for step in case.form.steps]
    with stage.knock(case.door) as client:
        client.send("\r\n".join([*lines, "FEAT", "PWD"]))
        for step in case.form.steps:
            reply = client.reply()
            assert step.after(reply.code) is not None, f"{step.line} got {reply}"
        assert client.reply().code == 211
        assert client.reply().code == 257
    heard = stage.server.visits[-1]
    assert heard[:4] == ["USER joe", "PASS s3cret", "FEAT", "PWD"]


@pytest.mark.parametrize("account", ["fu", ""])
@pytest.mark.parametrize("command", ["SITE", "OPEN"])
def test_slow_client(command: str, account: str, stage: Stage) -> None:
    """What was said to the proxy is tried with the server before it has its own."""
    server = stage.server
    password = "fp-word" if account else ""
    with stage.knock("none") as client:
        client.expect(f"USER {account}", 331)
        client.expect(f"PASS {password}", 230)
        client.expect(f"{command} {server.address}:{server.port}", 220)
        tried = f"PASS {password or 'anonymous@'}"
        eventually(lambda: tried in server.visits[-1], "the login that was kept")
        client.expect("USER joe", 331)
        client.expect("PASS s3cret", 230)
        client.expect("PWD", 257)
    assert server.visits[-1][-3:] == ["USER joe", "PASS s3cret", "PWD"]


@pytest.mark.parametrize("door", ["required", "optional"])
@pytest.mark.parametrize("command", ["SITE", "OPEN"])
def test_account_stays_here(command: str, door: Door, stage: Stage) -> None:
    """A command that would bring a kept login to the server brings no account there."""
    server = stage.server
    with stage.knock(door) as client:
        client.expect("USER fu", 331)
        client.expect("PASS fp-word", 230)
        client.expect(f"{command} {server.address}:{server.port}", 220)
        client.expect("PWD", 530)
        client.expect("USER joe", 331)
        client.expect("PASS s3cret", 230)
    assert server.visits[-1] == ["PWD", "USER joe", "PASS s3cret"]


@pytest.mark.parametrize("command", ["site", "open"])
def test_classic_words(command: str, stage: Stage) -> None:
    server = stage.server
    with stage.knock("none") as client:
        assert str(client.ask("USER")) == "331 Send password."
        assert str(client.ask("PASS")) == "230 Login OK. Proceed."
        greeting = client.ask(f"{command} {server.address}:{server.port}")
        assert greeting.code == 220
        assert greeting.lines[0] == "220-Welcome to"
        assert "the server" in greeting.lines[1]
        assert len(greeting.lines) == 4


def test_nothing_is_listed_twice() -> None:
    assert len({str(case) for case in CASES}) == len(CASES)
