"""`ecgstream topics`: what Kafka must hold before anything runs."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    topics_app = typer.Typer(
        name="topics", help="The Kafka topics: make them, list them.", no_args_is_help=True
    )
    app.add_typer(topics_app)

    @topics_app.command()
    def create(
        bootstrap_servers: Annotated[
            str | None,
            typer.Option(help="Brokers, host:port (default: ECGSTREAM_BOOTSTRAP_SERVERS, localhost:9092)."),
        ] = None,
        partitions: Annotated[
            int, typer.Option(min=1, max=1000, help="Of each topic; bounds how many monitors share the work.")
        ] = 12,
        replication: Annotated[
            int, typer.Option(min=1, max=9, help="Copies of each partition; 3 in production.")
        ] = 1,
    ) -> None:
        """Make the topics that are missing.

        Safe to repeat. All topics get the same number of partitions and can't be given another one
        later, since each device must keep its place. Where topics already have another, or settings that keep
        less than ours (`ecgstream topics list`), the command says so, makes nothing and fails.
        """
        import asyncio
        import logging

        from aiokafka.errors import KafkaError

        from ecgstream.kafka import InvalidSettings, client_options, load_settings
        from ecgstream.topics import Topics, TopicsMismatch
        from ecgstream.topics import create as create_topics

        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # its errors come as exceptions, too
        try:
            settings = load_settings(bootstrap_servers=bootstrap_servers)
            names = Topics(settings.topic_prefix, settings.gateway_names)
            made = asyncio.run(create_topics(client_options(settings), names, partitions, replication))
        except (InvalidSettings, TopicsMismatch, KafkaError, OSError) as error:
            typer.echo(f"topics: {error}", err=True)
            raise typer.Exit(2) from None
        for name in names.configurations():
            typer.echo(f"{name}: {'made' if name in made else 'there already'}")

    @topics_app.command(name="list")
    def list_names() -> None:
        """List the topics' names and settings; asks no broker."""
        from ecgstream.kafka import InvalidSettings, load_settings
        from ecgstream.topics import Topics

        try:
            settings = load_settings()
            names = Topics(settings.topic_prefix, settings.gateway_names)
        except InvalidSettings as error:
            typer.echo(f"topics: {error}", err=True)
            raise typer.Exit(2) from None
        for name, configuration in names.configurations().items():
            typer.echo(" ".join([name, *(f"{key}={value}" for key, value in configuration.items())]))

    @topics_app.command()
    def acls() -> None:
        """Print the least rights that each process needs, as words for Kafka's kafka-acls.sh; asks no broker.

            ecgstream topics acls | xargs -L1 kafka-acls.sh --bootstrap-server localhost:9092 --command-config admin.properties

        Principals are User:monitor, User:alerting, User:console, User:notify, User:staff, and User:gateway-NAME for each of
        ECGSTREAM_GATEWAYS.
        """
        from ecgstream.acls import grants
        from ecgstream.kafka import InvalidSettings, load_settings
        from ecgstream.topics import Topics

        try:
            settings = load_settings()
        except InvalidSettings as error:
            typer.echo(f"topics: {error}", err=True)
            raise typer.Exit(2) from None
        for grant in grants(Topics(settings.topic_prefix, settings.gateway_names)):
            typer.echo(grant.command())
