"""Scenarios: a patient or a recording, a wearable's faults, and the alerts that must come of them, in one YAML file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import yaml

from ecgstream.messages import Id
from ecgstream.recordings import Recording, RecordingError, read_recording
from ecgstream.simulator.devices import Delivery, Device, begin_of, chunks_of
from ecgstream.simulator.faults import Fault, check, disturb, spoil
from ecgstream.simulator.patients import Patient, synthesize
from ecgstream.simulator.patients import check as check_patient


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An alert that must be raised: its kind, and where its onset must lie [s of device time]."""

    kind: Id
    after_s: float = 0.0
    before_s: float | None = None


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of the gallery. Either `patient` or `recording`; alerts not in `expect` may come unless in `never`.

    No alert of high priority may come that `expect` doesn't name.
    """

    title: str
    about: str
    expect: list[Expected]
    never: list[Id] = []
    patient: Patient | None = None
    recording: str | None = None
    faults: list[Fault] = []
    seed: int = 0

    def signal(self) -> Recording:
        """The signal as the device measures it: the patient's or the recording's, with the signal faults.

        Raises ValueError for a fault that begins after its end.
        """
        source = (
            synthesize(self.patient) if self.patient is not None else read_recording(self.recording or "toy")
        )
        for i, fault in enumerate(self.faults):
            if fault.at_s >= source.duration_s:
                raise ValueError(
                    f"faults[{i}]: at_s: expected a time before the signal's end at {source.duration_s:g} s, "
                    f"got {fault.at_s:g}"
                )
        return spoil(source, self.faults, self.seed)

    def deliveries_of(self, device: Device) -> Iterator[Delivery]:
        """What a device with this scenario's signal hands over, and when, with the stream faults."""
        recording = device.recording
        return disturb(
            chunks_of(device),
            self.faults,
            device.phase_s,
            self.seed,
            device.content_type,
            begin_s=begin_of(device) / recording.fs_hz,
            lap_s=recording.duration_s if device.loop else None,
        )


def read_scenario(path: Path) -> Scenario:
    """Read a scenario; raises `RecordingError` naming the file and the field."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        scenario = msgspec.convert(content, Scenario)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecordingError(path, "text", f"expected YAML ({' '.join(str(error).split())[:200]})") from error
    except msgspec.ValidationError as error:
        raise RecordingError(path, "fields", str(error)) from error
    if (scenario.patient is None) == (scenario.recording is None):
        raise RecordingError(path, "patient, recording", "expected one of the two")
    if scenario.seed < 0:
        raise RecordingError(path, "seed", f"expected 0 or more, got {scenario.seed}")
    if scenario.patient is not None:
        with _field(path, "patient"):
            check_patient(scenario.patient)
    for i, fault in enumerate(scenario.faults):
        with _field(path, f"faults[{i}]"):
            check(fault)
    return scenario


@contextmanager
def _field(path: Path, place: str) -> Iterator[None]:
    """What can't be in a field of the file is told with both."""
    try:
        yield
    except ValueError as error:
        raise RecordingError(path, place, str(error)) from None
