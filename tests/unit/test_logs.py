"""What a collector of logs reads: with `as_json` every line is JSON, whoever wrote it."""

import json
import subprocess
import sys

PROGRAM = """
import logging, structlog
from ecgstream.logs import configure_logs
configure_logs(as_json={as_json})
structlog.get_logger("monitor").warning("late", behind_s=3)
library = logging.getLogger("aiokafka.client")
library.info("Bootstrapped")
library.error("Unable to connect to %s", "kafka:9092")
try:
    name = "Anna " + "Berg"
    raise ValueError("unknown error code")
except ValueError:
    library.exception("Unexpected error\\nin a response")
"""


def logged(as_json: bool) -> list[str]:
    """The lines on stderr of a process that logs itself and through a library."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(as_json=as_json)], capture_output=True, text=True, check=True
    )
    return done.stderr.splitlines()


def test_json_lines_hold_the_libraries_logs_too() -> None:
    lines = [json.loads(line) for line in logged(as_json=True)]
    assert [(line["level"], line["event"]) for line in lines] == [
        ("warning", "late"),
        ("error", "Unable to connect to kafka:9092"),
        ("error", "Unexpected error\nin a response"),
    ]
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert [line["logger"] for line in lines[1:]] == ["aiokafka.client"] * 2
    raised = lines[2]["exception"][0]
    assert (raised["exc_type"], raised["exc_value"]) == ("ValueError", "unknown error code")
    assert "Anna Berg" not in json.dumps(lines)


def test_a_persons_lines_name_the_library_once() -> None:
    lines = logged(as_json=False)
    assert lines[1] == "ERROR aiokafka.client Unable to connect to kafka:9092"
    assert sum("Unable to connect" in line for line in lines) == 1
