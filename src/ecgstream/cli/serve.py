"""`ecgstream serve` and `ecgstream user`: the on-call console and its local users."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def serve(
        host: Annotated[str | None, typer.Option(help="Address to listen on (default 127.0.0.1).")] = None,
        port: Annotated[
            int | None, typer.Option(help="Port to listen on (default 8344; 0 takes a free one).")
        ] = None,
        users_file: Annotated[
            Path | None, typer.Option(help="Local users, made by `ecgstream user`.")
        ] = None,
        database: Annotated[
            str | None, typer.Option(help="SQLite file for the history (default: in memory).")
        ] = None,
        alarms: Annotated[
            Path | None, typer.Option(help="The alarm table that alerting uses (default: the packaged one).")
        ] = None,
    ) -> None:
        """Serve the on-call console: inbox, alert, device and ward pages, live, in a browser.

        Reads `ecg.alerts`, `ecg.rhythm`, `ecg.acks` and `ecg.device-settings`; writes `ecg.acks`, `ecg.device-settings`
        and `ecg.audit`. Further settings, secrets among them, come from the environment (`ECGSTREAM_CONSOLE_*`, see
        docs/configuration.md). It listens beyond loopback only with sign-in and TLS:

            ecgstream user anna --role acknowledge >> users
            ecgstream serve --users-file users
        """
        try:
            from ecgstream.console.server import serve_console
        except ModuleNotFoundError as error:
            _stop(f"serve: {error.name} is missing; install ecgstream[console]")
        given = {"host": host, "port": port, "users_file": users_file, "database": database}
        try:
            code = serve_console({name: value for name, value in given.items() if value is not None}, alarms)
        except (ValueError, OSError) as error:
            _stop(f"serve: {_plain(error)}")
        raise typer.Exit(code)

    @app.command()
    def user(
        name: Annotated[str, typer.Argument(help="Name to sign in with.")],
        role: Annotated[str, typer.Option(help="view, acknowledge or configure.")] = "view",
    ) -> None:
        """Print a line for the console's users file; asks for the password, or reads it from a pipe.

            ecgstream user anna --role acknowledge >> users
        """  # fmt: skip
        try:
            from ecgstream.console.auth import user_line
        except ModuleNotFoundError as error:
            _stop(f"user: {error.name} is missing; install ecgstream[console]")
        if sys.stdin.isatty():
            password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        else:
            password = sys.stdin.readline().rstrip("\n")
        try:
            typer.echo(user_line(name, role, password))
        except ValueError as error:
            _stop(f"user: {error}")


def _plain(error: Exception) -> str:
    """One line: a validation error of the settings names fields and what was wrong, never the value of a secret."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    return "; ".join(
        f"{'.'.join(map(str, e['loc']))}: {e['msg']}".lstrip(": ") for e in errors(include_input=False)
    )


def _stop(text: str) -> None:
    typer.echo(text, err=True)
    raise typer.Exit(2)
