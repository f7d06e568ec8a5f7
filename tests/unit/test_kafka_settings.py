"""Settings of the way to Kafka: what is read, what is refused and how."""

import datetime
import os
from pathlib import Path

import pytest

from ecgstream.kafka import InvalidSettings, KafkaSettings, client_options, load_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ECGSTREAM_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ecgstream test")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    paths[0].write_bytes(built.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"open sesame"),
        )
    )
    return paths


def test_defaults_reach_a_local_broker() -> None:
    settings = load_settings()
    assert settings.topic_prefix == "ecg."
    assert client_options(settings) == {
        "bootstrap_servers": "localhost:9092",
        "security_protocol": "PLAINTEXT",
    }


def test_the_environment_is_read_and_the_command_line_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECGSTREAM_BOOTSTRAP_SERVERS", "a:1,b:2")
    assert load_settings().bootstrap_servers == "a:1,b:2"
    assert load_settings(bootstrap_servers=None).bootstrap_servers == "a:1,b:2"
    assert load_settings(bootstrap_servers="c:3").bootstrap_servers == "c:3"


def test_an_unknown_variable_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECGSTREAM_SECURTY_PROTOCOL", "SASL_SSL")
    with pytest.raises(InvalidSettings, match="ECGSTREAM_SECURTY_PROTOCOL: unknown setting"):
        load_settings()


def test_variables_of_others_are_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECGSTREAM_DATA", "/data")
    monkeypatch.setenv("ECGSTREAM_CONSOLE_PORT", "8080")
    monkeypatch.setenv("KAFKA_HOME", "/opt/kafka")
    load_settings()


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"security_protocol": "TLS"}, "ECGSTREAM_SECURITY_PROTOCOL: 'TLS': .*'SASL_SSL'"),
        ({"ssl_check_hostname": "maybe"}, "ECGSTREAM_SSL_CHECK_HOSTNAME: 'maybe': "),
        ({"bootstrap_servers": ""}, "ECGSTREAM_BOOTSTRAP_SERVERS: "),
        ({"bootstrap_servers": "a:1,b"}, "ECGSTREAM_BOOTSTRAP_SERVERS: 'a:1,b': expected host:port"),
        ({"bootstrap_servers": "a:1,"}, "ECGSTREAM_BOOTSTRAP_SERVERS: 'a:1,': "),
        ({"bootstrap_servers": "localhost:abc"}, "ECGSTREAM_BOOTSTRAP_SERVERS: 'localhost:abc': "),
        ({"bootstrap_servers": "localhost:0"}, "ECGSTREAM_BOOTSTRAP_SERVERS: 'localhost:0': "),
        ({"bootstrap_servers": "localhost:99999"}, "ECGSTREAM_BOOTSTRAP_SERVERS: 'localhost:99999': "),
        ({"topic_prefix": "ecg/"}, "ECGSTREAM_TOPIC_PREFIX: "),
        ({"security_protocol": "SASL_SSL"}, "ECGSTREAM_SASL_USERNAME: needed"),
        (
            {"security_protocol": "SASL_SSL", "sasl_username": "m"},
            "ECGSTREAM_SASL_PASSWORD or its _FILE: needed",
        ),
        (
            {"sasl_username": "m"},
            "ECGSTREAM_SASL_USERNAME: ECGSTREAM_SECURITY_PROTOCOL=PLAINTEXT doesn't use it",
        ),
        (
            {"security_protocol": "SSL", "ssl_key_file": "key.pem"},
            "ECGSTREAM_SSL_CERTIFICATE_FILE and ECGSTREAM_SSL_KEY_FILE: one is of no use",
        ),
        (
            {
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": "PLAIN",
                "sasl_username": "m",
                "sasl_password": "s",
            },
            "in clear",
        ),
        (
            {
                "security_protocol": "SASL_SSL",
                "sasl_username": "m",
                "sasl_password": "s",
                "sasl_password_file": "f",
            },
            "give one of the two",
        ),
        ({"bootstrap_server": "a:1"}, "ECGSTREAM_BOOTSTRAP_SERVER: Extra inputs"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, str], complaint: str) -> None:
    with pytest.raises(InvalidSettings, match=complaint) as caught:
        load_settings(None, **values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "idle",
    [
        {"sasl_password": "s"},
        {"sasl_password_file": "f"},
        {"ssl_ca_file": "f"},
        {"ssl_certificate_file": "f", "ssl_key_file": "f"},
        {"ssl_key_password": "s"},
        {"ssl_key_password_file": "f"},
    ],
)
def test_what_the_protocol_does_not_use_is_refused_not_ignored(idle: dict[str, str]) -> None:
    """Whoever sets it believes in a protection that isn't there."""
    name = next(iter(idle))
    with pytest.raises(InvalidSettings, match=f"ECGSTREAM_{name.upper()}: .*=PLAINTEXT doesn't use it"):
        load_settings(None, **idle)
    if name.startswith("ssl"):
        login = {"security_protocol": "SASL_PLAINTEXT", "sasl_username": "m", "sasl_password": "s"}
        with pytest.raises(InvalidSettings, match="=SASL_PLAINTEXT doesn't use it"):
            load_settings(None, **login, **idle)
        load_settings(None, **login | {"security_protocol": "SASL_SSL"}, **idle)
    else:
        with pytest.raises(InvalidSettings, match="=SSL doesn't use it"):
            load_settings(None, security_protocol="SSL", **idle)


