"""The command line: each command stands in a module of its own and is added by its `register`."""

import importlib

import typer

COMMANDS = (
    "demo",
    "simulate",
    "monitor",
    "alerting",
    "alerts",
    "replay",
    "annotate",
    "plot",
    "report",
    "evaluate",
    "train",
    "topics",
    "schema",
    "serve",
)

app = typer.Typer(
    name="ecgstream",
    help="Streaming arrhythmia monitor for single-lead wearable ECG.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)
for _command in COMMANDS:
    importlib.import_module(f"ecgstream.cli.{_command}").register(app)


def main() -> None:
    """Run the command line."""
    app()
