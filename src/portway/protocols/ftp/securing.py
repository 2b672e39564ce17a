"""AUTH, PBSZ, PROT and CCC: from a command to what is protected by it.

Not here: handshakes, and what is protected (protection.py). Invariant: nothing that was
said in clear is believed once AUTH was accepted, but for a login to the gateway that
was verified, and the name of the server.
"""

from portway.protocols.ftp import replies
from portway.protocols.ftp.client import Client
from portway.protocols.ftp.commands import Kind, kind_of
from portway.protocols.ftp.desk import Desk, Farewell, State
from portway.protocols.ftp.login import Login
from portway.protocols.ftp.protection import Protection
from portway.protocols.ftp.wire import Command


def is_about_tls(command: Command, protection: Protection) -> bool:
    """Say whether `secure` is to serve *command*; REIN takes back what was agreed."""
    if command.verb == "REIN":
        protection.forget()
    security = kind_of(command) is Kind.SECURITY
    return security or protection.refusal(command) is not None


async def secure(command: Command, client: Client, login: Login, desk: Desk) -> bool:
    """Serve a command about protection, or refuse one that is not protected.

    Says whether what was said before is to be forgotten. Raises Farewell; PeerError.
    """
    refusal = client.protection.refusal(command)
    if refusal is not None:
        await desk.tell(refusal)
        return False
    if command.verb == "AUTH":
        return await _begin(command.argument, client, login, desk)
    if command.verb == "CCC":
        await _end(client, login, desk)
    else:
        await desk.tell(client.protection.answer(command))
    return False


async def _begin(mechanism: bytes, client: Client, login: Login, desk: Desk) -> bool:
    """AUTH. RFC 4217, section 4."""
    refusal = client.protection.auth_refusal(mechanism)
    if refusal is None and login.state is State.SESSION:
        refusal = replies.TLS_TOO_LATE
    if refusal is not None:
        await desk.tell(refusal)
        return False
    await desk.settled()
    if not await login.forget_words():
        return True  # the client knows that its server cannot be reached
    if client.said_more:
        raise Farewell(replies.NOTHING_BEHIND_AUTH)
    await client.start_tls(client.protection.accept(mechanism))
    return True


async def _end(client: Client, login: Login, desk: Desk) -> None:
    """CCC. RFC 4217, section 10.3."""
    logged_in = login.state is State.SESSION
    refusal = client.protection.ccc_refusal(logged_in=logged_in)
    if refusal is not None:
        await desk.tell(refusal)
        return
    await desk.settled()
    if client.said_more:
        raise Farewell(replies.NOTHING_BEHIND_CCC)
    await client.end_tls(replies.CCC_OK)
