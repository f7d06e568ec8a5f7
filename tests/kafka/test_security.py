"""Apache Kafka with passwords, TLS and rights: everything works with its least rights, and nothing beyond them does."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.protocol.admin import CreateAclsRequest

from brokers_here import start_or_skip
from certificates import Authority
from ecgstream.acls import Grant, grants
from ecgstream.brokers import Broker, java_command
from ecgstream.codec import decode
from ecgstream.kafka import client_options, load_settings, started
from ecgstream.messages import Alert
from ecgstream.topics import Topics, create

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

TOPICS = Topics(gateways=("acme", "beta"))
SCENARIO = Path(__file__).parents[2] / "simulators" / "scenarios" / "asystole.yaml"
USERS = ("gateway-acme", "gateway-beta", "alerting", "console", "staff")
RESOURCES = {"topic": 2, "group": 3}
OPERATIONS = {"READ": 3, "WRITE": 4, "DESCRIBE": 8}
LITERAL, ALLOW = 3, 3


@dataclass
class Guarded:
    """A broker that lets nobody in without a password or a certificate."""

    broker: Broker
    authority: Authority

    def environment(self, user: str, **changes: str | None) -> dict[str, str]:
        """The settings of a process that logs in as `user`; the monitor by its certificate, all others by password."""
        settings: dict[str, str | None] = {
            "ECGSTREAM_SSL_CA_FILE": str(self.authority.ca),
            "ECGSTREAM_GATEWAYS": ",".join(TOPICS.gateways),
        }
        if user == "monitor":
            certificate, key = self.authority.sign(user)
            settings |= {
                "ECGSTREAM_BOOTSTRAP_SERVERS": self.broker.address("MUTUAL"),
                "ECGSTREAM_SECURITY_PROTOCOL": "SSL",
                "ECGSTREAM_SSL_CERTIFICATE_FILE": str(certificate),
                "ECGSTREAM_SSL_KEY_FILE": str(key),
            }
        else:
            secret = self.authority.folder / f"{user}.password"
            secret.write_text(f"{password(user)}\n")
            settings |= {
                "ECGSTREAM_BOOTSTRAP_SERVERS": self.broker.address("SECURE"),
                "ECGSTREAM_SECURITY_PROTOCOL": "SASL_SSL",
                "ECGSTREAM_SASL_USERNAME": user,
                "ECGSTREAM_SASL_PASSWORD_FILE": str(secret),
            }
        settings |= changes
        outside = {k: v for k, v in os.environ.items() if not k.startswith("ECGSTREAM_")}
        return outside | {k: v for k, v in settings.items() if v is not None}

    def client(self, user: str) -> dict[str, object]:
        """aiokafka's options for `user`."""
        values = {
            k.removeprefix("ECGSTREAM_").lower(): v
            for k, v in self.environment(user).items()
            if "ECGSTREAM_" in k
        }
        return client_options(load_settings({}, **values))


def password(user: str) -> str:
    return f"secret-of-{user}"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    authority = Authority(folder / "authority")
    certificate, key = authority.sign("broker", "127.0.0.1")
    store = folder / "broker-store.pem"
    store.write_bytes(key.read_bytes() + certificate.read_bytes())
    properties = {
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.secure.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "ssl.keystore.type": "PEM", "ssl.keystore.location": str(store),
        "ssl.truststore.type": "PEM", "ssl.truststore.location": str(authority.ca),
        "listener.name.mutual.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]+)$/$1/,DEFAULT",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # the plain listener is the test's own
    }  # fmt: skip
    listeners = {"SECURE": "SASL_SSL", "MUTUAL": "SSL"}
    broker = Broker(
        "apache", folder / "broker", properties, listeners, {user: password(user) for user in USERS}
    )
    start_or_skip(broker)
    try:
        plain = {"bootstrap_servers": broker.bootstrap_servers}
        asyncio.run(create(plain, TOPICS, 2))
        asyncio.run(grant(plain, grants(TOPICS)))
        yield Guarded(broker, authority)
    finally:
        broker.stop()


async def grant(client: dict[str, str], given: list[Grant]) -> None:
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        for g in given:
            request = CreateAclsRequest(
                RESOURCES[g.resource], g.name, LITERAL, f"User:{g.role}", "*", OPERATIONS[g.operation], ALLOW
            )
            response = await admin._send_request(request)
            assert [code for code, _ in response.creation_responses] == [0]
    finally:
        await admin.close()


