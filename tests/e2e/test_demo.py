"""The demo as a person starts it: real processes, a real recording, an alert, and nothing left behind."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WAIT_S = 300


@contextmanager
def demo(folder: Path, *options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A running demo whose temporary files lie in `folder`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ecgstream", "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment, "TMPDIR": str(folder), "COLUMNS": "120"},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(WAIT_S)
        assert process.stdout is not None
        process.stdout.close()


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes that work in `folder` or name it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if str(folder) in line or str((entry / "cwd").readlink()).startswith(str(folder)):
                found.append(line)
        except OSError:
            continue  # it has ended meanwhile
    return found


def check_output(output: str) -> None:
    """Fails unless all of the recording was analysed and an alert raised."""
    told = re.search(r"5:00 of the recording: (\d+) findings, (\d+) alerts, the first (\d+) s after", output)
    assert told, output
    assert int(told[1]) >= 60
    assert int(told[2]) >= 1


@pytest.mark.embedded
def test_demo_raises_an_alert_and_ends(tmp_path: Path) -> None:
    with demo(tmp_path, "--once", "--speed", "60") as process:
        output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, output
    check_output(output)
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []


@pytest.mark.kafka
def test_demo_on_a_kafka_that_runs_already(tmp_path: Path, apache_servers: str, topic_prefix: str) -> None:
    options = "--bootstrap-servers", apache_servers, "--speed", "60"
    with demo(tmp_path, *options, ECGSTREAM_TOPIC_PREFIX=topic_prefix) as process:
        output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, output
    check_output(output)


@pytest.mark.embedded
def test_demo_leaves_cleanly_when_interrupted(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "console start" in line:
                break
        assert len(processes_of(tmp_path)) >= 1
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()
        process.wait(WAIT_S)
    assert process.returncode == 0, output
    assert "Ended" in output
    assert "Traceback" not in output
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_demo_says_what_is_wrong(tmp_path: Path) -> None:
    with demo(tmp_path, "--bootstrap-servers", "127.0.0.1:1") as process:
        output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 2
    assert output.startswith("demo: ")
    assert "127.0.0.1" in output
    assert len(output.splitlines()) == 1
