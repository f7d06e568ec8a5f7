"""What counts as an event: the clinical definitions, read in one finding.

`assess` gives one `Reading` for each kind of event: whether its condition holds (`Sign`), since when and
until when. How long a condition must hold, what ends it and what a blind stretch does is told by
`ecgstream.episodes`; how urgent it is by the alarm table (`ecgstream.limits`), which holds every number
named here.

Definitions and their sources:

- asystole, extreme bradycardia, extreme tachycardia, ventricular tachycardia, ventricular
  fibrillation/flutter: the five alarms of the PhysioNet/CinC Challenge 2015 (Clifford et al. 2016,
  doi:10.1088/0967-3334/37/8/E5): no QRS for 4 s; rate under 40/min over 5 beats; over 140/min over 17
  beats; 5 or more ventricular beats over 100/min; a fibrillatory, flutter or oscillatory waveform for 4 s.
- the alarm limit of 10 s from onset: IEC 60601-2-27, ANSI/AAMI EC13.
- a run of ventricular beats goes on through supraventricular ones (`readings.Window.ventricular_runs`).
- couplets (2), runs (3 or more ventricular beats): ANSI/AAMI EC57's run statistics.
- pause: an RR interval of 3 s (Kusumoto et al. 2019, doi:10.1161/CIR.0000000000000628).
- bigeminy, trigeminy: every second or third beat ventricular (`ecgstream.patterns`), for a share of the window's beats.
- SVT: 5 or more supraventricular beats over 100/min, as VT; they go on until the heart slows (`ecgstream.patterns`).
- AF: onset and end only (Drew et al. 2014, doi:10.1371/journal.pone.0110274), from 30 s (Hindricks et al.
  2021, doi:10.1093/eurheartj/ehaa612).

Departures: VT may also be told without beat classes, by the network's acute head when it holds for the table's
minimum time and the beats are faster than the VT rate: neither the network nor the rate alone is enough; but where
the two detectors disagree about the beats, their rate can't deny it. Asystole needs a signal: the lead connected,
nothing missing, no noise, and at least one beat seen since the signal was last unreadable. A line that goes flat
after beats with the lead connected *is* asystole here (whoever can't tell a failed electrode from a stopped heart
must go and look); a line that was flat from the start is a technical event. The network may veto asystole where it
sees organised rhythm or fibrillation; and it may tell asystole under noise, in which detectors find beats that aren't
there, where the two detectors disagree about them, but neither within seconds of an electrode's movement nor while
these beats come evenly, as those of a heart do. Where noise
hides whether it beats, a heart that the network sees beat or fibrillate is not still: so an asystole that is over
doesn't fold in the fibrillation that follows it.
"""

from collections.abc import Callable
from typing import Any

from ecgstream.limits import Thresholds
from ecgstream.messages import Finding, Quality
from ecgstream.patterns import find_pattern
from ecgstream.readings import Reading, Sight, Sign, Window, mean_rate


def assess(finding: Finding, limits: Thresholds, sight: Sight) -> list[Reading]:
    """The physiological readings of `finding`, one for each kind."""
    window = Window(finding, limits, sight)
    return [read(window) for read in _READERS]


def _asystole(w: Window) -> Reading:
    kind, acute, limits = "asystole", w.finding.acute_probabilities, w.limits
    p = acute.get("asystole", 0.0)
    stillness = p >= limits.asystole_on and not w.waves_blind and w.detectors_disagree
    if stillness and not w.follows_a_burst() and not w.beats_steadily():
        return w.reading(kind, Sign.ON, w.acute_since_us, why=_shares(acute))
    since = w.sight.readable_since_us
    if w.silence_blind or since is None or (w.flat and w.sight.last_beat_us is None):
        return w.reading(kind, _stillness_by_the_network(w))
    last = since if w.sight.last_beat_us is None else w.sight.last_beat_us
    silent_s = (w.end_us - last) / 1e6
    if silent_s < limits.asystole_s:
        return w.reading(kind, Sign.OFF)
    if w.is_missing(last, w.end_us):
        return w.reading(kind, Sign.BLIND)
    why = {"silent_s": round(silent_s, 2), "flat": w.flat} | _shares(acute)
    veto = max((acute.get(name, 0.0) for name in ("organised", "vt", "vf", "noise")), default=0.0)
    if veto >= limits.asystole_veto and not w.flat:
        return w.reading(kind, Sign.HOLD, why=why)
    return w.reading(kind, Sign.ON, last, complete=True, why=why)