@contextmanager
def process(*arguments: str, environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        running = subprocess.Popen(
            [sys.executable, "-m", "ecgstream", *arguments],
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            yield running
        finally:
            running.kill()
            running.wait()


def test_an_alert_comes_all_the_way_with_least_rights(guarded: Guarded, tmp_path: Path) -> None:
    """Gateway and alerting log in by password, the monitor by certificate, staff read; no process has any other right."""
    acme = guarded.environment("gateway-acme", ECGSTREAM_GATEWAY="acme")
    with ExitStack() as stack:
        for name in ("monitor", "alerting"):
            running = process(name, environment=guarded.environment(name), log=tmp_path / f"{name}.log")
            stack.enter_context(running)
        play = ("simulate", str(SCENARIO), "--speed", "20", "--device-id", "acme.chest-7", "--session", "s")
        with process(*play, environment=acme, log=tmp_path / "simulate.log") as gateway:
            assert gateway.wait(120) in (0, 1), (
                tmp_path / "simulate.log"
            ).read_text()  # 1: late, on a slow machine
        try:
            alert = asyncio.run(asyncio.wait_for(first_alert(guarded.client("staff"), "asystole"), 90))
        except TimeoutError:
            pytest.fail("\n".join(log.read_text()[-1500:] for log in tmp_path.glob("*.log")))
    assert alert.device_id == "acme.chest-7"
    logs = "".join(log.read_text() for log in tmp_path.glob("*.log"))
    assert "secret-of" not in logs


async def first_alert(client: dict[str, object], kind: str) -> Alert:
    async with AIOKafkaConsumer(TOPICS.alerts, **client, auto_offset_reset="earliest") as consumer:
        async for record in consumer:
            alert = decode(Alert, record.value)
            if alert.kind == kind:
                return alert
    raise AssertionError("the consumer ended")


@pytest.mark.parametrize(
    ("user", "topic"),
    [
        ("gateway-acme", "ecg.samples.beta"),
        ("gateway-acme", "ecg.samples"),
        ("gateway-acme", "ecg.rhythm"),
        ("gateway-beta", "ecg.samples.acme"),
        ("monitor", "ecg.alerts"),
        ("alerting", "ecg.rhythm"),
        ("staff", "ecg.alerts"),
        ("staff", "ecg.device-settings"),
        ("console", "ecg.alerts"),
    ],
)
async def test_nobody_writes_what_is_not_theirs(guarded: Guarded, user: str, topic: str) -> None:
    async with AIOKafkaProducer(**guarded.client(user)) as producer:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(topic, b"x", key=b"acme.chest-7")


@pytest.mark.parametrize(
    ("user", "topic"),
    [
        ("gateway-acme", "ecg.alerts"),
        ("gateway-acme", "ecg.samples.acme"),
        ("monitor", "ecg.alerts"),
        ("staff", "ecg.samples"),
    ],
)
async def test_nobody_reads_what_is_not_theirs(guarded: Guarded, user: str, topic: str) -> None:
    with pytest.raises(TopicAuthorizationFailedError):
        async with started(AIOKafkaConsumer, topic, **guarded.client(user)) as consumer:
            await asyncio.wait_for(consumer.getone(), 30)


def test_who_cannot_log_in_is_told_in_one_line(guarded: Guarded, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger")
    wrong = tmp_path / "wrong"
    wrong.write_text("guessed")
    secure, mutual = guarded.broker.address("SECURE"), guarded.broker.address("MUTUAL")
    certificate, key = stranger.sign("monitor")
    cases: dict[str, dict[str, str | None]] = {
        "wrong password": {"ECGSTREAM_SASL_PASSWORD_FILE": str(wrong)},
        "unknown authority": {"ECGSTREAM_SSL_CA_FILE": str(stranger.ca)},
        "another host's certificate": {"ECGSTREAM_BOOTSTRAP_SERVERS": secure.replace("127.0.0.1", "localhost")},
        "no certificate of one's own": {
            "ECGSTREAM_BOOTSTRAP_SERVERS": mutual, "ECGSTREAM_SECURITY_PROTOCOL": "SSL",
            "ECGSTREAM_SASL_USERNAME": None, "ECGSTREAM_SASL_PASSWORD_FILE": None,
        },
        "a stranger's certificate": {
            "ECGSTREAM_BOOTSTRAP_SERVERS": mutual, "ECGSTREAM_SECURITY_PROTOCOL": "SSL",
            "ECGSTREAM_SASL_USERNAME": None, "ECGSTREAM_SASL_PASSWORD_FILE": None,
            "ECGSTREAM_SSL_CERTIFICATE_FILE": str(certificate), "ECGSTREAM_SSL_KEY_FILE": str(key),
        },
    }  # fmt: skip
    for name, changes in cases.items():
        environment = guarded.environment("alerting", **changes)
        for command in ("topics", "create"), ("alerting",), ("monitor",):
            done = subprocess.run(
                [sys.executable, "-m", "ecgstream", *command],
                env=environment,
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
            )
            said = done.stderr + done.stdout
            assert done.returncode not in (0, 1), f"{name}, {command[0]}: {said}"
            assert "Traceback" not in said, f"{name}, {command[0]}: {said}"
            assert "guessed" not in said
            assert "secret-of" not in said
            assert command[0] in done.stderr.splitlines()[-1]


def test_kafkas_own_tool_takes_the_printed_words(guarded: Guarded) -> None:
    words = Grant("ward-9", "READ", "topic", TOPICS.alerts).command().split()
    command = java_command(
        "org.apache.kafka.tools.AclCommand", "--bootstrap-server", guarded.broker.bootstrap_servers, *words
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "User:ward-9" in done.stdout
