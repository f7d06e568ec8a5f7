"""Run the console: its application on uvicorn, its feed on Kafka."""

import socket
import ssl
from pathlib import Path
from typing import Any

import uvicorn

from ecgstream.console.app import create_app
from ecgstream.console.feed import Feed, KafkaFeed
from ecgstream.console.settings import ConsoleSettings, load_console_settings
from ecgstream.kafka import client_options, load_settings
from ecgstream.limits import Limits, load_limits
from ecgstream.topics import Topics


def kafka_feed(settings: ConsoleSettings) -> KafkaFeed:
    """The feed from the brokers that the environment names; raises `ecgstream.kafka.InvalidSettings`."""
    kafka = load_settings()
    topics = Topics(kafka.topic_prefix)
    return KafkaFeed(client_options(kafka), topics, rebuild_minutes=settings.rebuild_minutes)


class ConsoleServer(uvicorn.Server):
    """A server that ends the live streams first when it stops: they would hold it up until the time limit."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then everything else."""
        self.config.app.state.live.end_all()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def build_server(
    settings: ConsoleSettings, feed: Feed, limits: Limits | None = None
) -> tuple[uvicorn.Server, list[str]]:
    """A server for the settings and the alarm table, and the list that its failures are written to."""
    failures: list[str] = []

    def fail() -> None:
        failures.append("a task died")
        server.should_exit = True

    app = create_app(settings, feed, limits=limits, on_failure=fail)
    config = uvicorn.Config(
        app, host=settings.host, port=settings.port, log_level="warning", access_log=False, server_header=False,
        ws="none", timeout_graceful_shutdown=3, timeout_keep_alive=30, limit_concurrency=1000,
        h11_max_incomplete_event_size=16_384,
        proxy_headers=bool(settings.trusted_proxies), forwarded_allow_ips=settings.trusted_proxies or "",
        ssl_certfile=settings.tls_certificate, ssl_keyfile=settings.tls_key,
    )  # fmt: skip
    server = ConsoleServer(config)
    return server, failures


def check_pair(certificate: Path | None, key: Path | None) -> None:
    """Raises `ValueError` naming certificate or key where TLS can't be served with them; a key must not ask for a password."""
    for field, path in (("tls_certificate", certificate), ("tls_key", key)):
        try:
            path and path.read_bytes()
        except OSError as error:
            raise ValueError(f"{field}: {error}") from error
    if certificate is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
        except (OSError, ValueError) as error:
            raise ValueError(f"tls_certificate {certificate} and tls_key {key}: {error}") from error


def serve_console(given: dict[str, Any], alarms: Path | None = None) -> int:
    """Serve until told to stop; `alarms` is alerting's alarm table, the packaged one by default.

    The exit code is 1 when the console ended of a bug. Raises `ValueError` for wrong settings or a wrong table.
    """
    try:
        limits = load_limits(alarms)
    except OSError as error:
        raise ValueError(f"alarms: {error}") from error
    settings = load_console_settings(given)
    check_pair(settings.tls_certificate, settings.tls_key)
    server, failures = build_server(settings, kafka_feed(settings), limits)
    scheme = "https" if settings.tls_certificate else "http"
    is_ipv6 = ":" in settings.host
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    with socket.create_server((settings.host, settings.port), family=family) as listener:
        port = listener.getsockname()[1]
        host = f"[{settings.host}]" if is_ipv6 else settings.host
        print(f"console: {settings.public_url or f'{scheme}://{host}:{port}'}", flush=True)
        server.run(sockets=[listener])
    return 1 if failures else 0