def _stillness_by_the_network(w: Window) -> Sign:
    acute, limits = w.finding.acute_probabilities, w.limits
    if (
        not w.waves_blind
        and sum(acute.get(k, 0.0) for k in ("organised", "vt", "vf")) >= limits.asystole_moves
    ):
        return Sign.OFF
    return Sign.HOLD if acute.get("asystole", 0.0) >= limits.asystole_off else Sign.BLIND


def _vf(w: Window) -> Reading:
    if w.waves_blind:
        return w.reading("vf", Sign.BLIND)
    sign = _one_of_both(w, "vf", "vt")
    return w.reading("vf", sign, w.acute_since_us, why=_shares(w.finding.acute_probabilities))


def _vt(w: Window) -> Reading:
    limits, why = w.limits, _shares(w.finding.acute_probabilities)
    if not w.beats_blind:
        for run, _ in reversed(w.ventricular_runs()):
            if len(run) >= limits.vt_beats and mean_rate(run) > limits.vt_bpm:
                why = {"ventricular_beats": len(run)} | why
                first, last = run[0].at_us, run[-1].at_us
                return w.reading("vt", Sign.ON, first, last, complete=True, rate_bpm=mean_rate(run), why=why)
    if w.waves_blind:
        return w.reading("vt", Sign.BLIND)
    rate = w.last_rate(limits.vt_beats)
    sign = _one_of_both(w, "vt", "vf")
    if sign is Sign.ON and (rate is None or (rate <= limits.vt_bpm and not w.detectors_disagree)):
        sign = Sign.HOLD
    return w.reading("vt", sign, w.acute_since_us, rate_bpm=rate, why=why)


def _one_of_both(w: Window, kind: str, other: str) -> Sign:
    """VT and VF are told from everything else by their sum, and from one another by the greater of the two."""
    p, q = (w.finding.acute_probabilities.get(name, 0.0) for name in (kind, other))
    sign = _threshold(p + q, getattr(w.limits, f"{kind}_on"), getattr(w.limits, f"{kind}_off"))
    return Sign.HOLD if sign is Sign.ON and p < q else sign


def _v_run(w: Window) -> Reading:
    """The last ended run too short or too slow for VT; one that the window's start cuts has been told before."""
    if w.beats_blind:
        return w.reading("v-run", Sign.BLIND)
    for run, ended in reversed(w.ventricular_runs()):
        is_vt = len(run) >= w.limits.vt_beats and mean_rate(run) > w.limits.vt_bpm
        is_whole = ended and run[0] is not w.beats[0]
        if is_whole and len(run) >= w.limits.v_run_beats and not is_vt:
            why = {"ventricular_beats": len(run)}
            rate = mean_rate(run)
            return w.reading(
                "v-run", Sign.ON, run[0].at_us, run[-1].at_us, complete=True, rate_bpm=rate, why=why
            )
    return w.reading("v-run", Sign.OFF)


def _svt(w: Window) -> Reading:
    """The last fast run; one whose first beats have left the window goes on as long as the heart is fast and hasn't slowed at once."""
    if w.beats_blind:
        return w.reading("svt", Sign.BLIND)
    limits = w.limits
    for run in reversed(w.supraventricular_runs()):
        if len(run) >= limits.svt_beats and mean_rate(run) > limits.svt_bpm:
            why = {"supraventricular_beats": len(run)}
            return w.reading("svt", Sign.ON, run[0].at_us, run[-1].at_us, rate_bpm=mean_rate(run), why=why)
    rate = w.last_rate(limits.rate_beats)
    goes_on = rate is not None and rate > limits.svt_bpm and not w.slows()
    return w.reading("svt", Sign.HOLD if goes_on else Sign.OFF, rate_bpm=rate)


def _pause(w: Window) -> Reading:
    if w.beats_blind:
        return w.reading("pause", Sign.BLIND)
    for before, after in reversed(w.pauses(w.beats)):
        if w.finding.signal is not None and not w.hides_beats(before, after):
            why = {"rr_s": round((after - before) / 1e6, 2)}
            return w.reading("pause", Sign.ON, before, after, complete=True, why=why)
    return w.reading("pause", Sign.OFF)


