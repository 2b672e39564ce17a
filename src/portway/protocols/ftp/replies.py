"""What the gateway itself says to an FTP client.

Not here: replies that a server gave. Permanent failures before the login are 530,
because RFC 959 leaves USER no other and every client stops on it; temporary ones are
421 and a close, so that a client comes back by connecting again. Invariant: no text of
ours holds words that make a client try again where it should stop.
"""

from collections.abc import Mapping

from portway.errors import ParentError, PortwayError, Refused, UpstreamError
from portway.model import Reason
from portway.protocols.ftp.wire import reply

SEND_PASSWORD = reply(331, "Send password.")
LOGIN_OK = reply(230, "Login OK. Proceed.")
SEND_USER_FIRST = reply(503, "Send USER first.")
NAME_THE_SERVER = reply(
    530, "Name the server first: USER user@host, SITE host or OPEN host."
)
LOG_IN_FIRST = reply(530, "Log in to the proxy first.")
LOGIN_REFUSED = reply(530, "Proxy login refused.")
THREE_REFUSED = reply(421, "Three logins refused.")
TOO_MANY_WRONG = reply(421, "Too many wrong proxy logins. Come back later.")
LOGIN_OVER = reply(421, "The proxy login counts no more. Log in again.")
ACCOUNTS_DOWN = reply(421, "The proxy cannot check logins now.")
NOTED = reply(220, "Noted. Log in to the proxy.")
SEND_ACCT = reply(332, "Send ACCT.")
ACCT_NOT_NEEDED = reply(230, "Not needed.")
HELD = reply(230, "Held: send AUTH and RESP.")
SEND_RESP = reply(331, "Send RESP.")
SEND_AUTH_FIRST = reply(530, "Send AUTH and RESP first.")
BAD_PLACE = reply(501, "Bad host name or port.")
NEW_USER = reply(220, "Ready for a new user.")
GOODBYE = reply(221, "Goodbye.")
NO_AUTH = reply(502, "AUTH is not available.")
LOGGED_IN = reply(530, "Logged in already: send REIN, or connect again.")
BAD_USER = reply(530, "The next proxy cannot be told of such a user.")
ACCT_NOT_DUE = reply(503, "No account is asked for.")
NOT_OFFERED = reply(502, "Not available through this proxy.")
LINE_TOO_LONG = reply(500, "Line too long.")
LINE_MUCH_TOO_LONG = reply(421, "Line too long.")
CONTROL_REFUSED = reply(501, "Control characters refused.")
IDLE = reply(421, "Idle too long, closing.")
LOGIN_TOO_LONG = reply(421, "Login took too long.")
SERVER_CLOSED = reply(421, "Server closed the connection.")
CUT_BY_SERVER = reply(426, "Server closed the connection.")
SERVER_SILENT = reply(421, "Server does not answer.")
SERVER_ODD = reply(421, "Server does not speak FTP any more.")
NO_DATA_PATH = reply(425, "Send PASV, EPSV, PORT or EPRT first.")
NO_DATA_PORT = reply(425, "No data port is free.")
DATA_EXPIRED = reply(425, "The data port was not used in time.")
ALL_SENT = reply(501, "EPSV ALL was sent.")
EPSV_ALL_OK = reply(200, "EPSV ALL accepted.")
USE_EPSV = reply(425, "Use EPSV on IPv6.")
BUSY = reply(421, "The proxy has no connection to spare now.")
NO_WAY = reply(425, "No data path to the server.")
NO_SERVER = reply(421, "No server is available.")
NOBODYS_SERVER = reply(530, "No server is for this login.")
SEND_LOGIN = reply(530, "Log in with USER and PASS.")
NO_TLS = reply(503, "TLS is not active.")
NO_CCC = reply(534, "CCC is not allowed here.")
CCC_TOO_EARLY = reply(503, "Log in first.")
CCC_OK = reply(200, "CCC accepted.")
TLS_ALREADY = reply(503, "TLS is active already.")
TLS_TOO_LATE = reply(503, "AUTH comes before the login.")
TLS_REQUIRED = reply(530, "TLS is required: send AUTH TLS first.")
NO_MECHANISM = reply(504, "AUTH knows TLS only.")
NOTHING_BEHIND_AUTH = reply(421, "Nothing may follow AUTH before its reply.")
NOTHING_BEHIND_CCC = reply(421, "Nothing may follow CCC before its reply.")
SIZED = reply(200, "PBSZ=0")
BAD_SIZE = reply(501, "PBSZ takes a number.")
SEND_PBSZ = reply(503, "Send PBSZ first.")
PROT_OK = reply(200, "PROT accepted.")
PROT_REQUIRED = reply(534, "PROT P is required.")
PROT_NEEDED = reply(521, "PROT P is required.")
BAD_PROT = reply(504, "PROT knows C and P only.")
NO_SUCH_PROT = reply(536, "PROT knows C and P only.")
NO_MODE = reply(504, "Only MODE S is available.")
TRANSFER_ABORTED = reply(426, "Transfer aborted.")
NOTHING_TO_ABORT = reply(226, "ABOR came behind the end of the transfer.")
NO_COMMANDS = reply(421, "Lines came in, and no command among them.")
LOGIN_DUE = reply(421, "Log in to the proxy anew.")
ENDED = reply(421, "Ended by the administrator.")
INTERNAL = reply(421, "The proxy met an error of its own.")


