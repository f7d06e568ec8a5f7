"""How to reach Kafka: settings from the environment, secrets from the environment or from files.

Every setting is read from ``ECGSTREAM_<NAME>``; secrets never come from the command line, where every user of the
machine could read them. A secret may stand in a file that ``ECGSTREAM_<NAME>_FILE`` names (a mounted secret).
A variable that begins with ``ECGSTREAM_`` and is none of the known ones is refused by name: a misspelt setting
that is silently ignored would be an insecure default.
"""

import asyncio
import os
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer
    from aiokafka.admin import AIOKafkaAdminClient

ENV_PREFIX = "ECGSTREAM_"
GATEWAY = "[A-Za-z0-9][A-Za-z0-9_-]{0,31}"
ADDRESS = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\]):(?P<port>[0-9]{1,5})")
CONSOLE_PREFIX = "ECGSTREAM_CONSOLE_"  # `ecgstream.console.settings` reads those, as strictly

# Read elsewhere: the recordings' folder, the cache's folder.
OTHER_VARIABLES = frozenset({"ECGSTREAM_DATA", "ECGSTREAM_CACHE"})


OF_TLS = ("ssl_ca_file", "ssl_certificate_file", "ssl_key_file", "ssl_key_password", "ssl_key_password_file")
OF_PASSWORDS = ("sasl_username", "sasl_password", "sasl_password_file")
SECRETS = ("sasl_password", "ssl_key_password")


class InvalidSettings(ValueError):
    """A setting that is unknown or can't be; its text names the variable and what is wrong."""


class KafkaSettings(BaseSettings):
    """Where Kafka is and how to log in there."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    bootstrap_servers: str = Field(
        "localhost:9092", min_length=1, description="Brokers, host:port, by commas."
    )
    topic_prefix: str = Field(
        "ecg.", pattern=r"^[A-Za-z0-9._-]*$", description="Beginning of all topic names."
    )
    gateways: str = Field(
        "",
        pattern=f"^({GATEWAY}(,{GATEWAY})*)?$",
        description="Gateways with a topic of their own, names by commas; ids of their devices begin with NAME and a dot.",
    )
    gateway: str | None = Field(
        None,
        pattern=f"^{GATEWAY}$",
        description="The one of them that this process is, where it publishes samples.",
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="SASL_SSL (password over TLS) or SSL (client certificate) in production."
    )
    sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = Field(
        "SCRAM-SHA-512", description="How the password is proven."
    )
    sasl_username: str | None = Field(None, description="User name, with SASL.")
    sasl_password: SecretStr | None = Field(None, description="Password, with SASL.")
    sasl_password_file: Path | None = Field(None, description="File that holds the password.")
    ssl_ca_file: Path | None = Field(None, description="Authorities to trust (PEM); the system's without it.")
    ssl_certificate_file: Path | None = Field(None, description="Own certificate (PEM), for mutual TLS.")
    ssl_key_file: Path | None = Field(None, description="Own key (PEM), for mutual TLS.")
    ssl_key_password: SecretStr | None = Field(None, description="Password of the key file.")
    ssl_key_password_file: Path | None = Field(None, description="File that holds the key's password.")
    ssl_check_hostname: bool = Field(True, description="Demand that the broker's certificate names its host.")

    @property
    def gateway_names(self) -> tuple[str, ...]:
        """The gateways with a topic of their own."""
        return tuple(dict.fromkeys(filter(None, self.gateways.split(","))))

    @property
    def uses_tls(self) -> bool:
        """Whether the way to Kafka is encrypted."""
        return self.security_protocol.endswith("SSL")

    @property
    def uses_password(self) -> bool:
        """Whether one logs in by user name and password."""
        return self.security_protocol.startswith("SASL")

    @field_validator("bootstrap_servers")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for server in value.split(","):
            found = ADDRESS.fullmatch(server.strip())
            if found is None or not 0 < int(found["port"]) < 65536:
                raise ValueError("expected host:port, by commas")
        return value

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        for name in ("sasl_password", "ssl_key_password"):
            if self._has(name) and self._has(f"{name}_file"):
                raise ValueError(f"{_variable(name)} and {_variable(name)}_FILE: give one of the two")
        if self._has("ssl_certificate_file") != self._has("ssl_key_file"):
            pair = f"{_variable('ssl_certificate_file')} and {_variable('ssl_key_file')}"
            raise ValueError(f"{pair}: one is of no use without the other")
        self._refuse_unused()
        protocol = f"{_variable('security_protocol')}={self.security_protocol}"
        if self.uses_password:
            if not self.sasl_username:
                raise ValueError(f"{_variable('sasl_username')}: needed with {protocol}")
            if not self._has("sasl_password") and not self._has("sasl_password_file"):
                raise ValueError(f"{_variable('sasl_password')} or its _FILE: needed with {protocol}")
        if self.security_protocol == "SASL_PLAINTEXT" and self.sasl_mechanism == "PLAIN":
            raise ValueError(
                f"{_variable('sasl_mechanism')}: PLAIN with {protocol} would send the password in clear"
            )
        return self

    def _refuse_unused(self) -> None:
        """A password or a certificate that the protocol doesn't use: somebody believes in a protection that isn't there."""
        idle = (() if self.uses_tls else OF_TLS) + (() if self.uses_password else OF_PASSWORDS)
        for name in filter(self._has, idle):
            protocol = f"{_variable('security_protocol')}={self.security_protocol}"
            raise ValueError(f"{_variable(name)}: {protocol} doesn't use it")

    def _has(self, name: str) -> bool:
        return getattr(self, name) not in (None, "")


def load_settings(environ: Mapping[str, str] | None = None, **values: Any) -> KafkaSettings:
    """Read the settings of this process; `values` (of the command line) come before the environment.

    Values that are None count as not given. Raises `InvalidSettings` with one line that names the setting.
    """
    known = {_variable(name) for name in KafkaSettings.model_fields} | OTHER_VARIABLES
    for name in sorted(os.environ if environ is None else environ):
        if name.startswith(ENV_PREFIX) and not name.startswith(CONSOLE_PREFIX) and name not in known:
            raise InvalidSettings(f"{name}: unknown setting")
    given = {name: value for name, value in values.items() if value is not None}
    try:
        return KafkaSettings(**given)
    except ValidationError as error:
        raise InvalidSettings("; ".join(map(_line, error.errors()))) from None


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments for aiokafka's producer, consumer and admin client.

    Raises `InvalidSettings` when a file that a setting names can't be read.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "security_protocol": settings.security_protocol,
    }
    if settings.uses_tls:
        options["ssl_context"] = ssl_context(settings)
    if settings.uses_password:
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = _secret(
            "sasl_password_file", settings.sasl_password, settings.sasl_password_file
        )
    return options


def ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    """The TLS context of the settings; TLS 1.2 at least, certificates always checked."""
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca_file)
    except OSError as error:
        raise InvalidSettings(f"ECGSTREAM_SSL_CA_FILE: {settings.ssl_ca_file}: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = settings.ssl_check_hostname
    if settings.ssl_certificate_file is not None:
        password = _secret("ssl_key_password_file", settings.ssl_key_password, settings.ssl_key_password_file)
        try:
            context.load_cert_chain(settings.ssl_certificate_file, settings.ssl_key_file, password or "")
        except (OSError, ValueError) as error:  # ValueError: a password longer than OpenSSL takes
            raise InvalidSettings(
                f"ECGSTREAM_SSL_CERTIFICATE_FILE, ECGSTREAM_SSL_KEY_FILE: {settings.ssl_certificate_file}: {error}"
            ) from error
    return context


class Client(Protocol):
    """A consumer or a producer of aiokafka."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Disconnect."""


