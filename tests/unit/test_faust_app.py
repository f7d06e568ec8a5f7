"""What keeps Faust from losing events that it has fetched already."""

import asyncio
from pathlib import Path

import pytest

from ecgstream.faust_app import Ended, application, run
from ecgstream.kafka import load_settings


async def test_events_in_a_queue_survive_a_second_opening_and_no_closing(tmp_path: Path) -> None:
    app = application(load_settings({}), 4, str(tmp_path))
    queue = app.FlowControlQueue(maxsize=8, clear_on_resume=True)
    app.flow_control.resume()
    await queue.put("fetched while tables were rebuilt")
    app.flow_control.resume()
    assert queue.qsize() == 1
    app.flow_control.suspend()
    app.flow_control.resume()
    assert queue.qsize() == 0


class Faust:
    """An application whose consumer gives up at once."""

    crash_reason = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "a header")
    stopped = False

    async def start(self) -> None:
        pass

    async def wait_until_stopped(self) -> None:
        pass

    async def stop(self) -> None:
        self.stopped = True


@pytest.mark.timeout(10)
async def test_when_faust_gives_up_the_process_ends_and_does_not_stand_idle() -> None:
    app = Faust()
    with pytest.raises(Ended) as ended:
        await run(app, asyncio.Event(), asyncio.get_running_loop().create_future())  # type: ignore[arg-type]
    assert ended.value.__cause__ is app.crash_reason
    assert app.stopped
