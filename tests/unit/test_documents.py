"""What the documents say is so: commands, settings, records, files."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from prometheus_client.metrics import MetricWrapperBase
from typer.testing import CliRunner

from ecgstream import alerting, observability
from ecgstream.cli import app
from ecgstream.codec import JSON, decode, decode_answer
from ecgstream.console.settings import ConsoleSettings
from ecgstream.kafka import CONSOLE_PREFIX, ENV_PREFIX, OTHER_VARIABLES, KafkaSettings
from ecgstream.limits import load_limits
from ecgstream.messages import Chunk
from ecgstream.topics import Topics

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
WITH_CODE = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]


def code_lines(path: Path) -> list[str]:
    """The lines of a document's shell blocks, continued lines joined, comments gone."""
    blocks = re.findall(r"^```(?:sh|console|bash)\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)
    text = "\n".join(blocks).replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def commands(path: Path) -> list[list[str]]:
    """The words of each call of ``ecgstream`` in a document."""
    found = []
    for line in code_lines(path):
        for part in re.split(r"\s(?:\||&&|>{1,2}|&)\s|\s&$", line):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if words and words[0] == "ecgstream":
                found.append(words[1:])
    return found


def check_command(words: list[str]) -> None:
    """Fails unless the command stands and has the options."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        assert name in command.commands, f"ecgstream {shlex.join(words)}: no command {name}"
        command = command.commands[name]
    options = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
    for word in rest:
        if word.startswith("-") and not re.fullmatch(r"-\d.*", word):
            assert word.split("=")[0] in options | {"--help"}, (
                f"ecgstream {shlex.join(words)}: no option {word}"
            )


@pytest.mark.parametrize("path", WITH_CODE, ids=lambda path: path.name)
def test_commands_stand(path: Path) -> None:
    for words in commands(path):
        check_command(words)


def test_a_wrong_command_would_be_seen() -> None:
    with pytest.raises(AssertionError, match="no command nonsense"):
        check_command(["nonsense"])
    with pytest.raises(AssertionError, match="no option --colour"):
        check_command(["topics", "create", "--colour"])


def every_command(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from every_command(below, (*words, name))


def test_examples_in_the_help_stand_in_lines_of_their_own_and_can_be_called() -> None:
    n = 0
    for words, command in every_command(typer.main.get_command(app)):
        lines = [line.strip() for line in (command.help or "").splitlines()]
        examples = [line for line in lines if line.startswith("ecgstream ")]
        if not examples:
            continue
        shown = (
            CliRunner()
            .invoke(app, [*words, "--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
            .output
        )
        for line in examples:
            assert line in [row.strip() for row in shown.splitlines()], f"{words}: {line}"
            check_command(shlex.split(re.split(r"\s(?:\||>{1,2})\s", line)[0])[1:])
            n += 1
    assert n > 20


def test_readme_shows_the_main_commands() -> None:
    shown = {words[0] for words in commands(ROOT / "README.md")}
    assert {"topics", "monitor", "alerting", "schema"} <= shown


def test_make_targets_stand() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    for path in WITH_CODE:
        for line in code_lines(path):
            words = shlex.split(line, comments=True)
            if words and words[0] == "make":
                assert {word for word in words[1:] if "=" not in word} <= targets, line


CONSOLE = {f"{CONSOLE_PREFIX}{name.upper()}": field for name, field in ConsoleSettings.model_fields.items()}
SETTINGS = {
    f"{ENV_PREFIX}{name.upper()}": field for name, field in KafkaSettings.model_fields.items()
} | CONSOLE


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_stands_in_the_configuration_page(name: str) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    field = SETTINGS[name]
    value = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
    default = "" if field.default in {None, ""} else f"`{value}`"
    assert field.description
    meaning = f"{field.description[0].upper()}{field.description[1:].removesuffix('.')}."
    assert f"| `{name}` | {default} | {meaning} |".replace("|  |", "| |") in page


def test_the_configuration_page_names_no_other_setting() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert set(re.findall(r"ECGSTREAM_[A-Z_]+[A-Z]", page)) == set(SETTINGS) | OTHER_VARIABLES


def test_the_chunk_typed_by_hand_is_valid() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"\{\"device_id\".*?\}", readme, re.S)
    assert found
    for text in found:
        chunk = decode(Chunk, text.encode(), JSON)
        assert chunk.n_samples == len(json.loads(text)["samples"])


def test_the_answer_typed_by_hand_is_valid() -> None:
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    found = re.findall(r"^```json\n(.*?)^```", page, re.M | re.S)
    assert [type(decode_answer(text.encode(), JSON)).__name__ for text in found] == ["Ack"]


def test_links_lead_to_files() -> None:
    seen = 0
    for path in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
            seen += 1
    assert seen


def headings(path: Path) -> set[str]:
    """The anchors of a document, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def test_links_lead_to_headings() -> None:
    seen = 0
    for path in DOCUMENTS:
        for target, anchor in re.findall(
            r"\]\((?!https?:)([^)#]*)#([^)]+)\)", path.read_text(encoding="utf-8")
        ):
            assert anchor in headings(path.parent / target if target else path), (
                f"{path.name}: {target}#{anchor}"
            )
            seen += 1
    assert seen


def test_readme_names_every_topic() -> None:
    readme, topics = (ROOT / "README.md").read_text(encoding="utf-8"), Topics()
    assert [
        name for name in set(topics.configurations()) - set(topics.changelogs) if f"`{name}`" not in readme
    ] == []


def test_compose_file_calls_commands_that_stand() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    called = [service["command"] for service in services.values() if service.get("image") == "ecgstream"]
    assert len(called) >= 3
    for words in called:
        check_command([str(word) for word in words])


def test_dashboard_and_operations_name_metrics_that_stand() -> None:
    dashboard = (ROOT / "observability" / "dashboard.json").read_text(encoding="utf-8")
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    pattern = r"ecgstream_[a-z_]+[a-z](?=[^a-z_]|$)"
    named = {
        re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(pattern, dashboard + operations)
    }
    published = {
        name for module in (observability, alerting) for metric in vars(module).values()
        if isinstance(metric, MetricWrapperBase) for name in (metric._name, f"{metric._name}_total")
    }  # fmt: skip
    assert len(named) > 10
    assert named - published == set()
    panels = json.loads(dashboard)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_gallery_in_the_document_is_that_of_the_files() -> None:
    page = (ROOT / "docs" / "simulator.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*) \| ([a-z, -]+) \|$", page, re.M)
    found = {name: (about, alerts) for name, about, alerts in rows}
    assert found == {path.stem: told(path) for path in (ROOT / "simulators" / "scenarios").glob("*.yaml")}


def test_every_kind_of_alert_stands_in_the_document_with_its_priority() -> None:
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*?) \| (high|medium|low) \| ", page, re.M)
    kinds = load_limits().kinds
    assert rows == [(name, kind.title, str(kind.priority)) for name, kind in kinds.items()]


def told(path: Path) -> tuple[str, str]:
    """What a scenario says of itself and which alerts it expects."""
    scenario = yaml.safe_load(path.read_text())
    kinds = sorted({expected["kind"] for expected in scenario["expect"]})
    return " ".join(scenario["about"].split()), ", ".join(kinds) or "none"
