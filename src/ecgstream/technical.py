"""Technical events, kept apart from the patient's: what is wrong with the signal, the clock or the stream.

Read from the reasons of a finding: lead off, flat line, clipping, gap, unreadable for another reason. Read from the
sequence of findings: a clock fault (event time and window number no longer run together) and lag (findings come
later and later after their signal, against the least delay of the session: so a constant offset between the
device's clock and the broker's doesn't matter). Silence is no finding's to show; `ecgstream.watch.on_tick` sees it.
"""

from ecgstream.device_state import State
from ecgstream.limits import Thresholds
from ecgstream.messages import Finding, Quality, Reason
from ecgstream.readings import NO_CONTACT, Reading, Sign, present
from ecgstream.reassembly import HOLD_S

# of two sessions: so long the old one may go on before the new one takes over
OVERLAP_US = 1_000_000 * (HOLD_S + 5)


def clock_jump_us(state: State, finding: Finding) -> int:
    """By how much the device's clock has jumped before a finding that comes after those in `state`.

    Within a session event time and window number run together. Between sessions anything may pass, but time goes back by no more than
    the old one goes on beside the new one.
    """
    if finding.session == state.session:
        return finding.end_us - state.end_us - 1_000_000 * (finding.window - state.window)
    back_us = finding.start_us - state.end_us
    return back_us if back_us < -OVERLAP_US else 0


def readings(
    state: State, finding: Finding, limits: Thresholds, arrived_us: int | None, jump_us: int = 0
) -> list[Reading]:
    """The technical readings of a finding that comes after those in `state`; notes its delay of arrival there."""
    return [*_of_signal(finding), _clock(finding, limits, jump_us), _lag(state, finding, limits, arrived_us)]


def _of_signal(finding: Finding) -> list[Reading]:
    reasons, end = present(finding), finding.end_us
    unread = finding.quality is Quality.UNREADABLE
    held = {
        "lead-off": Reason.LEAD_OFF in reasons,
        "flat": Reason.FLAT in reasons and not reasons & NO_CONTACT,
        "clipped": Reason.CLIPPED in reasons,
        "stream-gap": Reason.GAP in reasons,
        "unreadable": unread and not reasons & (NO_CONTACT | {Reason.FLAT}),
    }
    why = {"reasons": sorted(reasons)}
    return [
        Reading(k, Sign.ON if on else Sign.OFF, end, end, why=why if on else {}) for k, on in held.items()
    ]


def _clock(finding: Finding, limits: Thresholds, jump_us: int) -> Reading:
    end, jump_s = finding.end_us, jump_us / 1e6
    sign = Sign.ON if abs(jump_s) > limits.clock_jump_s else Sign.OFF
    return Reading("clock-fault", sign, end, end, complete=True, why={"jump_s": round(jump_s, 3)})


def _lag(state: State, finding: Finding, limits: Thresholds, arrived_us: int | None) -> Reading:
    end, lag_s = finding.end_us, 0.0
    if arrived_us is not None:
        lag_us = arrived_us - end
        state.lag_us = lag_us if state.lag_us is None else min(state.lag_us, lag_us)
        lag_s = (lag_us - state.lag_us) / 1e6
    sign = Sign.ON if lag_s > limits.lag_s else Sign.OFF
    return Reading("lagging", sign, end, end, complete=True, why={"lag_s": round(lag_s, 1)})
