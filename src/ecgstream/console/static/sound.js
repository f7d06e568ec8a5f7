// Alarm sounds, off until somebody turns them on (browsers ask for a press first): pulse bursts as IEC 60601-1-8 counts them, ten
// for high priority, three for medium, two for low, repeated while unanswered.

import { h, say } from "./elements.js";
import * as live from "./live.js";

const BURST = { high: [0, 0.2, 0.4, 0.75, 0.95, 1.6, 1.8, 2.0, 2.35, 2.55], medium: [0, 0.35, 0.7], low: [0, 0.4] };
const TONE_HZ = { high: 880, medium: 660, low: 520 };
const REPEAT_S = { high: 10, medium: 25, low: 60 };
let context = null;
let lastMs = 0;

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

function tick() {
  if (!context || context.state !== "running") return;
  const open = [...live.alerts.values()].filter((a) => !a.acknowledgement && !a.pending && !a.ended && a.category !== "technical");
  const worst = live.status.live ? ["high", "medium", "low"].find((p) => open.some((a) => a.priority === p)) : "medium";
  if (worst && Date.now() - lastMs > REPEAT_S[worst] * 1000) {
    lastMs = Date.now();
    pulse(worst);
  }
}

/** The button that turns sound on and off and says how it stands. */
export function soundButton() {
  const button = h("button", { class: "plain", type: "button", "aria-pressed": "false" }, "Sound: off");
  const label = () => {
    const running = context?.state === "running";
    say(button, running ? "Sound: on" : "Sound: off");
    button.setAttribute("aria-pressed", String(running));
  };
  button.addEventListener("click", async () => {
    if (context?.state === "running") await context.suspend();
    else {
      context ??= new AudioContext();
      await context.resume();
      pulse("low");
    }
    label();
  });
  setInterval(tick, 500);
  return button;
}
