"""A peer inside TLS: one that goes on where a plain one has been.

Not here: what it says. Invariant: an end that TLS did not sign is never heard as
``eof``, but as ``cut``.
"""

import asyncio
import ssl
from contextlib import suppress

from tests.session.peers import Ended, Peer, soon
from tests.session.stage import Stage

CHUNK = 65536


class SecurePeer(Peer):
    """*peer* goes on inside TLS, once it has shaken hands."""

    def __init__(
        self,
        peer: Peer,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        super().__init__(peer.sock)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self._in,
            self._out,
            server_side=context.protocol is ssl.PROTOCOL_TLS_SERVER,
            server_hostname=server_hostname,
            session=session,
        )

    async def shake_hands(self) -> None:
        """Raises ssl.SSLError, Ended."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._take()
            except ssl.SSLError:
                await self._flush()  # the alert that says why
                raise
            else:
                await self._flush()
                return

    async def _flush(self) -> None:
        data = self._out.read()
        if data:
            await super().say(data)

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            data = await soon(loop.sock_recv(self.sock, CHUNK))
        except ConnectionError:
            raise Ended("reset") from None
        if not data:
            raise Ended("cut")
        self._in.write(data)

    async def say(self, data: bytes) -> None:
        for at in range(0, len(data), CHUNK):
            self.tls.write(data[at : at + CHUNK])
            await self._flush()

    async def hear(self, limit: int = 65536) -> bytes:
        if self._held:
            held, self._held = self._held, b""
            return held
        while True:
            try:
                data = self.tls.read(limit)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._take()
                continue
            except ssl.SSLZeroReturnError:
                raise Ended("eof") from None
            if not data:
                raise Ended("eof")
            return data

    async def silent(self, seconds: float = 0.1) -> bool:
        try:
            self._held = await soon(self.hear(), seconds)
        except (TimeoutError, Ended):
            return True
        return False

    def end(self) -> None:
        """Say that nothing more comes, and sign it."""
        self.sign_off()
        super().end()

    def sign_off(self) -> None:
        """Send a close_notify, and no more."""
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.sock.send(self._out.read())

    def cut(self) -> None:
        """End the connection, and not TLS."""
        super().end()


async def inside(peer: Peer, context: ssl.SSLContext) -> SecurePeer:
    """Let *peer* go on inside TLS, as its server."""
    secure = SecurePeer(peer, context)
    await secure.shake_hands()
    return secure


async def server_goes_inside(scene: Stage, context: ssl.SSLContext) -> SecurePeer:
    """Let the server of *scene* go on inside TLS."""
    assert scene.server is not None
    secure = await inside(scene.server, context)
    scene.server = secure
    return secure
