"""What the console is told.

Where to listen, who may enter, how much to keep. From the environment or files, never secrets on the
command line.
"""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class ConsoleSettings(BaseSettings):
    """Settings of `ecgstream serve`.

    Each is also an environment variable with the prefix ``ECGSTREAM_CONSOLE_``.
    """

    model_config = SettingsConfigDict(env_prefix="ECGSTREAM_CONSOLE_", extra="forbid")

    host: str = Field(
        "127.0.0.1", description="address to listen on; beyond loopback only with sign-in and TLS"
    )
    port: int = Field(8344, ge=0, le=65535, description="port to listen on")
    public_url: str | None = Field(
        None,
        description="address that browsers use, when a proxy stands before the console (https://console.ward.example)",
    )
    tls_certificate: Path | None = Field(
        None, description="PEM certificate chain; the console then serves https"
    )
    tls_key: Path | None = Field(None, description="PEM private key of the certificate")
    allow_plain_http: bool = Field(
        False,
        description="listen beyond loopback without TLS (a closed network or a container behind a proxy)",
    )
    trusted_proxies: str = Field(
        "", description="addresses whose X-Forwarded-For is believed, separated by commas"
    )

    users_file: Path | None = Field(
        None, description="local users, one a line: name:role:argon2 hash (made by `ecgstream user`)"
    )
    secret: SecretStr | None = Field(None, description="key that signs sessions, 32 characters or more")
    secret_file: Path | None = Field(
        None, description="file that holds that key; without either a new key is made at each start"
    )
    session_hours: float = Field(14.0, gt=0.0, le=72.0, description="a session ends so long after sign-in")
    oidc_issuer: str | None = Field(
        None, description="OpenID Connect issuer (https://sso.example/realms/ward)"
    )
    oidc_client_id: str | None = Field(None, description="client id of the console at the issuer")
    oidc_client_secret: SecretStr | None = Field(None, description="client secret at the issuer")
    oidc_client_secret_file: Path | None = Field(None, description="file that holds the client secret")
    oidc_roles_claim: str = Field("roles", description="claim of the id token that lists the person's roles")
    oidc_role_prefix: str = Field(
        "ecgstream-", description="what stands before view, acknowledge or configure in that claim"
    )

    database: str = Field(
        ":memory:", description="SQLite file for the alert history; kept in memory without one"
    )
    history_days: int = Field(14, ge=1, le=400, description="alerts older than this leave the history")
    max_alerts: int = Field(
        20_000, ge=100, le=1_000_000, description="alerts kept at most; the oldest settled ones go first"
    )
    max_devices: int = Field(
        2_000, ge=1, le=20_000, description="devices kept at most; the longest silent goes first"
    )
    trend_hours: int = Field(
        12, ge=1, le=48, description="length of each device's heart rate and rhythm trend"
    )
    rebuild_minutes: int = Field(
        60, ge=0, le=2880, description="how far back the findings are read at start, to rebuild the trends"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "ConsoleSettings":
        if self.secret is not None and self.secret_file is not None:
            raise ValueError("secret and secret_file: set one of them")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key: set both or neither")
        if (self.oidc_issuer is None) != (self.oidc_client_id is None):
            raise ValueError("oidc_issuer and oidc_client_id: set both or neither")
        if self.oidc_client_secret is not None and self.oidc_client_secret_file is not None:
            raise ValueError("oidc_client_secret and oidc_client_secret_file: set one of them")
        if self.public_url is not None:
            url = urlsplit(self.public_url)
            if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.query:
                raise ValueError(
                    f"public_url: expected http://HOST or https://HOST without a path, got {self.public_url!r}"
                )
        if self.oidc_issuer is not None:
            issuer = urlsplit(self.oidc_issuer)
            is_near = self.allow_plain_http or is_loopback(issuer.hostname or "")
            if not issuer.hostname or issuer.scheme not in (("http", "https") if is_near else ("https",)):
                raise ValueError(f"oidc_issuer: expected https://, got {self.oidc_issuer!r}")
        for address in filter(None, map(str.strip, self.trusted_proxies.split(","))):
            if address != "*" and not _is_network(address):
                raise ValueError(f"trusted_proxies: expected addresses or networks, got {address!r}")
        return self

    @property
    def has_sign_in(self) -> bool:
        """Whether anybody has to sign in."""
        return self.users_file is not None or self.oidc_issuer is not None

    @property
    def is_https(self) -> bool:
        """Whether browsers reach the console by https."""
        return self.tls_certificate is not None or (self.public_url or "").startswith("https:")

    def allowed_hosts(self) -> frozenset[str]:
        """Host names that a request may carry, without port."""
        hosts = {"localhost", "127.0.0.1", "::1"} if is_loopback(self.host) else {self.host}
        if self.public_url is not None:
            hosts.add(urlsplit(self.public_url).hostname or "")
        return frozenset(f"[{host}]" if ":" in host else host for host in hosts)

    def public_origin(self) -> str | None:
        """The origin that browsers send where `public_url` is set: a proxy may have taken its port out of the host."""
        if self.public_url is None:
            return None
        url = urlsplit(self.public_url)
        return f"{url.scheme}://{url.netloc}"

    def check_listening(self) -> None:
        """Raises `ValueError` where listening would lay the ward open.

        Beyond loopback, itself or by the proxy that `public_url` speaks of, without sign-in or TLS.
        """
        public = urlsplit(self.public_url or "").hostname
        if not is_loopback(self.host):
            beyond = f"host: {self.host}"
        elif public is not None and not is_loopback(public):
            beyond = f"public_url: {public}"
        else:
            return
        if not self.has_sign_in:
            raise ValueError(
                f"{beyond} is beyond loopback, and nobody would have to sign in; set users_file or oidc_issuer"
            )
        if not (self.is_https or self.allow_plain_http):
            raise ValueError(
                f"{beyond} is beyond loopback without TLS; "
                "set tls_certificate, an https public_url or allow_plain_http"
            )
        if self.host in ("0.0.0.0", "::") and self.public_url is None:  # noqa: S104 - compared, not bound
            raise ValueError(
                f"public_url: needed when host is {self.host}, to know by which name browsers may call"
            )


def load_console_settings(given: Mapping[str, Any]) -> ConsoleSettings:
    """Settings from the command line (`given`) and the environment; raises `ValueError` naming what is wrong."""
    prefix = str(ConsoleSettings.model_config["env_prefix"])
    for name in sorted(os.environ):
        if name.startswith(prefix) and name.removeprefix(prefix).lower() not in ConsoleSettings.model_fields:
            raise ValueError(f"{name}: unknown setting")
    settings = ConsoleSettings(**given)
    settings.check_listening()
    return settings


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def read_secret(value: SecretStr | None, file: Path | None, field: str) -> str | None:
    """A secret from its setting or its file, or None when neither is set.

    Raises `ValueError` naming the field.
    """
    if value is not None:
        return value.get_secret_value()
    if file is None:
        return None
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{field}: {error}") from error
    if not text:
        raise ValueError(f"{field}: {file} is empty")
    return text
