"""The chain to the alert, given a recording second by second: when which alert is raised."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecgstream.analysis import Analyzer
from ecgstream.device_state import State
from ecgstream.evaluation.sources import Source
from ecgstream.limits import Limits
from ecgstream.messages import Ack, Alert, AlertState, Finding
from ecgstream.pieces import Piece
from ecgstream.watch import on_ack, on_finding

if TYPE_CHECKING:
    from ecgstream import model_folder

EPOCH_US = 1_577_836_800_000_000


@dataclass(frozen=True)
class Told:
    """One alert of a recording, in seconds of it: when it was raised, and the event it was about."""

    kind: str
    raised_s: float
    onset_s: float
    end_s: float
    message: str


def streamed(model: "model_folder.Model", sources: Sequence[Source]) -> list[list[tuple[float, Finding]]]:
    """The findings of each recording, each with how many seconds had been given when it came."""
    analyzer = Analyzer(model, len(sources))
    found: list[list[tuple[float, Finding]]] = [[] for _ in sources]
    for second in range(int(max(s.duration_s for s in sources)) + 1):
        pieces = []
        for i, s in enumerate(sources):
            first, last = (round(t * s.fs_hz) for t in (second, second + 1))
            samples = s.samples[first:last]
            if samples.size:
                pieces.append(Piece(str(i), "a", first, s.fs_hz, s.uv_per_lsb, EPOCH_US, False, samples))
        for finding in analyzer.feed(pieces):
            found[int(finding.device_id)].append((second + 1.0, finding))
    return found


def told(timed: Sequence[tuple[float, Finding]], limits: Limits, kinds: Container[str]) -> list[Told]:
    """The alerts of some kinds, each answered as soon as it is raised."""
    state, raised, ended = State("0"), dict[str, tuple[float, Alert]](), dict[str, Alert]()
    for given_s, finding in timed:
        for alert in on_finding(state, finding, limits, finding.end_us):
            if alert.state is AlertState.RAISED and alert.kind in kinds:
                raised[alert.alert_id] = given_s, alert
                on_ack(
                    state, Ack(alert_id=alert.alert_id, device_id="0", by="evaluation", at_us=finding.end_us)
                )
            if alert.state is AlertState.ENDED:
                ended[alert.alert_id] = alert
    out = []
    for key, (given_s, alert) in raised.items():
        end_us = ended[key].end_us if key in ended else None
        end_s = _seconds(end_us or timed[-1][1].end_us)
        out.append(Told(alert.kind, given_s, _seconds(alert.onset_us), max(end_s, given_s), alert.message))
    return out


def _seconds(at_us: int) -> float:
    return (at_us - EPOCH_US) / 1e6
