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
  "signal-lost": "Device silent",
  "lead-off": "Lead off",
  flat: "Flat line",
  unreadable: "Signal unreadable",
  clipped: "Signal clipped",
  "stream-gap": "Gap in the stream",
  "clock-fault": "Clock fault",
  lagging: "Monitoring lags behind",
  snoozed: "Alerts snoozed",
  "settings-refused": "Device settings refused",
  "record-parked": "Record failed in processing",
  "delivery-failed": "Notification not delivered",
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
/** How an alert stands: one that is only updated is still escalated, where nobody has answered its escalations. */
export const standing = (alert) => {
  const state = alert.state === "updated" && alert.escalations > 0 ? "escalated" : alert.state;
  return STATES[state] ?? state;
};
export const BEATS = { N: "normal", S: "supraventricular", V: "ventricular", Q: "unclassified" };

export const kindName = (kind) => KINDS[kind] ?? kind;
export const shortKind = (kind) => SHORT[kind] ?? kindName(kind);
/** The kinds that may be snoozed: all but those that speak of the alerting itself. */
export const kindNames = () => Object.keys(KINDS).filter((k) => !["snoozed", "settings-refused", "record-parked", "delivery-failed"].includes(k));
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

/** What the alert says beyond its kind and rate, or "" when that is all. */
export function beyond(alert) {
  const parts = (alert.message ?? "").split(", ").slice(1);
  if (parts[0] === `${rate(alert.heart_rate_bpm)}/min`) parts.shift();
  return parts.join(", ");
}

const EVIDENCE = {
  beats: "Beats counted", ventricular_beats: "Ventricular beats in a row", supraventricular_beats: "Supraventricular beats in a row", silent_s: "Without a beat", rr_s: "Between two beats", flat: "Flat line", share: "Share of beats",
  af_burden: "AF in the last day", readable_s: "Readable in the last day", couplets: "Couplets", runs: "Runs", hours: "Hours counted", jump_s: "Clock jumped by",
  lag_s: "Late by", outcome: "How it ended", latched: "Waits for an answer", recurrences: "Came again", held_back: "Told with this alert", folded_into: "Part of",
  reasons: "Reasons", refused: "Refused",
};
const SAID_ELSEWHERE = new Set(["quality", "window"]);

function evidenceValue(name, value) {
  if (name === "share" || name === "af_burden") return percent(value);
  if (name === "reasons") return reasonNames(value);
  if (name === "recurrences") return `${value}×`;
  if (name.endsWith("_s") && typeof value === "number") return value < 60 ? `${Math.round(value * 100) / 100} s` : span(value * 1e6);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return String(Math.round(value * 100) / 100);
  if (value && typeof value === "object" && !Array.isArray(value) && Object.values(value).every((v) => typeof v === "number")) return Object.entries(value).map(([k, n]) => `${n} ${k.replaceAll("_", " ")}`).join(", ");
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** An alert's evidence as [name, text] rows in plain words. */
export const evidenceRows = (given) => Object.entries(given).filter(([name, v]) => v !== null && !SAID_ELSEWHERE.has(name)).map(([name, v]) => [EVIDENCE[name] ?? name.replaceAll("_", " "), evidenceValue(name, v)]);

/** How far what a device shows lies behind its arrival, in µs, where that matters; else 0. Its clock may also be slow: both want a look. */
export const LATE_US = 30e6;
export const lateness = (device) => (device.heard_us - device.end_us > LATE_US ? device.heard_us - device.end_us : 0);
