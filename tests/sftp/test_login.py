"""Who an SFTP server is, who the client is to it, and how they part."""

import asyncio
import os
import socket
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import asyncssh
import pytest
from tests.fds import nothing_left_open
from tests.sftp.world import (
    HOST,
    PASSWORD,
    USER,
    Talk,
    logged_in,
    serving,
    trusting,
    visiting,
)
from tests.wires import listener, port_of

from portway.net.dial import dial
from portway.protocols.ftp.sftp.connection import trust_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.mark.parametrize("how", ["password", "keyboard"])
async def test_a_login(folder: Path, how: str) -> None:
    async with (
        serving(folder, how=how) as server,
        visiting(server.port, trusting(server)) as visit,
    ):
        assert await visit.talk.reply() == (220, f"220 {HOST} speaks SFTP.\n")
        await visit.talk.log_in()
        assert visit.facts["host_key"] == server.fingerprint
        assert visit.facts["server_software"].startswith("AsyncSSH")
        assert (await visit.talk.say("QUIT"))[0] == 221


@pytest.mark.parametrize("how", ["password", "keyboard"])
async def test_a_wrong_password_and_then_the_right_one(folder: Path, how: str) -> None:
    async with (
        serving(folder, how=how) as server,
        visiting(server.port, trusting(server)) as visit,
    ):
        talk = visit.talk
        await talk.reply()
        await talk.say(f"USER {USER}")
        assert await talk.say("PASS wrong") == (530, "530 Login incorrect.\n")
        assert (await talk.say("PASS wrong"))[0] == 503
        assert (await talk.say("PWD"))[0] == 530
        await talk.log_in()
        assert len(server.connections) == 2


async def test_our_own_key(folder: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    file = folder.with_name("id")
    key.write_private_key(str(file))
    allowed = folder.with_name("allowed")
    key.write_public_key(str(allowed))
    options: dict[str, object] = {"authorized_client_keys": str(allowed)}
    async with serving(folder, how="none", options=options) as server:
        trusting(server)
        trust = trust_of(
            str(folder.with_name("known_hosts")), pin=False, identity=str(file)
        )
        assert str(file) not in repr(trust)
        async with visiting(server.port, trust) as visit:
            await visit.talk.reply()
            await visit.talk.log_in(password="whatever")


async def test_the_machines_own_keys_and_settings_are_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = folder.with_name("home")
    (home / ".ssh").mkdir(parents=True)
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(home / ".ssh" / "id_ed25519"))
    (home / ".ssh" / "config").write_text("Host *\n  Port 1\n  User nobody\n")
    monkeypatch.setenv("HOME", str(home))
    allowed = folder.with_name("allowed")
    key.write_public_key(str(allowed))
    options: dict[str, object] = {"authorized_client_keys": str(allowed)}
    async with (
        serving(folder, how="none", options=options) as server,
        visiting(server.port, trusting(server)) as visit,
    ):
        await visit.talk.reply()
        await visit.talk.say(f"USER {USER}")
        assert (await visit.talk.say(f"PASS {PASSWORD}"))[0] == 530


# Keys of servers.


async def refused(server_port: int, file: Path, *, pin: bool = False) -> str:
    """Return why the login is refused; the password must not have been sent."""
    trust = trust_of(str(file), pin=pin, identity="")
    async with visiting(server_port, trust) as visit:
        await visit.talk.reply()
        await visit.talk.say(f"USER {USER}")
        code, text = await visit.talk.say(f"PASS {PASSWORD}")
        assert code == 530
        return text


async def test_a_key_that_is_not_known(folder: Path) -> None:
    async with serving(folder) as server:
        file = folder.with_name("empty")
        file.touch()
        text = await refused(server.port, file)
        assert f"of {HOST}:{server.port} is not known" in text
        assert server.fingerprint in text
        assert file.read_bytes() == b""


@pytest.mark.parametrize("pin", [False, True])
async def test_a_key_that_has_changed(folder: Path, pin: bool) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    async with serving(folder) as server:
        file = folder.with_name("known")
        line = f"[{HOST}]:{server.port} {other.export_public_key().decode()}"
        file.write_text(line)
        text = await refused(server.port, file, pin=pin)
        assert "shows another key than it used to" in text
        assert server.fingerprint in text
        assert file.read_text() == line


