"""Settings that can't be end a command at once: exit code 2, and one line that names what is wrong."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

TLS = {"ECGSTREAM_SECURITY_PROTOCOL": "SASL_SSL", "ECGSTREAM_SASL_USERNAME": "m"}
CASES = [
    (
        {"ECGSTREAM_SSL_CA_FILE": "/nope", "ECGSTREAM_SASL_PASSWORD": "s", **TLS},
        "ECGSTREAM_SSL_CA_FILE: /nope: ",
    ),
    ({"ECGSTREAM_SASL_PASSWORD_FILE": "/nope", **TLS}, "ECGSTREAM_SASL_PASSWORD_FILE: /nope: "),
    ({"ECGSTREAM_BOOTSTRAP_SERVERS": "localhost:abc"}, "ECGSTREAM_BOOTSTRAP_SERVERS: 'localhost:abc': "),
]


def ended(*arguments: str, **environment: str) -> tuple[int, list[str]]:
    """A command's exit code and the lines on stderr that aren't the log's."""
    outside = {k: v for k, v in os.environ.items() if not k.startswith("ECGSTREAM_")}
    done = subprocess.run(
        [sys.executable, "-m", "ecgstream", *arguments],
        env=outside | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize("command", [("monitor",), ("monitor", "--workers", "2"), ("topics", "create")])
@pytest.mark.parametrize(("environment", "named"), CASES)
def test_a_wrong_setting_is_told_in_one_line(
    command: tuple[str, ...], environment: dict[str, str], named: str
) -> None:
    code, lines = ended(*command, **environment)
    assert (code, len(lines)) == (2, 1), lines
    assert lines[0].startswith(f"{command[0]}: {named}")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_for_metrics_that_is_taken_is_told(workers: int, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, lines = ended("monitor", "--metrics-port", str(port), "--workers", str(workers))
    told = [line for line in lines if line.startswith("monitor: --metrics-host, --metrics-port: ")]
    assert code == 2, lines
    assert len(told) == 1
    assert f"127.0.0.1:{port}: " in told[0]
    assert not any("Traceback" in line or "worker died" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--metrics-port", "99999"), "--metrics-port"),
        (
            ("--metrics-port", "65535", "--workers", "2"),
            "--metrics-port: 65535: leaves no ports for 2 workers",
        ),
    ],
)
def test_a_port_that_is_none_is_told(arguments: tuple[str, ...], named: str) -> None:
    code, lines = ended("monitor", *arguments)
    assert code == 2
    assert any(named in line for line in lines), lines
