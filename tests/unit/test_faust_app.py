"""What keeps Faust from losing events that it has fetched already."""

from pathlib import Path

from ecgstream.faust_app import application
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