async def test_a_key_of_another_kind(folder: Path) -> None:
    """The server has no key of the kind that is known: none is taken for it."""
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    async with serving(folder) as server:
        file = folder.with_name("known")
        line = f"[{HOST}]:{server.port} {other.export_public_key().decode()}"
        file.write_text(line)
        await refused(server.port, file, pin=True)
        assert file.read_text() == line


async def test_the_first_key_is_pinned(folder: Path) -> None:
    file = folder.with_name("pinned")
    async with serving(folder) as server:
        for _ in range(2):
            trust = trust_of(str(file), pin=True, identity="")
            async with visiting(server.port, trust) as visit:
                await visit.talk.reply()
                await visit.talk.log_in()
        assert file.read_text() == server.known
        assert file.stat().st_mode & 0o777 == 0o600
        port = server.port
    async with serving(folder, port=port):
        text = await refused(port, file, pin=True)
        assert "shows another key than it used to" in text


async def test_a_pin_is_no_part_of_the_line_before(folder: Path) -> None:
    file = folder.with_name("pinned")
    file.write_text("# by hand, without a line end")
    async with serving(folder) as server:
        async with visiting(
            server.port, trust_of(str(file), pin=True, identity="")
        ) as visit:
            await visit.talk.reply()
            await visit.talk.log_in()
        assert file.read_text().splitlines()[1] == server.known.strip()


async def test_a_file_that_changes_counts_at_once(folder: Path) -> None:
    async with serving(folder) as server:
        trust = trusting(server)
        file = folder.with_name("known_hosts")
        file.write_text("")
        async with visiting(server.port, trust) as visit:
            talk = visit.talk
            await talk.reply()
            await talk.say(f"USER {USER}")
            assert (await talk.say(f"PASS {PASSWORD}"))[0] == 530
            file.write_text(server.known)
            await talk.log_in()


@pytest.mark.parametrize("words", ["x", "host ssh-ed25519 !!!\n"])
def test_a_file_of_no_use(tmp_path: Path, words: str) -> None:
    file = tmp_path / "known"
    with pytest.raises(OSError):
        trust_of(str(file), pin=False, identity="")
    trust_of(str(file), pin=True, identity="")
    file.write_text("")
    key = tmp_path / "key"
    key.write_text(words)
    with pytest.raises(ValueError, match=str(key)):
        trust_of(str(file), pin=False, identity=str(key))


async def test_a_file_that_is_gone(folder: Path) -> None:
    async with serving(folder) as server:
        trust = trusting(server)
        folder.with_name("known_hosts").unlink()
        with nothing_left_open():
            async with visiting(server.port, trust) as visit:
                talk = visit.talk
                await talk.reply()
                await talk.say(f"USER {USER}")
                code, text = await talk.say(f"PASS {PASSWORD}")
                assert (code, text) == (
                    530,
                    "530 The gateway cannot use its host keys.\n",
                )
            await lose(server.connections[0])


# Servers that are none, and ends.


async def test_a_server_that_speaks_something_else(folder: Path) -> None:
    async with serving(folder) as real:
        trust = trusting(real)
        with listener() as door:
            door.setblocking(False)
            loop = asyncio.get_running_loop()
            async with visiting(port_of(door), trust) as visit:
                peer, _ = await loop.sock_accept(door)
                with peer:
                    await loop.sock_sendall(peer, b"220 FTP here\r\n")
                    code, text = await visit.talk.reply()
                    assert (code, text) == (
                        530,
                        f"530 Host {HOST} does not speak SSH.\n",
                    )


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-x\r\n"])
async def test_a_session_that_ends_while_the_server_is_silent(
    folder: Path, said: bytes
) -> None:
    async with serving(folder) as real:
        trust = trusting(real)
        with listener() as door:
            door.setblocking(False)
            loop = asyncio.get_running_loop()
            with nothing_left_open():
                async with visiting(port_of(door), trust) as visit:
                    peer, _ = await loop.sock_accept(door)
                    with peer:
                        if said:
                            await loop.sock_sendall(peer, said)
                            await visit.talk.reply()
                            await visit.talk.say(f"USER {USER}")
                            await visit.talk.send(f"PASS {PASSWORD}")
                            await loop.sock_recv(peer, 100)
                        visit.talk.control.close()
                        await asyncio.wait({visit.task})


