import sys
import threading
import time
from pathlib import Path

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


def _stop_after(stop: threading.Event, path: Path, n: int) -> None:
    for _ in range(600):
        if path.exists() and len(path.read_text()) >= n:
            break
        time.sleep(0.05)
    stop.set()