def _rate_reader(kind: str, sign_of: Callable[[float, Thresholds], Sign], beats: str, complete: bool) -> Any:
    """A reader of the rate over the last beats, as many as the limit called `beats` says."""

    def read(w: Window) -> Reading:
        n_beats: int = getattr(w.limits, beats)
        rate = None if w.beats_blind else w.last_rate(n_beats, is_slow=sign_of(0.0, w.limits) is Sign.ON)
        if rate is None:
            return w.reading(kind, Sign.BLIND)
        since = w.beats[-n_beats].at_us
        return w.reading(kind, sign_of(rate, w.limits), since, complete=complete, rate_bpm=rate)

    return read


def _below(rate: float, limit: float, limits: Thresholds) -> Sign:
    return Sign.ON if rate < limit else Sign.HOLD if rate < limit + limits.rate_hysteresis_bpm else Sign.OFF


def _above(rate: float, limit: float, limits: Thresholds) -> Sign:
    return Sign.ON if rate > limit else Sign.HOLD if rate > limit - limits.rate_hysteresis_bpm else Sign.OFF


def _rhythm_reader(kind: str) -> Any:
    """A reader of one rhythm's probability."""

    def read(w: Window) -> Reading:
        if not w.finding.rhythm_probabilities or w.finding.quality is Quality.UNREADABLE:
            return w.reading(kind, Sign.BLIND)
        p = w.finding.rhythm_probabilities.get(kind, 0.0)
        sign = _threshold(p, getattr(w.limits, f"{kind}_on"), getattr(w.limits, f"{kind}_off"))
        rate = w.last_rate(w.limits.rate_beats)
        since = w.end_us - round(w.limits.rhythm_lookback_s * 1e6)
        why = _shares(w.finding.rhythm_probabilities)
        return w.reading(kind, sign, since, rate_bpm=rate, why=why)

    return read


def _pattern_reader(kind: str) -> Any:
    """A reader of a pattern of ventricular beats."""

    def read(w: Window) -> Reading:
        if w.beats_blind:
            return w.reading(kind, Sign.BLIND)
        pattern = find_pattern(kind, [beat.kind for beat in w.beats])
        if pattern is None:
            return w.reading(kind, Sign.OFF)
        sign = _threshold(pattern.share, getattr(w.limits, f"{kind}_on"), getattr(w.limits, f"{kind}_off"))
        first, last = w.beats[pattern.first].at_us, w.beats[pattern.last].at_us
        why = {"share_of_beats": round(pattern.share, 2)}
        return w.reading(kind, sign, first, last, rate_bpm=w.last_rate(w.limits.rate_beats), why=why)

    return read


def _threshold(p: float, on: float, off: float) -> Sign:
    return Sign.ON if p >= on else Sign.HOLD if p >= off else Sign.OFF


def _shares(probabilities: dict[str, float]) -> dict[str, Any]:
    """The probabilities worth showing, rounded."""
    return {"probabilities": {name: round(p, 3) for name, p in probabilities.items() if p >= 0.05}}


_READERS: tuple[Callable[[Window], Reading], ...] = (
    _asystole,
    _vf,
    _vt,
    _rate_reader(
        "extreme-tachycardia",
        lambda r, t: _above(r, t.extreme_tachycardia_bpm, t),
        "extreme_tachycardia_beats",
        True,
    ),
    _rate_reader(
        "extreme-bradycardia",
        lambda r, t: _below(r, t.extreme_bradycardia_bpm, t),
        "extreme_bradycardia_beats",
        True,
    ),
    _pause,
    _svt,
    _rate_reader("high-rate", lambda r, t: _above(r, t.high_rate_bpm, t), "rate_beats", False),
    _rate_reader("low-rate", lambda r, t: _below(r, t.low_rate_bpm, t), "rate_beats", False),
    _rhythm_reader("block"),
    _rhythm_reader("idioventricular"),
    _v_run,
    _rhythm_reader("af"),
    _pattern_reader("bigeminy"),
    _pattern_reader("trigeminy"),
)
