"""A small ward: simulated patients beside a real recording, each a device that streams without end."""

from ecgstream.recordings import Recording
from ecgstream.simulator.devices import Device
from ecgstream.simulator.patients import Patient, Stretch, synthesize

PATIENTS = {
    "ward-1-sinus": Patient(seed=11, script=[Stretch(rhythm="sinus", for_s=300, bpm=64)]),
    "ward-2-af": Patient(
        seed=12, script=[Stretch(rhythm="sinus", for_s=60, bpm=72), Stretch(rhythm="af", for_s=240, bpm=96)]
    ),
    "ward-3-ectopy": Patient(seed=13, script=[Stretch(rhythm="sinus", for_s=300, bpm=74, pvc_rate=0.06)]),
    "ward-4-bigeminy": Patient(
        seed=14,
        script=[Stretch(rhythm="sinus", for_s=120, bpm=70), Stretch(rhythm="bigeminy", for_s=180, bpm=76)],
    ),
    "ward-5-vt": Patient(
        seed=15,
        script=[
            Stretch(rhythm="sinus", for_s=200, bpm=80),
            Stretch(rhythm="vt", for_s=10, bpm=170),
            Stretch(rhythm="sinus", for_s=90, bpm=84),
        ],
    ),
}


def devices(recording: Recording, device_id: str, session: str, start_us: int) -> list[Device]:
    """The ward's devices, that of the real `recording` first; switched on one after another within a second."""
    streams = {device_id: recording} | {name: synthesize(p, name) for name, p in PATIENTS.items()}
    return [
        Device(
            name,
            stream,
            session,
            start_us + round(i / len(streams) * 1e6),
            phase_s=i / len(streams),
            loop=True,
        )
        for i, (name, stream) in enumerate(streams.items())
    ]
