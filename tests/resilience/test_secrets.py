"""Passwords pass through every kind of login, and are found nowhere afterwards."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration import forgiving
from tests.integration.nanoftpd import NanoFtpd
from tests.integration.speaker import Speaker
from tests.resilience.running import ADDRESS, Running, configuration

Start = Callable[..., Running]
PROXY_PASSWORD = "canary-right-0"
METHODS = '["joined", "acct", "colon", "resp", "site", "open", "user@host"]'
FORMATS = ("table", "json", "csv", "xferlog", "squid", "combined")

# What a client says; {at} is the server. Each password is another canary.
LOGINS: list[list[str]] = [
    ["USER joe@{at}", "PASS canary-plain"],
    ["USER alice", "PASS canary-right-0", "USER joe@{at}", "PASS canary-second"],
    ["USER alice", "PASS canary-wrong", "USER bob", "PASS canary-unknown"],
    ["USER joe@alice@{at}", "PASS canary-joined@canary-right-0"],
    ["USER joe@alice@{at}", "PASS canary-joined@canary-joined-wrong"],
    ["USER joe@{at} alice", "PASS canary-acct", "ACCT canary-right-0"],
    ["USER joe@{at} alice", "PASS canary-acct", "ACCT canary-acct-wrong"],
    ["USER alice:joe@{at}", "PASS canary-right-0:canary-colon"],
    ["USER alice:canary-right-0:joe@{at}", "PASS canary-colon"],
    ["USER alice:canary-colon-wrong:joe@{at}", "PASS canary-colon"],
    ["USER alice:canary-right-0:joe:canary-colon-four@{at}", "PASS x"],
    ["USER joe@{at}", "PASS canary-resp", "AUTH alice", "RESP canary-right-0"],
    ["USER joe@{at}", "PASS canary-resp", "AUTH alice", "RESP canary-resp-wrong"],
    [
        "USER joe@{at}",
        "PASS canary-site",
        "SITE AUTHENTICATE alice",
        "SITE RESPONSE canary-right-0",
    ],
    ["SITE {at}", "USER alice", "PASS canary-right-0", "USER joe", "PASS canary-named"],
    ["USER joe", "PASS canary-kept", "ACCT {at}"],
    ["PASS canary-too-early", "ACCT canary-early", "RESP canary-early"],
    ["USER joe@{at}", "PASS canary-refused-by-server"],
    ["PASS canary\0-control", "PASS  canary-blank ", "pass canary-small"],
    ["USER joe@no-such-host.invalid", "PASS canary-nowhere"],
    ["USER alice", "PASS canary-right-0", "USER joe@{at}", "PASS canary-a",
     "ACCT canary-server-acct", "USER joe", "PASS canary-again"],
]  # fmt: skip


@pytest.mark.parametrize("login", ["none", "optional", "required"])
@pytest.mark.timeout(60)
def test_no_password_is_left_anywhere(login: str, start: Start, nano: NanoFtpd) -> None:
    methods = METHODS if login == "required" else METHODS.replace(' "resp",', "")
    if login == "none":
        methods = '["site", "open", "user@host"]'
    text = configuration(
        listen=f'login = "{login}"\nmethods = {methods}',
        more='[[ledger.file]]\npath = "{state}/xferlog"\nformat = "xferlog"',
    )
    gateway = start(text, users={"alice": PROXY_PASSWORD}, program=forgiving.PROGRAM)
    at = f"{ADDRESS}:{nano.port}"
    for number, lines in enumerate(LOGINS):
        if login == "none" and ":" in lines[0].replace("{at}", ""):
            continue  # it is but an odd name there
        nano.scripts.clear()
        if "refused-by-server" in lines[-1]:
            nano.scripts["PASS"] = lambda session, word: session.say(f"530 No, {word}")
        with gateway.client() as client:
            speak(client, [line.format(at=at) for line in lines])
            if number == 0 and login == "none":
                client.fetch("RETR small")
    heard = "\n".join(nano.lines)
    assert "canary" in heard  # servers did get theirs
    printed = [gateway.portway("log", "--format", form) for form in FORMATS]
    printed += [
        gateway.portway("user", "list"),
        gateway.portway("user", "list", "--json"),
    ]
    gateway.process.stop()
    assert gateway.process.status == 0
    for words in (*printed, gateway.output):
        assert "canary" not in words.lower()
    leaks = [path for path in everything(gateway) if b"canary" in path.read_bytes()]
    assert not leaks


def speak(client: Speaker, lines: list[str]) -> None:
    for line in lines:
        client.send(line)
        if client.reply().code == 421:
            return


def everything(gateway: Running) -> list[Path]:
    """Return all files that the gateway has written."""
    found = [path for path in gateway.state.rglob("*") if path.is_file()]
    return [*found, gateway.file]
