// How the page says things: kinds, rhythms, times. A name that is not listed is shown as it came.

const KINDS = {
  asystole: "Asystole",
  vf: "Ventricular fibrillation / flutter",
  vt: "Ventricular tachycardia",
  "extreme-tachycardia": "Extreme tachycardia",
  "extreme-bradycardia": "Extreme bradycardia",
  pause: "Pause",
  svt: "Supraventricular tachycardia",
  "high-rate": "Heart rate above limit",
  "low-rate": "Heart rate below limit",
  block: "Atrioventricular block",
  idioventricular: "Idioventricular rhythm",
  "v-run": "Run of ventricular beats",
  af: "Atrial fibrillation",
  bigeminy: "Ventricular bigeminy",
  trigeminy: "Ventricular trigeminy",
  "pvc-burden": "Ventricular ectopy above limit",
  couplet: "Ventricular couplet",
  "lead-off": "Lead off",
  noise: "Signal unreadable",
  "signal-lost": "Signal lost",
  clock: "Clock fault",
  lag: "Monitoring lags behind",
};

const SHORT = {
  vf: "VF / flutter", vt: "VT", "extreme-tachycardia": "Extreme tachy", "extreme-bradycardia": "Extreme brady", svt: "SVT", af: "AF",
  "high-rate": "Rate above limit", "low-rate": "Rate below limit", block: "AV block", "v-run": "V run", bigeminy: "Bigeminy",
  trigeminy: "Trigeminy", "pvc-burden": "Many PVCs",
};

const RHYTHMS = {
  sinus: "Sinus", af: "AF", svt: "SVT", bigeminy: "Bigeminy", trigeminy: "Trigeminy", idioventricular: "Idioventricular",
  junctional: "Junctional", block: "AV block", paced: "Paced", vt: "VT", vf: "VF", asystole: "Asystole", other: "Other",
  noise: "Noise", organised: "Organised",
};

const REASONS = {
  "warm-up": "warming up", gap: "samples missing", "lead-off": "lead off", flat: "flat line", clipped: "clipped", motion: "motion",
  muscle: "muscle noise", mains: "mains hum", "detectors-disagree": "beat detectors disagree",
};

export const STATES = {
  raised: "Raised", updated: "Updated", escalated: "Escalated", acknowledged: "Acknowledged", ended: "Ended",
};
export const BEATS = { N: "normal", S: "supraventricular", V: "ventricular", Q: "unclassified" };

export const kindName = (kind) => KINDS[kind] ?? kind;
export const shortKind = (kind) => SHORT[kind] ?? kindName(kind);
export const kindNames = () => Object.keys(KINDS);
export const rhythmName = (rhythm) => (rhythm === null || rhythm === undefined ? null : (RHYTHMS[rhythm] ?? rhythm));
export const reasonNames = (reasons) => reasons.map((r) => REASONS[r] ?? r).join(", ");

/** What a device's tile says of its rhythm: unknown is said as unknown. */
export function rhythmText(device) {
  if (device.quality === "unreadable") return "Unreadable";
  if (device.quality === "rate-only") return "Rate only";
  return rhythmName(device.rhythm) ?? "Rhythm not known";
}

const two = (n) => String(n).padStart(2, "0");

/** A length of time in a form that can be read from afar: 48 s, 12:05 min, 3 h 20 min, 2 d 4 h. */
export function span(us) {
  const seconds = Math.max(0, Math.floor(us / 1e6));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${two(seconds % 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${two(Math.floor((seconds % 3600) / 60))} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "2-digit", month: "short" });
const fullFormat = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
  timeZoneName: "short",
});

export const clock = (us) => clockFormat.format(us / 1000);
export const full = (us) => fullFormat.format(us / 1000);

/** Time of day, with the day when it isn't today. */
export function when(us, nowUs) {
  const day = dayFormat.format(us / 1000);
  return day === dayFormat.format(nowUs / 1000) ? clock(us) : `${day} ${clock(us)}`;
}

export const percent = (share) => (share === null || share === undefined ? "not known" : `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`);
export const rate = (bpm) => (bpm === null || bpm === undefined ? "–" : String(Math.round(bpm)));
