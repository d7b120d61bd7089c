"""Runs as a process of its own: asks the kernel to kill this process with its parent, then becomes the command.

`launcher.py PARENT_PID COMMAND...`. A program of its own because code between fork and exec (`preexec_fn`) can
deadlock in a parent that has threads; without a `site` import it costs some 20 ms.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the parent died before its child had started")
    try:
        os.execvp(command[0], command)  # noqa: S606 - becoming the given command is all this program does
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
