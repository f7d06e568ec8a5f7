"""The gateway without a broker: what it refuses, what ends it, and who is told."""

import asyncio
import threading
from pathlib import Path

import pytest

from ecgstream.codec import MAX_RECORD_BYTES
from ecgstream.gateway import DeliveryError, Gateway, PlainGateway
from ecgstream.gateway.outbox import DiskOutbox
from ecgstream.kafka import load_settings
from fakes import is_full


def nowhere(**more: object) -> Gateway:
    """A gateway whose broker is away."""
    settings = load_settings({}, bootstrap_servers="127.0.0.1:1")
    return Gateway(settings, close_timeout_s=0.1, **more)  # type: ignore[arg-type]


def is_closed(folder: Path) -> bool:
    """Whether the gateway has let go of its buffer."""
    DiskOutbox(folder, 10**6).close()
    return True


async def test_an_error_that_no_try_would_mend_is_told_to_whoever_adds_samples(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = nowhere(buffer=tmp_path)
    gateway._options["bootstrap_servers"] = "localhost:abc"
    stream = gateway.stream("w", fs_hz=250, uv_per_lsb=1)

    async def use() -> None:
        async with gateway:
            stream.add([0] * 1000)
            assert gateway._task is not None
            await asyncio.wait({gateway._task}, timeout=10)
            with pytest.raises(DeliveryError, match="ValueError") as told:
                stream.add([0] * 1000)
            assert isinstance(told.value.__cause__, ValueError)
            with pytest.raises(DeliveryError, match="ValueError"):
                gateway.publish(b"w", b"x")

    with pytest.raises(DeliveryError, match="nothing is delivered any more: ValueError"):
        await use()
    state = gateway.state
    assert (state.taken, state.waiting, state.failures) == (4, 4, 1)
    assert "ValueError" in str(state.last_error)
    assert "nothing is delivered any more" in caplog.text
    assert is_closed(tmp_path)


async def test_a_buffer_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DiskOutbox, "peek", is_full)

    async def use() -> None:
        async with nowhere(buffer=tmp_path) as gateway:
            gateway.publish(b"w", b"x")

    with pytest.raises(DeliveryError, match=r"OSError: .* full"):
        await use()
    assert is_closed(tmp_path)


async def test_the_buffer_is_let_go_where_the_last_samples_do_not_fit_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use() -> None:
        async with nowhere(buffer=tmp_path) as gateway:
            gateway.stream("w", fs_hz=250, uv_per_lsb=1).add([0] * 100)
            monkeypatch.setattr(DiskOutbox, "append", is_full)

    with pytest.raises(OSError, match="full"):
        await use()
    assert is_closed(tmp_path)


async def test_a_record_that_no_monitor_would_take_is_refused() -> None:
    async with nowhere() as gateway:
        gateway.publish(b"w", bytes(MAX_RECORD_BYTES))
        with pytest.raises(ValueError, match=f"value: {MAX_RECORD_BYTES + 1} bytes"):
            gateway.publish(b"w", bytes(MAX_RECORD_BYTES + 1))
        with pytest.raises(ValueError, match="key: 2000 bytes"):
            gateway.publish(bytes(2000), b"x")
        assert (gateway.state.taken, gateway.state.waiting) == (1, 1)


def test_a_gateway_with_a_name_takes_devices_of_its_own_only() -> None:
    gateway = Gateway(load_settings({}, gateway="acme"))
    assert gateway.stream("acme.watch-17", fs_hz=250, uv_per_lsb=1).device_id == "acme.watch-17"
    for other in ("watch-17", "acme", "acmes.watch-17", "other.watch-17"):
        with pytest.raises(ValueError, match=f"device_id: '{other}' at gateway acme"):
            gateway.stream(other, fs_hz=250, uv_per_lsb=1)


async def test_outside_its_block_a_gateway_takes_nothing() -> None:
    gateway = nowhere()
    stream = gateway.stream("w", fs_hz=250, uv_per_lsb=1)
    with pytest.raises(RuntimeError, match="use it in `async with`"):
        stream.add([0] * 250)
    with pytest.raises(RuntimeError, match="use it in `async with`"):
        await gateway.drain()
    with pytest.raises(RuntimeError, match="use it in `async with`"):
        _ = gateway.state
    async with gateway:
        stream.add([0] * 250)
    with pytest.raises(RuntimeError, match="use it in `async with`"):
        stream.add([0] * 250)
    assert gateway.state.taken == 2


@pytest.mark.timeout(20)
def test_outside_its_block_a_plain_gateway_takes_nothing() -> None:
    gateway = PlainGateway(load_settings({}, bootstrap_servers="127.0.0.1:1"), close_timeout_s=0.1)
    stream = gateway.stream("w", fs_hz=250, uv_per_lsb=1)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="use it in `with`"):
            stream.add([0] * 250)
        with pytest.raises(RuntimeError, match="use it in `with`"):
            gateway.drain()
        with pytest.raises(RuntimeError, match="use it in `with`"):
            _ = gateway.state
        with gateway:
            stream.add([0] * 250)
            assert gateway.state.taken >= 2


@pytest.mark.timeout(20)
def test_a_thread_that_goes_on_after_a_plain_gateway_is_told() -> None:
    gateway = PlainGateway(load_settings({}, bootstrap_servers="127.0.0.1:1"), close_timeout_s=0.1)
    told: list[str] = []

    def go_on() -> None:
        try:
            while True:
                gateway.publish(b"w", b"x")
        except RuntimeError as error:
            told.append(str(error))

    thread = threading.Thread(target=go_on, daemon=True)
    with gateway:
        thread.start()
        while not gateway.state.taken:
            pass
    thread.join(10)
    assert len(told) == 1
    assert "use it in" in told[0]
