"""Several processes of one command on one machine: started, started again when they die, and stopped together.

A worker that dies is started again after a pause that doubles with each death, up to `LONGEST_PAUSE_S`, and is short
again once it lived for `SETTLED_S`. Exit code 2 says that the settings are at fault: then all stop.

When the process that supervises them is killed, Linux kills the workers with it, so that it can be started again: they would
go on holding their ports and their static ids. For this each worker begins as this module (`python -m ecgstream.workers`),
which ties itself to its supervisor and then becomes the command.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import structlog

FIRST_PAUSE_S, LONGEST_PAUSE_S, SETTLED_S = 1.0, 30.0, 60.0
POLL_S = 0.2
STOP_S = 30.0
USAGE = 2
PR_SET_PDEATHSIG = 1  # of prctl(2)

log = structlog.get_logger("workers")


def supervise(
    commands: Sequence[Sequence[str]], stop: threading.Event, first_pause_s: float = FIRST_PAUSE_S
) -> int:
    """Keep one process a command running until `stop` is set, then end them with SIGTERM; gives the exit code.

    The thread that calls it must live as long as the process: to Linux, it is that thread which has the workers.
    """
    workers: list[subprocess.Popen[bytes] | None] = [None] * len(commands)
    begun, due, pauses = [0.0] * len(commands), [0.0] * len(commands), [first_pause_s] * len(commands)
    code = 0
    while not stop.is_set() and code == 0:
        now = time.monotonic()
        for k, command in enumerate(commands):
            worker = workers[k]
            if worker is None:
                if now >= due[k]:
                    workers[k], begun[k] = subprocess.Popen(_tied(command), start_new_session=True), now
            elif (ended := worker.poll()) is not None:
                if ended == USAGE:
                    code, workers[k] = USAGE, None
                    continue
                if now - begun[k] >= SETTLED_S:
                    pauses[k] = first_pause_s
                log.warning("worker died", worker=k, code=ended, again_in_s=pauses[k])
                workers[k], due[k] = None, now + pauses[k]
                pauses[k] = min(2 * pauses[k], LONGEST_PAUSE_S)
        stop.wait(POLL_S)
    running = [worker for worker in workers if worker is not None]
    for worker in running:
        if worker.poll() is None:
            worker.send_signal(signal.SIGTERM)
    ends = [_ended(worker) for worker in running]
    return code or max(ends, default=0)


def _ended(worker: subprocess.Popen[bytes]) -> int:
    """A worker's exit code once it has ended, killed where it takes too long; 0 for one that SIGTERM ended before it had begun."""
    try:
        code = worker.wait(STOP_S)
    except subprocess.TimeoutExpired:
        worker.kill()
        code = worker.wait()
    return 0 if code == -signal.SIGTERM else abs(code)


def _tied(command: Sequence[str]) -> list[str]:
    """The command line of a worker that doesn't outlive this process; elsewhere than on Linux it does."""
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-m", "ecgstream.workers", str(os.getpid()), *command]


def become(supervisor: int, command: list[str]) -> None:
    """Die when the process `supervisor`, this one's parent, dies; then run `command` in the place of this process."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != supervisor:
        raise SystemExit("workers: the supervisor is gone")
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
