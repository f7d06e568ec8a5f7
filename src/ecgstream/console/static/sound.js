// Alarm sounds, off until somebody turns them on (browsers ask for a press first): pulse bursts as IEC 60601-1-8 counts them, ten
// for high priority, three for medium, two for low, repeated while unanswered.

import { h, say } from "./elements.js";
import * as live from "./live.js";

const BURST = { high: [0, 0.2, 0.4, 0.75, 0.95, 1.6, 1.8, 2.0, 2.35, 2.55], medium: [0, 0.35, 0.7], low: [0, 0.4] };
const TONE_HZ = { high: 880, medium: 660, low: 520 };
const BURST_MS = 3000;
const REPEAT_S = { high: 10, medium: 25, low: 60 };
const kept = { get: () => { try { return sessionStorage.getItem("sound") === "on"; } catch { return false; } }, set: (on) => { try { sessionStorage.setItem("sound", on ? "on" : "off"); } catch { /* private window */ } } };
let context = null;
let wanted = kept.get();
let lastMs = 0;
let told = new Set(); // what was heard of what is open now

function pulse(priority) {
  for (const at of BURST[priority]) {
    const start = context.currentTime + at;
    const [tone, gain] = [context.createOscillator(), context.createGain()];
    tone.frequency.value = TONE_HZ[priority];
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(0.25, start + 0.02);
    gain.gain.setValueAtTime(0.25, start + 0.12);
    gain.gain.linearRampToValueAtTime(0, start + 0.15);
    tone.connect(gain).connect(context.destination);
    tone.start(start);
    tone.stop(start + 0.16);
  }
}

const running = () => context?.state === "running";

function tick() {
  if (!running() || live.status.problem === live.CONNECTING) return;
  const open = [...live.alerts.values()].filter((a) => !a.acknowledgement && !a.pending && !a.ended && a.category !== "technical");
  const worst = live.status.live ? ["high", "medium", "low"].find((p) => open.some((a) => a.priority === p)) : "medium";
  if (!worst) return;
  const key = (a) => `${a.alert_id} ${a.priority}`;
  const due = live.status.live ? open.filter((a) => a.priority === worst).map(key) : ["not live"];
  const sinceMs = Date.now() - lastMs;
  if (sinceMs < (due.every((k) => told.has(k)) ? REPEAT_S[worst] * 1000 : BURST_MS)) return;
  lastMs = Date.now();
  told = new Set([...open.map(key).filter((k) => told.has(k)), ...due]);
  pulse(worst);
}

/** Begin, or begin again where a phone's lock, a call or a new page took the sound away; the browser may want a press first. */
async function revive() {
  if (!wanted || running()) return;
  context ??= new AudioContext();
  await context.resume().catch(() => {});
}

/** The button that turns sound on and off and says how it stands. */
export function soundButton() {
  const button = h("button", { class: "plain", type: "button" });
  const label = () => {
    say(button, running() ? "Sound: on" : wanted ? "Sound stopped: press" : "Sound: off");
    button.setAttribute("aria-pressed", String(running()));
    live.status.sound = running();
  };
  const begin = () => {
    const before = context;
    const begun = revive();
    if (context !== before) context.onstatechange = label;
    return begun;
  };
  button.addEventListener("click", async () => {
    kept.set(wanted = !running());
    if (wanted) {
      await begin();
      pulse("low");
    } else await context.suspend();
    label();
  });
  for (const press of ["pointerdown", "keydown"]) document.addEventListener(press, (event) => { if (!button.contains(event.target)) begin(); });
  document.addEventListener("visibilitychange", begin);
  begin();
  label();
  setInterval(tick, 500);
  live.on("change", tick); // timers of a tab in the background may come once a minute only
  return button;
}
