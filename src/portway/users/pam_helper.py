"""The process that speaks to PAM: one login, a line of JSON each way on descriptor 0.

    {"service": "portway", "folder": "", "user": "joe", "password": "…"}
    {"code": 0, "user": "joe"}

Modules of PAM are programs of others: they may hang, print, crash, or leave threads
behind. So they run here, and whoever started this may kill it.

Not here: what a code means (pam.py). Invariant: nothing is written but that one line,
and nothing is left when it ends.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    byref,
    c_char_p,
    c_int,
    c_uint,
    c_void_p,
)

PATIENCE = 15  # seconds until it ends by itself, if whoever started it has died
LINE = 8192

# <security/_pam_types.h>
SUCCESS, BUFFER_ERROR, CONVERSATION_ERROR = 0, 5, 19
PROMPT_ECHO_OFF, PROMPT_ECHO_ON = 1, 2
USER_ITEM, DELAY_ITEM = 2, 10
SET_CHILD_SUBREAPER = 36  # <sys/prctl.h>
SILENT, NO_EMPTY_PASSWORD = 0x8000, 0x0001
FLAGS = SILENT | NO_EMPTY_PASSWORD


class _Message(Structure):
    _fields_ = (("style", c_int), ("text", c_char_p))


class _Response(Structure):
    _fields_ = (("text", c_void_p), ("code", c_int))


_Converse = CFUNCTYPE(
    c_int,
    c_int,
    POINTER(POINTER(_Message)),
    POINTER(POINTER(_Response)),
    c_void_p,
)


_Delay = CFUNCTYPE(None, c_int, c_uint, c_void_p)


class _Conversation(Structure):
    _fields_ = (("function", _Converse), ("data", c_void_p))


def main() -> None:
    """Answer the one question that is asked."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it holds a password
    signal.alarm(PATIENCE)
    # so that what a module starts stays below us, where it is found and killed
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    line = os.dup(0)  # which programs that a module starts do not get
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    with os.fdopen(line, "r+b", buffering=0) as stream:
        asked = b""
        while not asked.endswith(b"\n"):
            more = stream.read(LINE)
            if not more:
                return
            asked += more
        stream.write(json.dumps(answer(json.loads(asked))).encode() + b"\n")
    # a thread that a module has left behind must not keep us
    os._exit(0)


def answer(asked: dict[str, str]) -> dict[str, object]:
    """Return the code of the first step that failed, and PAM's name of the user."""
    words = {
        key: value.encode(errors="surrogateescape") for key, value in asked.items()
    }
    pam = ctypes.CDLL("libpam.so.0")
    handle = c_void_p()
    no_delay = _Delay(lambda code, microseconds, data: None)  # noqa: ARG005 - PAM's
    conversation = _Conversation(_converse(words["password"]), None)
    start = [words["service"], words["user"], byref(conversation)]
    if words["folder"]:
        code = pam.pam_start_confdir(*start, words["folder"], byref(handle))
    else:
        code = pam.pam_start(*start, byref(handle))
    if code != SUCCESS:
        return {"code": code, "user": ""}
    # the gateway lets guessers wait itself, and without a process for each
    pam.pam_set_item(handle, DELAY_ITEM, no_delay)
    code = pam.pam_authenticate(handle, FLAGS)
    if code == SUCCESS:
        code = pam.pam_acct_mgmt(handle, FLAGS)
    name = c_char_p()
    pam.pam_get_item(handle, USER_ITEM, byref(name))
    user = (name.value or b"").decode(errors="surrogateescape")
    pam.pam_end(handle, code)
    return {"code": code, "user": user}


def _converse(password: bytes) -> "ctypes._CFunctionType":
    """Return what answers each question for a password, and refuses all others."""
    libc = ctypes.CDLL(None)
    libc.calloc.restype = libc.strdup.restype = c_void_p

    def converse(
        count: int,
        asked: "ctypes._Pointer[ctypes._Pointer[_Message]]",
        answered: "ctypes._Pointer[ctypes._Pointer[_Response]]",
        data: int | None,
    ) -> int:
        del data
        styles = [asked[place].contents.style for place in range(count)]
        if PROMPT_ECHO_ON in styles:
            return CONVERSATION_ERROR
        memory = libc.calloc(count, ctypes.sizeof(_Response))  # PAM frees it
        if not memory:
            return BUFFER_ERROR
        responses = ctypes.cast(memory, POINTER(_Response))
        for place, style in enumerate(styles):
            if style == PROMPT_ECHO_OFF:
                responses[place].text = libc.strdup(password)
        answered[0] = responses
        return SUCCESS

    return _Converse(converse)


if __name__ == "__main__":
    main()
    sys.exit(0)
