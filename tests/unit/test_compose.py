"""The compose file: what must outlive a container lies on a volume, what ends is started again, commands and settings exist."""

from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from ecgstream.cli import app
from ecgstream.console.settings import ConsoleSettings
from ecgstream.kafka import CONSOLE_PREFIX, ENV_PREFIX, KafkaSettings

ROOT = Path(__file__).parents[2]
FOR_ONCE = {"topics", "simulator"}


@pytest.fixture
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    return found


def test_what_serves_is_started_again_the_broker_too(services: dict[str, Any]) -> None:
    """Also after the machine was: compose looks at what waits for what only when it is told to start it all."""
    policies = {name: service.get("restart", "no") for name, service in services.items()}
    assert policies == {name: "no" if name in FOR_ONCE else "unless-stopped" for name in services}


def test_its_commands_and_settings_exist(services: dict[str, Any]) -> None:
    ours = {name: service for name, service in services.items() if service["image"] == "ecgstream"}
    assert set(ours) == {"topics", "monitor", "alerting", "console", "simulator"}
    known = {f"{ENV_PREFIX}{name.upper()}" for name in KafkaSettings.model_fields}
    known |= {f"{CONSOLE_PREFIX}{name.upper()}" for name in ConsoleSettings.model_fields}
    for service in ours.values():
        command: Any = typer.main.get_command(app)
        words = list(service["command"])
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        command.make_context("ecgstream", words)  # refuses unknown options and values that can't be
        assert set(service["environment"]) <= known


def test_every_image_has_a_version(services: dict[str, Any]) -> None:
    others = [service["image"] for service in services.values() if "build" not in service]
    assert len(others) == 3
    for image in others:
        assert image.rpartition(":")[2][0] in "v0123456789", image


def test_kafkas_logs_lie_on_its_volume(services: dict[str, Any]) -> None:
    kafka = services["kafka"]
    mounted = [volume.split(":")[1] for volume in kafka["volumes"]]
    assert mounted == [kafka["environment"]["KAFKA_LOG_DIRS"]]