AnyClient = TypeVar("AnyClient", bound=Client)


@asynccontextmanager
async def started(kind: Callable[..., AnyClient], *topics: str, **options: Any) -> AsyncIterator[AnyClient]:
    """A consumer or producer that is connected, and closed whatever happens: also when it could not connect."""
    client = kind(*topics, **options)
    try:
        await client.start()
        yield client
    finally:
        await disconnect(client)


async def disconnect(client: Client) -> None:
    """Stop a client, without aiokafka's leak: a consumer that tries to fetch again while the broker is away is cancelled by `stop`,
    and so would its caller be, in the middle of closing."""
    if fetcher := getattr(client, "_fetcher", None):
        fetcher._fetch_task.cancel()
        await asyncio.wait([fetcher._fetch_task])
        for task in fetcher._pending_tasks:
            task.cancel()
        await asyncio.gather(*fetcher._pending_tasks, return_exceptions=True)
        fetcher._pending_tasks.clear()
    await client.stop()


@asynccontextmanager
async def reading(settings: KafkaSettings, *topics: str, since_us: int) -> AsyncIterator["AIOKafkaConsumer"]:
    """A consumer without a group that begins in each partition at the first record since `since_us` (UTC).

    Raises `LookupError` when there is no such topic.
    """
    from aiokafka import AIOKafkaConsumer

    options = client_options(settings)
    async with administration(options) as admin:  # a consumer that asked for it might make the topic
        if missing := sorted(set(topics) - set(await admin.list_topics())):
            raise LookupError(f"{missing[0]}: no such topic; `ecgstream topics create` makes them")
    how = {"enable_auto_commit": False, "auto_offset_reset": "earliest"}
    async with started(AIOKafkaConsumer, *topics, **options, **how) as consumer:
        since = dict.fromkeys(consumer.assignment(), max(0, since_us // 1000))
        for partition, start in (await consumer.offsets_for_times(since)).items():
            if start is None:
                await consumer.seek_to_end(partition)
            else:
                consumer.seek(partition, start.offset)
        yield consumer


@asynccontextmanager
async def administration(options: Mapping[str, Any]) -> AsyncIterator["AIOKafkaAdminClient"]:
    """An admin client that is connected, of the options that `client_options` gives."""
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


def _secret(name: str, value: SecretStr | None, file: Path | None) -> str | None:
    if file is None:
        return None if value is None else value.get_secret_value()
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise InvalidSettings(f"{_variable(name)}: {file}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise InvalidSettings(f"{_variable(name)}: {file}: is no UTF-8 text") from None


def _variable(name: str) -> str:
    return ENV_PREFIX + name.upper()


def _line(detail: Any) -> str:
    """What is wrong with a setting: its variable, its value unless that may be a secret, and what is allowed."""
    message = str(detail["msg"]).removeprefix("Value error, ")
    name = ".".join(str(part) for part in detail["loc"])
    if not name:
        return message
    is_public = name in KafkaSettings.model_fields and name not in SECRETS
    return (
        f"{_variable(name)}: {detail['input']!r}: {message}" if is_public else f"{_variable(name)}: {message}"
    )
