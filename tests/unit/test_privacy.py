"""Nothing is told to third parties, and nothing of a patient to the logs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_network_library_keeps_no_telemetry(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    code = "import ecgstream.classifier, os, onnxruntime; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"
    assert list(tmp_path.rglob("*")) == [], (
        "its session and device files lie where temporary files and the home are"
    )


@pytest.mark.parametrize("as_json", [False, True])
def test_tracebacks_in_the_logs_hold_no_values(as_json: bool) -> None:
    code = (
        f"import structlog; from ecgstream.logs import configure_logs; configure_logs(as_json={as_json})\n"
        "def fault(patient): return patient / 0\n"
        "try: fault(4711)\n"
        "except ZeroDivisionError as error: structlog.get_logger().critical('stops', exc_info=error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ZeroDivisionError" in done.stderr
    assert "4711" not in done.stderr.replace("fault(4711)", "")