async def test_a_server_that_closes_at_once(folder: Path) -> None:
    async with serving(folder) as real:
        trust = trusting(real)
        with listener() as door:
            door.setblocking(False)
            loop = asyncio.get_running_loop()
            async with visiting(port_of(door), trust) as visit:
                peer, _ = await loop.sock_accept(door)
                peer.close()
                with pytest.raises(EOFError):
                    await visit.talk.reply()


async def lose(connection: asyncssh.SSHServerConnection) -> None:
    connection.abort()
    await connection.wait_closed()


async def test_a_server_that_is_lost(folder: Path) -> None:
    async with (
        serving(folder) as server,
        visiting(server.port, trusting(server)) as visit,
    ):
        await visit.talk.reply()
        await visit.talk.log_in()
        await lose(server.connections[0])
        assert (await visit.talk.reply())[0] == 421
        with pytest.raises(EOFError):
            await visit.talk.reply()


@pytest.mark.parametrize("verb", ["RETR", "STOR"])
async def test_a_server_that_is_lost_in_a_transfer(folder: Path, verb: str) -> None:
    async with serving(folder) as server:
        (folder / "file").touch()
        os.truncate(folder / "file", 10**9)
        async with logged_in(server) as talk:
            leg = await talk.leg()
            assert (await talk.say(f"{verb} file"))[0] == 150
            await lose(server.connections[0])
            assert (await talk.reply())[0] == 426
            assert (await talk.reply())[0] == 421
            leg.close()


@pytest.mark.parametrize("verb", ["RETR", "STOR", ""])
async def test_nothing_is_left_of_a_session_that_ends(folder: Path, verb: str) -> None:
    async with serving(folder) as server:
        (folder / "file").touch()
        os.truncate(folder / "file", 10**9)
        trust = trusting(server)
        async with visiting(server.port, trust) as visit:
            await visit.talk.reply()
            await visit.talk.log_in()
        await lose(server.connections[0])
        with nothing_left_open():
            async with visiting(server.port, trust) as visit:
                talk: Talk = visit.talk
                await talk.reply()
                await talk.log_in()
                leg = await talk.leg() if verb else None
                if verb:
                    assert (await talk.say(f"{verb} file"))[0] == 150
                talk.control.close()
                if leg is not None:
                    leg.abort()
            await lose(server.connections[1])


async def test_what_was_read_before_is_not_lost(folder: Path) -> None:
    """A proxy on the way may have sent the server's first words with its own."""
    async with serving(folder) as server:
        stream = await dial([ip_address(HOST)], server.port)
        stream.unread(await stream.receive(5))
        visit = visiting(server.port, trusting(server), stream=stream)
        async with visit as made:
            assert (await made.talk.reply())[0] == 220
            await made.talk.log_in()


async def test_a_server_that_has_no_sftp(folder: Path) -> None:
    def nobody(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.exit(1)

    options: dict[str, object] = {"sftp_factory": None, "process_factory": nobody}
    async with (
        serving(folder, options=options) as server,
        visiting(server.port, trusting(server)) as visit,
    ):
        await visit.talk.reply()
        await visit.talk.say(f"USER {USER}")
        code, text = await visit.talk.say(f"PASS {PASSWORD}")
        assert (code, "no SFTP" in text) == (530, True)


@pytest.mark.parametrize(
    "words",
    [
        b"\xff" * 40000,
        b"\0\0\0\x0c\x0a\x14" + b"x" * 10,
        b"\x7f\xff\xff\xff" + b"\0" * 65536,
        b"SSH-2.0-x\r\n" * 3000,
    ],
)
async def test_a_server_that_speaks_nonsense(folder: Path, words: bytes) -> None:
    async with serving(folder) as real:
        trust = trusting(real)
        with listener() as door, nothing_left_open():
            door.setblocking(False)
            loop = asyncio.get_running_loop()
            async with visiting(port_of(door), trust) as visit:
                peer, _ = await loop.sock_accept(door)
                with peer:
                    await loop.sock_sendall(peer, b"SSH-2.0-x\r\n")
                    assert (await visit.talk.reply())[0] == 220
                    await visit.talk.say(f"USER {USER}")
                    await visit.talk.send(f"PASS {PASSWORD}")
                    await loop.sock_recv(peer, 100)
                    with suppress(OSError):
                        await loop.sock_sendall(peer, words)
                        peer.shutdown(socket.SHUT_WR)
                    assert (await visit.talk.reply())[0] in {421, 530}
