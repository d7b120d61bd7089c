"""Takes from the calling thread, and from every thread it starts, what a SQL engine has no business with.

ClickHouse's grants do not cover everything in the embedded engine: it runs as `clickhouse-local`, where the function
`file()` and some table engines accept any path. Landlock (Linux 5.13; TCP since 6.7) makes the kernel refuse instead:
files outside the allowed directories cannot be opened, no program can be executed, no TCP connection made.
"""

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_VERSION_QUERY = 1
_PR_SET_NO_NEW_PRIVS = 38

_WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
_FILE_RIGHTS = 1 | _WRITE_FILE | _READ_FILE | _TRUNCATE | 1 << 15
# All rights known at each ABI version: a right the kernel does not know makes it refuse the whole rule set.
_ALL_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_EXECUTE = 1
_CONNECT_TCP = 1 << 1
_ABI_WITH_TCP = 4


class SandboxUnavailableError(Exception):
    """This kernel cannot confine the engine; the message says why."""


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64), ("handled_access_net", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def confine_thread(*, writable: Iterable[Path], readable: Iterable[Path]) -> int:
    """Confine the calling thread for good and return the Landlock ABI version that is in force.

    Paths that do not exist are skipped. Threads that run already keep their rights: call it first in each.
    Raises SandboxUnavailableError, with nothing changed, where the kernel has no Landlock.
    """
    if not sys.platform.startswith("linux"):
        raise SandboxUnavailableError("Landlock exists on Linux only")
    libc = ctypes.CDLL(None, use_errno=True)
    abi = libc.syscall(_CREATE_RULESET, None, 0, _VERSION_QUERY)
    if abi < 1:
        raise SandboxUnavailableError(f"the kernel offers no Landlock ({os.strerror(ctypes.get_errno())})")
    rights = _ALL_RIGHTS[max(known for known in _ALL_RIGHTS if known <= abi)]
    with_tcp = abi >= _ABI_WITH_TCP
    attributes = _RulesetAttributes(rights, _CONNECT_TCP if with_tcp else 0)
    size = ctypes.sizeof(attributes) if with_tcp else ctypes.sizeof(ctypes.c_uint64)
    ruleset = _checked(libc.syscall(_CREATE_RULESET, ctypes.byref(attributes), size, 0))
    try:
        for path in writable:
            _allow(libc, ruleset, path, rights & ~_EXECUTE)
        for path in readable:
            _allow(libc, ruleset, path, _READ_FILE | _READ_DIR)
        _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return abi


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        allowed = rights if path.is_dir() else rights & _FILE_RIGHTS
        rule = _PathBeneath(allowed, descriptor)
        _checked(libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        raise SandboxUnavailableError(f"Landlock refused its rules ({os.strerror(ctypes.get_errno())})")
    return result
