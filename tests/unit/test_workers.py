import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ecgstream.workers import supervise


def test_a_worker_that_dies_is_started_again_and_stops_with_the_rest(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    program = (
        "import sys, time; f = open(sys.argv[1], 'a'); f.write('x'); f.close(); "
        "n = len(open(sys.argv[1]).read()); sys.exit(1) if n < 3 else time.sleep(600)"
    )
    stop = threading.Event()
    threading.Thread(target=_stop_after, args=(stop, starts, 3), daemon=True).start()
    code = supervise([[sys.executable, "-c", program, str(starts)]], stop, first_pause_s=0.05)
    assert starts.read_text() == "xxx"
    assert code == 0  # it slept on, and SIGTERM ended it, as asked


def test_settings_at_fault_stop_them_all() -> None:
    assert supervise([[sys.executable, "-c", "raise SystemExit(2)"]], threading.Event()) == 2


def test_settings_at_fault_are_told_by_the_exit_code_whatever_the_others_end_with(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    stubborn = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); "
        f"open({str(ready)!r}, 'w').close(); time.sleep(600)"
    )
    at_fault = (
        f"import os, time\nwhile not os.path.exists({str(ready)!r}): time.sleep(0.05)\nraise SystemExit(2)"
    )
    commands = [[sys.executable, "-c", program] for program in (stubborn, at_fault)]
    assert supervise(commands, threading.Event()) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_supervisor_that_is_killed_leaves_no_worker_that_holds_its_port(tmp_path: Path) -> None:
    told = tmp_path / "port"
    worker = (
        "import pathlib, signal, socket, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "listening = socket.create_server(('127.0.0.1', 0)); "
        f"pathlib.Path({str(told)!r}).write_text(f'{{listening.getsockname()[1]}}.'); time.sleep(60)"
    )
    program = (
        "import sys, threading; from ecgstream.workers import supervise; "
        f"supervise([[sys.executable, '-c', {worker!r}]], threading.Event())"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", program])
    try:
        assert _comes(lambda: told.exists() and told.read_text().endswith("."))
        port = int(told.read_text().rstrip("."))
        assert not _is_free(port)
    finally:
        supervisor.kill()
        supervisor.wait()
    assert _comes(lambda: _is_free(port))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_worker_whose_supervisor_is_gone_before_it_is_tied_never_begins() -> None:
    command = [sys.executable, "-m", "ecgstream.workers", "0", sys.executable, "-c", "print('begun')"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "workers: the supervisor is gone\n"


def _comes(condition: Callable[[], bool]) -> bool:
    """Whether it becomes true within ten seconds."""
    for _ in range(200):
        if condition():
            return True
        time.sleep(0.05)
    return False


def _is_free(port: int) -> bool:
    """Whether a server could listen there."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _stop_after(stop: threading.Event, path: Path, n: int) -> None:
    for _ in range(600):
        if path.exists() and len(path.read_text()) >= n:
            break
        time.sleep(0.05)
    stop.set()
