"""`ecgstream schema`: the records and topics, for whoever writes a gateway or a subscriber."""

import sys
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def schema(
        record: Annotated[
            str | None,
            typer.Argument(help="Chunk, Finding, Alert, Ack, Snooze, DeviceSettings or DeadLetter."),
        ] = None,
        asyncapi: Annotated[
            bool, typer.Option("--asyncapi", help="An AsyncAPI 3 document of all topics instead.")
        ] = False,
        yaml: Annotated[bool, typer.Option("--yaml", help="YAML instead of JSON.")] = False,
    ) -> None:
        """Print the records' JSON Schemas, or all topics as an AsyncAPI document.

        Code that publishes samples or subscribes to alerts can be generated from them:

            ecgstream schema Chunk > chunk.schema.json

            ecgstream schema --asyncapi --yaml > asyncapi.yaml
        """
        import json

        import yaml as yaml_library

        from ecgstream import schema as schemas
        from ecgstream.kafka import InvalidSettings, load_settings
        from ecgstream.topics import Topics

        if record is not None and record not in schemas.RECORDS:
            typer.echo(f"record: {record!r} is none of {', '.join(schemas.RECORDS)}", err=True)
            raise typer.Exit(2)
        document: object
        if asyncapi:
            try:
                settings = load_settings()
                document = schemas.asyncapi(Topics(settings.topic_prefix, settings.gateway_names))
            except InvalidSettings as error:
                typer.echo(f"schema: {error}", err=True)
                raise typer.Exit(2) from None
        else:
            document = schemas.json_schema(record) if record else schemas.json_schemas()
        if yaml:
            yaml_library.safe_dump(document, sys.stdout, sort_keys=False, allow_unicode=True, width=110)
        else:
            typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
