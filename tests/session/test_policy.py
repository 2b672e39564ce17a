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
        ("RMDA x", "delete"),
        ("COMB x y z", "write"),
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


async def test_a_directory_that_was_not_changed_is_not_asked_for() -> None:
    async with stage(rules=PATHS) as scene:
        await scene.play(f"""{IN}
{LONG}> PWD
{LONG}< 257 "/home/u"
> CWD x
{LONG}> CWD x
{LONG}< 550 no
< 550 no
> NOOP
{LONG}> NOOP
""")


async def test_a_restart_outlives_our_question_for_the_directory() -> None:
    """Between REST and RETR nothing of ours is sent: RFC 959, section 4.1.3."""
    async with stage(rules=PATHS) as scene:
        await scene.play(f'{IN}{LONG}> PWD\n{LONG}< 257 "/home/u"')
        legs = await agree(scene, "PASV")
        await scene.play(f"""
> REST 100
{LONG}> REST 100
{LONG}< 350 ok
< 350 ok
> CWD x
{LONG}> CWD x
{LONG}< 250 ok
< 250 ok
{LONG}> PWD
{LONG}< 257 "/home/u/x"
{LONG}> REST 100
{LONG}< 350 ok
> RETR f
{LONG}> RETR f
{LONG}< 150 Hi
< 150 Hi
""")
        await move(await legs.at_server(), await legs.at_client(), b"data")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")
        client, server = await begin(scene, "RETR f")
        await move(server, client, b"data")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")
    first, second, _ = scene.records
    assert (first.path, first.facts["offset"]) == ("/home/u/x/f", "100")
    assert "offset" not in second.facts


async def test_a_restart_that_is_lost_is_not_made_from_the_beginning() -> None:
    async with stage(rules=PATHS) as scene:
        await scene.play(f'{IN}{LONG}> PWD\n{LONG}< 257 "/home/u"')
        await agree(scene, "PASV")
        await scene.play(f"""
> REST 100
{LONG}> REST 100
{LONG}< 350 ok
< 350 ok
> CWD x
{LONG}> CWD x
{LONG}< 250 ok
< 250 ok
{LONG}> PWD
{LONG}< 257 "/home/u/x"
{LONG}> REST 100
{LONG}< 501 no
> RETR f
< 425 Send PASV, EPSV, PORT or EPRT first.
""")


@pytest.mark.parametrize(
    ("rest", "answer", "offset"),
    [
        ("REST 7", "350 ok", "7"),
        ("REST 0", "350 ok", None),
        ("REST 007", "350 ok", "7"),
        ("REST 7", "501 no", None),
        ("REST x", "350 ok", None),
    ],
)
async def test_records_know_the_offset(
    rest: str, answer: str, offset: str | None
) -> None:
    async with stage() as scene:
        await scene.play(f"{IN}> {rest}\n{LONG}> {rest}\n{LONG}< {answer}\n< {answer}")
        client, server = await begin(scene, "STOR f")
        await move(client, server, b"data")
        await scene.play(f"{LONG}< 226 Done\n< 226 Done")
    assert scene.records[0].facts.get("offset") == offset


SECRET = (rule("deny", name="no", to=("ftp.test/secret/**",)), EVERYTHING)


@pytest.mark.parametrize(
    "command",
    [
        "SITE CHMOD 777 /secret/x",
        "SITE chmod 777 ../secret/x",
        "SITE CHGRP staff /secret/x",
        "SITE CPFR /secret/x",
        "SITE CPTO /secret/x",
        "SITE MKDIR /secret/x",
        "SITE UTIME 20200101000000 /secret/x",
        "SITE UTIME /secret/x 20200101000000 20200101000000 20200101000000 UTC",
        "RMDA /secret/x",
        "MFMT 20200101000000 /secret/x",
    ],
)
async def test_rules_see_the_path_of(command: str) -> None:
    async with stage(rules=SECRET) as scene:
        await scene.play(f'{IN}{LONG}> PWD\n{LONG}< 257 "/home"')
        await scene.play(f"> {command}\n< 550 Denied by policy.\n{LONG}silent")
        harmless = command.replace("secret", "pub")
        await scene.play(f"> {harmless}\n{LONG}> {harmless}\n{LONG}< 200 ok\n< 200 ok")
    refused, done, _ = scene.records
    assert (refused.path, refused.rule) == ("/secret/x", "no")
    assert (done.path, done.outcome) == ("/pub/x", "ok")


@pytest.mark.parametrize(
    "command",
    [
        "SITE SYMLINK /pub/a /pub/b",
        "SITE COPY /pub/a /pub/b",
        "SITE CHMOD 777  /pub/x",
        "SITE  CHMOD 777 /pub/x",
        "SITE CHMOD\t777 /pub/x",
        'SITE CHMOD 777 "/pub/x"',
        "SITE CHMOD 777 ~/x",
        "SITE CHMOD 777 /pub/*",
        "SITE UTIME 20200101 f 20200101000000 20200101000000 20200101000000 UTC",
        "COMB /pub/a /pub/b",
        "DELE /pub/\xff\xff",
    ],
)
async def test_rules_that_read_paths_refuse_what_names_none_for_sure(
    command: str,
) -> None:
    async with stage(rules=SECRET) as scene:
        await scene.play(f'{IN}{LONG}> PWD\n{LONG}< 257 "/home"')
        await scene.play(f"> {command}\n< 550 Denied: the path ...\n{LONG}silent")
    assert scene.records[0].reason == "syntax"


async def test_a_site_command_that_nobody_knows_has_no_path() -> None:
    folder = rule(name="folder", do="manage", to=("ftp.test/pub/**",))
    rules = (folder, rule(do=("connect", "list")))
    async with stage(rules=rules) as scene:
        await scene.play(f'{IN}{LONG}> PWD\n{LONG}< 257 "/pub"')
        await scene.play("> SITE EXEC /pub/x\n< 550 Denied by policy.")
        known = "SITE CHMOD 644 x"
        await scene.play(f"> {known}\n{LONG}> {known}\n{LONG}< 200 ok\n< 200 ok")
    assert [record.path for record in scene.records] == ["", "/pub/x", ""]


@pytest.mark.parametrize("verb", ["SIZE", "MDTM"])
async def test_talk_of_a_path_is_judged_by_it_where_a_rule_names_the_verb(
    verb: str,
) -> None:
    denied = rule("deny", do=f"ftp:{verb}", to=("ftp.test/secret/**",))
    async with stage(rules=(denied, EVERYTHING)) as scene:
        await scene.play(f'{IN}{LONG}> PWD\n{LONG}< 257 "/secret"')
        await scene.play(f"> {verb} x\n< 550 Denied by policy.")
        await scene.play(f"> {verb} /x\n{LONG}> {verb} /x\n{LONG}< 213 1\n< 213 1")


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
