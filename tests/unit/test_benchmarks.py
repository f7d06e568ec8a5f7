"""The benchmarks: each says how it is called, and `make bench` brings what they need."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEED_TORCH = {"classifier"}
SCRIPTS = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.torch] if path.stem in NEED_TORCH else [])
    for path in sorted((ROOT / "benchmarks").glob("*.py"))
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_benchmark_tells_how_it_is_called(script: Path) -> None:
    done = subprocess.run(
        [sys.executable, script, "--help"], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {script.name} [-h]")
    assert f"    python benchmarks/{script.name}" in done.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_bench_brings_torch() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", "bench", "EXTRAS="],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--extra test --extra train" in done.stdout
