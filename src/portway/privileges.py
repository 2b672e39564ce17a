"""What the process may do: no more than its work needs, once its doors are open.

A gateway that was started as root binds its ports, and goes on as ``gateway.user``. It
keeps two capabilities: to bind ports below 1024, which a reload may bring, and to take
and make connections of foreign addresses, which transparent doors do.

Not here: which doors there are. Invariant: once `become` has returned, no call brings
back what was given up.
"""

import ctypes
import os
import pwd
import resource
import stat
from pathlib import Path

# linux/capability.h, linux/prctl.h
_NET_BIND_SERVICE, _NET_ADMIN = 10, 12
_KEPT = 1 << _NET_BIND_SERVICE | 1 << _NET_ADMIN
_VERSION_3 = 0x20080522
_SET_DUMPABLE, _SET_KEEPCAPS, _CAPBSET_DROP, _SET_NO_NEW_PRIVS = 4, 8, 24, 38
_LAST_CAPABILITY = 63
_EINVAL = 22

_libc = ctypes.CDLL(None, use_errno=True)


def keep_no_cores() -> None:
    """Let a crash leave no file with what was in memory: passwords, keys."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))


def account_of(user: str) -> pwd.struct_passwd:
    """Return the account of the machine that *user* names. Raises ValueError."""
    try:
        return pwd.getpwnam(user)
    except KeyError:
        text = f'this machine has no user "{user}"; make one with adduser --system'
        raise ValueError(text) from None


def become(user: str, state: Path) -> None:
    """Go on as *user*, who owns *state* and what is in it from now on.

    For a process of root's. Raises ValueError for a user whom nobody knows, and OSError
    if the kernel refuses.
    """
    account = account_of(user)
    hand_over(state, account)
    os.initgroups(user, account.pw_gid)
    os.setgid(account.pw_gid)
    _drop_bounding_set()
    _prctl(_SET_KEEPCAPS, 1)
    os.setuid(account.pw_uid)
    _keep_capabilities()
    _prctl(_SET_NO_NEW_PRIVS, 1)
    _prctl(_SET_DUMPABLE, 0)


def hand_over(state: Path, account: pwd.struct_passwd) -> None:
    """Give *state*, and what is in it, to *account*.

    Whoever owns the folder already may change it meanwhile: links are not followed, and
    a file that has another name elsewhere is left as it is.
    """
    for _, folders, files, at in os.fwalk(state, follow_symlinks=False):
        os.fchown(at, account.pw_uid, account.pw_gid)
        for name in (*folders, *files):
            found = os.stat(name, dir_fd=at, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode) or found.st_nlink > 1:
                continue
            os.chown(
                name, account.pw_uid, account.pw_gid, dir_fd=at, follow_symlinks=False
            )


def _drop_bounding_set() -> None:
    for capability in range(_LAST_CAPABILITY + 1):
        if _KEPT >> capability & 1:
            continue
        try:
            _prctl(_CAPBSET_DROP, capability)
        except OSError as error:
            if error.errno == _EINVAL:  # this kernel has no more of them
                return
            raise


def _keep_capabilities() -> None:
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    held = (ctypes.c_uint32 * 6)()
    if _libc.capget(header, held):
        raise _failure("capget")
    low = _KEPT & held[1]  # of what it was permitted; a container may lack some
    kept = (ctypes.c_uint32 * 6)(low, low, 0, 0, 0, 0)  # the low 32 bits, then the high
    if _libc.capset(header, kept):
        raise _failure("capset")


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0):
        raise _failure("prctl")


def _failure(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), call)