REFUSALS: Mapping[Reason, bytes] = {
    Reason.SYNTAX: reply(501, "Bad host name or port."),
    Reason.TOO_LONG: LINE_TOO_LONG,
    Reason.UNSUPPORTED: NOT_OFFERED,
    Reason.LOGIN: LOG_IN_FIRST,
    Reason.LOGIN_WRONG: LOGIN_REFUSED,
    Reason.LOGIN_UNAVAILABLE: ACCOUNTS_DOWN,
    Reason.RULE: reply(530, "Denied by policy."),
    Reason.DEFAULT: reply(530, "Denied by policy."),
    Reason.PORT: reply(530, "Denied by policy."),
    Reason.INSIDE: reply(530, "Denied by policy."),
    Reason.CONNECTIONS: reply(421, "Too many connections."),
    Reason.RATE: reply(421, "Too many requests."),
    Reason.QUOTA: reply(550, "Quota used up."),
    Reason.FILTER: reply(550, "Content refused."),
    Reason.UNSCANNED: reply(550, "Content could not be checked."),
    Reason.NAME: reply(530, "Cannot resolve host."),
    Reason.RESOLVER: reply(421, "Cannot resolve host now."),
    Reason.REFUSED: reply(421, "Connection refused."),
    Reason.UNREACHABLE: reply(421, "Network unreachable."),
    Reason.CONNECT_TIMEOUT: reply(421, "Connection timed out."),
    Reason.TLS: reply(530, "No trusted TLS."),
    Reason.VIA: reply(421, "The next proxy refused."),
    Reason.PROTOCOL: SERVER_ODD,
    Reason.GONE: SERVER_CLOSED,
    Reason.TIMEOUT: SERVER_SILENT,
    Reason.IDLE: IDLE,
    Reason.BUSY: NO_DATA_PORT,
    Reason.DRAIN: reply(421, "The proxy is closing."),
    Reason.ADMIN: ENDED,
    Reason.LOOP: reply(530, "That address is this proxy itself."),
}

# What a client is told that ends the session by itself; gone ones are told nothing.
CLIENT_ENDS: Mapping[Reason, bytes] = {
    Reason.IDLE: IDLE,
    Reason.TIMEOUT: LOGIN_TOO_LONG,
    Reason.TOO_LONG: LINE_MUCH_TOO_LONG,
}

BECAUSE = {
    Reason.RESOLVER: "the name server does not answer",
    Reason.REFUSED: "connection refused",
    Reason.UNREACHABLE: "network unreachable",
    Reason.CONNECT_TIMEOUT: "connection timed out",
}
LIMITS = {Reason.CONNECTIONS: 450, Reason.RATE: 450, Reason.QUOTA: 550}
POLICY = {Reason.RULE, Reason.DEFAULT, Reason.PORT, Reason.INSIDE}


def ready(name: str, banner: str) -> bytes:
    """Return the greeting of a door; it tells no version."""
    return reply(220, banner or f"{name} FTP proxy ready.")


def closing(name: str) -> bytes:
    """Return the farewell of a gateway that shuts down."""
    return reply(421, f"{name} is closing.")


def too_many(name: str) -> bytes:
    """Return the farewell to a client that is one too many."""
    return reply(421, f"{name}: too many connections.")


def not_reached(error: PortwayError, host: str) -> bytes:
    """Return why *host* was not reached: 530 if that will last, else 421."""
    if isinstance(error, Refused):
        if error.reason in POLICY:
            return reply(530, denied(error))
        if error.reason in LIMITS:
            lasting = error.reason is Reason.QUOTA
            return reply(530 if lasting else 421, limited(error))
        return BUSY if error.reason is Reason.BUSY else REFUSALS[error.reason]
    if isinstance(error, ParentError):
        return reply(421, f"Cannot reach host {host} by the next proxy: {error.words}.")
    if error.reason is Reason.NAME:
        return reply(530, f"Cannot resolve host {host}.")
    if error.reason is Reason.TLS:
        offers = "" if error.text.startswith("offers") else ":"
        return reply(530, f"Host {host}{offers} {error.text}.")
    if isinstance(error, UpstreamError):
        why = BECAUSE.get(error.reason, "connection failed")
        return reply(421, f"Cannot reach host {host}: {why}.")
    if error.reason is Reason.SYNTAX:
        return reply(421, f"Host {host} does not speak FTP.")
    return reply(421, f"Host {host} did not greet.")


def login_impossible(error: Refused) -> bytes:
    """Return why no proxy login of the client's is checked now."""
    return TOO_MANY_WRONG if error.reason is Reason.RATE else REFUSALS[error.reason]


def denied(error: Refused) -> str:
    """Return the words of a refusal by the policy."""
    because = " ".join(error.because.split())
    return f"Denied: {because}" if because else "Denied by policy."


def limited(error: Refused) -> str:
    """Return the words of a refusal by a limit."""
    text = error.text
    return f"{text[:1].upper()}{text[1:]}."


def which(error: Refused) -> str:
    """Return which limit it was, without the words for its kind."""
    return error.because.partition(": ")[2]


def command_denied(error: Refused) -> bytes:
    """Return the refusal of one command."""
    if error.reason in LIMITS:
        return reply(LIMITS[error.reason], limited(error))
    return reply(550, denied(error))