@pytest.mark.parametrize(
    "servers", ["a:1", "a:1, b:2", "kafka-1.ward.example:9093,[::1]:9092", "10.0.0.7:65535"]
)
def test_addresses_of_brokers(servers: str) -> None:
    assert load_settings(bootstrap_servers=servers).bootstrap_servers == servers


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECGSTREAM_SASL_PASSWORD", "open sesame")
    monkeypatch.setenv("ECGSTREAM_SASL_USERNAME", "monitor")
    for protocol in ("PLAINTEXT", "SSL", "sesame?"):
        monkeypatch.setenv("ECGSTREAM_SECURITY_PROTOCOL", protocol)
        with pytest.raises(InvalidSettings) as caught:
            load_settings(sasl_pasword="open sesame")
        assert "open sesame" not in str(caught.value)
    monkeypatch.setenv("ECGSTREAM_SECURITY_PROTOCOL", "SASL_SSL")
    assert "sesame" not in repr(load_settings())


def test_password_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("open sesame\n")
    settings = load_settings(security_protocol="SASL_SSL", sasl_username="monitor", sasl_password_file=file)
    options = client_options(settings)
    assert options["sasl_plain_password"] == "open sesame"
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["ssl_context"].check_hostname
    file.unlink()
    with pytest.raises(InvalidSettings, match=r"ECGSTREAM_SASL_PASSWORD_FILE: .*No such file"):
        client_options(settings)
    file.write_bytes(b"\xff")
    with pytest.raises(InvalidSettings, match=r"ECGSTREAM_SASL_PASSWORD_FILE: .*is no UTF-8 text"):
        client_options(settings)


def test_mutual_tls(certificate: tuple[Path, Path]) -> None:
    own, key = certificate
    settings = load_settings(
        security_protocol="SSL",
        ssl_ca_file=own,
        ssl_certificate_file=own,
        ssl_key_file=key,
        ssl_key_password="open sesame",
    )
    options = client_options(settings)
    assert options["ssl_context"].get_ca_certs()[0]["subject"] == ((("commonName", "ecgstream test"),),)
    assert "sasl_mechanism" not in options
    assert options["ssl_context"].check_hostname


def test_unreadable_certificates_are_named(certificate: tuple[Path, Path]) -> None:
    own, key = certificate
    missing = load_settings(security_protocol="SSL", ssl_ca_file=own.with_name("missing.pem"))
    with pytest.raises(InvalidSettings, match=r"ECGSTREAM_SSL_CA_FILE: .*missing\.pem"):
        client_options(missing)
    locked = load_settings(security_protocol="SSL", ssl_certificate_file=own, ssl_key_file=key)
    with pytest.raises(InvalidSettings, match="ECGSTREAM_SSL_KEY_FILE"):
        client_options(locked)


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in KafkaSettings.model_fields.values())
