"""What the policy refuses of a session's commands, and what is recorded of them."""

import pytest
from tests.session.moving import IN, LONG, agree, begin, move
from tests.session.stage import EVERYTHING, rule, stage


@pytest.mark.parametrize(
    ("command", "do"),
    [
        ("STOR x", "write"),
        ("RETR x", "read"),
        ("LIST x", "list"),
        ("STAT x", "list"),
        ("MLST x", "list"),
        ("DELE x", "delete"),
        ("RMD x", "delete"),
        ("MKD x", "manage"),
        ("SITE CHMOD 1 x", "manage"),
        ("MDTM 20260101000000 x", "manage"),
        ("SIZE x", "ftp:SIZE"),
    ],
)
@pytest.mark.parametrize("because", ["", "Not today."])
async def test_a_command_is_refused(command: str, do: str, because: str) -> None:
    denied = rule("deny", name="no", do=do, because=because)
    words = f"Denied: {because}" if because else "Denied by policy."
    verb = command.split(maxsplit=1)[0]
    async with stage(rules=(denied, EVERYTHING)) as scene:
        await scene.play(IN)
        if verb in {"STOR", "RETR", "LIST"}:
            await agree(scene, "PASV")
        await scene.play(f"> {command}\n< 550 {words}\n> NOOP\n{LONG}> NOOP")
    record = scene.records[0]
    assert (record.method, record.outcome, record.verdict) == (verb, "refused", "deny")
    assert (record.reason, record.rule, record.because) == ("rule", "no", because)


async def test_a_refused_transfer_leaves_the_path_for_another() -> None:
    denied = rule("deny", do="write")
    async with stage(rules=(denied, EVERYTHING)) as scene:
        await scene.play(IN)
        legs = await agree(scene, "PASV")
        await scene.play("> STOR f\n< 550 Denied by policy.")
        await scene.play(f"> RETR f\n{LONG}> RETR f\n{LONG}< 150 Hi\n< 150 Hi")
        await move(await legs.at_server(), await legs.at_client(), b"data")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")
    assert scene.methods == [("STOR", "refused"), ("RETR", "ok"), ("CONNECT", "ok")]


PATHS = (rule("deny", do="read", to=("ftp.test/secret/*",)), EVERYTHING)


async def test_the_directory_is_asked_for_where_rules_read_paths() -> None:
    async with stage(rules=PATHS) as scene:
        await scene.play(f"""
< 220 edge FTP proxy ready.
> USER u@{{at}}
{LONG}< 220 Welcome
{LONG}> USER u
{LONG}< 230 In
< 230-Welcome
< 230 In
{LONG}> PWD
{LONG}< 257 "/home/u"
> CWD x
{LONG}> CWD x
{LONG}< 250 ok
< 250 ok
{LONG}> PWD
{LONG}< 257 "/secret" is where you are
""")
        await agree(scene, "PASV")
        await scene.play("> RETR f\n< 550 Denied by policy.")
    assert scene.records[0].path == "/secret/f"


async def test_paths_are_followed_without_asking_where_no_rule_reads_them() -> None:
    async with stage() as scene:
        await scene.play(f"""{IN}
> CWD a/b
> CWD no
> CDUP
> DELE ../x y
{LONG}> CWD a/b
{LONG}> CWD no
{LONG}> CDUP
{LONG}< 250 ok
< 250 ok
{LONG}< 550 no
< 550 no
{LONG}< 250 ok
< 250 ok
{LONG}> DELE ../x y
{LONG}< 250 gone
< 250 gone
""")
    record = scene.records[0]
    assert (record.path, record.action, record.status) == ("/x y", "delete", "250")
    assert record.url.endswith("/x%20y")


async def test_an_unknown_verb_may_move_only_what_both_ways_allow() -> None:
    async with stage(rules=(rule("deny", do="read"), EVERYTHING)) as scene:
        await scene.play(IN)
        await agree(scene, "PASV")
        await scene.play(f"> XGET f\n{LONG}> XGET f\n{LONG}< 150 Hi\n{LONG}< 226 Done")
        await scene.play("< 550 Denied by policy.")
    assert scene.methods[0] == ("XGET", "refused")


async def test_a_server_that_fails_a_command() -> None:
    async with stage() as scene:
        await scene.play(f"{IN}> DELE x\n{LONG}> DELE x\n{LONG}< 550 no\n< 550 no")
    record = scene.records[0]
    assert (record.outcome, record.status, record.side) == ("failed", "550", "server")


async def test_records_know_the_type() -> None:
    async with stage() as scene:
        await scene.play(f"{IN}> TYPE I\n{LONG}> TYPE I\n{LONG}< 200 ok\n< 200 ok")
        client, server = await begin(scene, "RETR f")
        await move(server, client, b"data")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")
    assert scene.records[0].facts["type"] == "binary"
