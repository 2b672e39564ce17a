"""One SSH connection to one server, logged in, with SFTP on it.

This module and hostkeys.py are the only ones that need asyncssh; they are imported
when a door needs them.

Not here: dialling, which the exchange does, and FTP. Invariant: nothing is sent that
tells of the client before the server's key was found right, and nothing of the
machine's own SSH (configuration, agent, keys of its users) is ever used.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
from asyncssh import SFTPClient, SSHClient, SSHClientConnection, SSHKey, SSHKeyPair

from portway.model import Endpoint
from portway.protocols.ftp.sftp.fresh import Fresh
from portway.protocols.ftp.sftp.hostkeys import HostKeys

LOGIN_TIME = 60.0  # seconds, from the first byte to the session
KEEPALIVE = 60  # seconds without a word from the server, three times, and it is lost
PACKET = 131072  # bytes of data in a packet of the server's, at most
LEAVE_TIME = 1.0  # for a polite end
# The fastest first; the others are taken where a server has none of these.
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)

NO_KEYS = "The gateway cannot use its host keys."

log = logging.getLogger(__name__)
logging.getLogger("asyncssh").setLevel(logging.WARNING)  # it tells names of users


@dataclass(frozen=True, slots=True)
class Trust:
    """What a door has for SSH: *keys* prove who the servers are, *identity* us."""

    keys: HostKeys
    identity: SSHKeyPair | None = field(default=None, repr=False)


class LoginFailed(Exception):  # noqa: N818 - a refusal is an answer
    """The login came to nothing. *lasting*: trying again would be of no use."""

    def __init__(self, text: str, *, lasting: bool) -> None:
        super().__init__(text)
        self.text = text
        self.lasting = lasting


def trust_of(host_keys: str, *, pin: bool, identity: str) -> Trust:
    """Return what a door trusts.

    *host_keys* and *identity* are paths, or empty. Raises OSError, and ValueError for
    a file that cannot be used.
    """
    keys = HostKeys(Path(host_keys) if host_keys else None, pin=pin)
    try:
        keys.read()
    except ValueError as error:  # whose words repeat what is in the file
        raise ValueError(f"{host_keys}: is no known_hosts file") from error
    if not identity:
        return Trust(keys)
    try:
        (pair,) = asyncssh.load_keypairs(identity)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        text = f"{identity}: no private key, without a passphrase, that can be used"
        raise ValueError(text) from error
    return Trust(keys, pair)


class Caller(SSHClient):
    """What asyncssh asks about one connection.

    *at* names the server. *lost* is called when the connection has ended, for whatever
    reason. `refusal` says why the server's key was not taken.
    """

    def __init__(
        self, at: Endpoint, trust: Trust, password: bytes, lost: Callable[[], None]
    ) -> None:
        self.at = at
        self.trust = trust
        self.refusal = ""
        self._passwords = [text_of(password)]  # said once: more tries lock accounts
        self._lost = lost

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: SSHKey
    ) -> bool:
        """Say whether a key that is not in the file may be the server's."""
        del host, port
        at, keys = self.at, self.trust.keys
        told = f"{key.get_algorithm()} {key.get_fingerprint()}"
        try:
            if keys.may_pin(at.host, addr, at.port):
                keys.pin(at.host, at.port, key)
                return True
            known = keys.knows(at.host, addr, at.port)
        except (OSError, ValueError):
            log.exception("ftp.sftp.host_keys")
            self.refusal = NO_KEYS
            return False
        if known:
            self.refusal = f"{at} shows another key than it used to: {told}"
        else:
            self.refusal = f"The key of {at} is not known: {told}"
        return False

    def password_auth_requested(self) -> str | None:
        """Return the password, once."""
        return self._passwords.pop() if self._passwords else None

    def kbdint_auth_requested(self) -> str | None:
        """Offer to answer questions; which ones, the server chooses."""
        return "" if self._passwords else None

    def kbdint_challenge_received(
        self,
        name: str,
        instructions: str,
        lang: str,
        prompts: Sequence[tuple[str, bool]],
    ) -> list[str] | None:
        """Answer the one question that hides what is typed: it is the password."""
        del name, instructions, lang
        if not prompts:
            return []
        if len(prompts) > 1 or prompts[0][1] or not self._passwords:
            return None
        return [self._passwords.pop()]

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that the server is gone."""
        del exc
        self._lost()


class Server:
    """An SFTP server that took the login."""

    __slots__ = ("_connection", "files", "fingerprint", "version")

    def __init__(self, connection: SSHClientConnection, files: SFTPClient) -> None:
        self._connection = connection
        self.files = files
        key = connection.get_server_host_key()
        self.fingerprint = key.get_fingerprint() if key is not None else ""
        version = connection.get_extra_info("server_version", "")
        self.version = str(version).removeprefix("SSH-2.0-")

    async def close(self) -> None:
        """End the connection, politely if that is quick."""
        try:
            with suppress(TimeoutError, asyncssh.Error, OSError):
                async with asyncio.timeout(LEAVE_TIME):
                    self._connection.close()
                    await self._connection.wait_closed()
        finally:
            self._connection.abort()


async def log_in(fresh: Fresh, caller: Caller, user: bytes) -> Server:
    """Log in over *fresh*, which belongs to the result from now on.

    Raises LoginFailed; the connection is closed then.
    """
    try:
        caller.trust.keys.read()
    except (OSError, ValueError) as error:
        fresh.close()
        log.exception("ftp.sftp.host_keys")
        raise LoginFailed(NO_KEYS, lasting=True) from error
    sock = fresh.take()
    try:
        async with asyncio.timeout(LOGIN_TIME):
            connection = await _connect(sock, caller, text_of(user))
    except BaseException as error:
        sock.close()
        failed = _failure(error, caller.refusal)
        if failed is None:
            raise
        raise failed from error
    try:
        async with asyncio.timeout(LOGIN_TIME):
            return Server(connection, await connection.start_sftp_client())
    except BaseException as error:
        connection.abort()
        if not isinstance(error, asyncssh.Error | OSError | TimeoutError):
            raise
        text = "The server lets you in, and has no SFTP."
        raise LoginFailed(text, lasting=True) from error


async def _connect(
    sock: socket.socket, caller: Caller, user: str
) -> SSHClientConnection:
    identity = caller.trust.identity
    return await asyncssh.connect(
        caller.at.host,
        caller.at.port,
        sock=sock,
        config=None,
        client_factory=lambda: caller,
        known_hosts=caller.trust.keys.read(),
        username=user,
        client_keys=[identity] if identity is not None else None,
        agent_path=None,
        x509_trusted_certs=None,
        gss_host=None,
        preferred_auth="publickey,password,keyboard-interactive",
        encryption_algs=CIPHERS,
        compression_algs=["none"],
        keepalive_interval=KEEPALIVE,
        max_pktsize=PACKET,
    )


def _failure(error: BaseException, refusal: str) -> LoginFailed | None:
    """Return what to make of *error*; None: it is no failure of the login's."""
    if refusal:
        return LoginFailed(refusal, lasting=True)
    if isinstance(error, asyncssh.PermissionDenied):
        return LoginFailed("Login incorrect.", lasting=True)
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return LoginFailed(f"The server's key is not taken: {error}", lasting=True)
    if isinstance(error, asyncssh.KeyExchangeFailed):
        text = "The server shows no key of a known kind, or has old ciphers only"
        return LoginFailed(text, lasting=True)
    if isinstance(error, TimeoutError):
        return LoginFailed("The server does not answer.", lasting=False)
    if isinstance(error, asyncssh.Error | OSError):
        return LoginFailed("The connection to the server was lost.", lasting=False)
    if isinstance(error, ValueError):  # names that SSH has no form for; a broken file
        return LoginFailed("Login incorrect.", lasting=True)
    return None


def text_of(words: bytes) -> str:
    """Return a name or password as text, which SSH sends as UTF-8. RFC 4252, 5."""
    try:
        return words.decode()
    except UnicodeDecodeError:
        return words.decode("latin-1")
