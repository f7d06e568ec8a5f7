// Acknowledging: one press with or without a note. What was sent is shown as sent until alerting confirms it by a revision.

import { h, say } from "./elements.js";
import { failed, may, tell } from "./server.js";
import { tick } from "./symbols.js";
import { clock } from "./words.js";

const SETTLE_MS = 500;
let movedMs = 0;

/** Tell that the list just moved under the pointer: presses are not taken for a moment, they were meant for another alert. */
export const justMoved = () => { movedMs = Date.now(); };

/** Who answered, or that it isn't confirmed yet; null when nobody has. */
export function answered(alert) {
  if (alert.acknowledgement) {
    const { by, at_us: at, note } = alert.acknowledgement;
    return h("p", { class: "answered" }, tick(), ` ${by}, ${clock(at)}`, note ? h("q", {}, note) : null);
  }
  if (alert.pending) {
    const { by, at_us: at, note } = alert.pending;
    return h("p", { class: "pending" }, `Sent by ${by}, ${clock(at)}; alerting has not confirmed it yet`, note ? h("q", {}, note) : null);
  }
  return null;
}

/** The note and the button; null for whoever may only view. */
export function answerForm(alert) {
  if (!may("acknowledge")) return null;
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const note = h("input", { class: "note", maxlength: 2000, placeholder: "Note (optional)", "aria-label": "Note" });
  const button = h("button", { class: "strong", title: "Acknowledge (A)" }, alert.acknowledgement ? "Add note" : "Acknowledge");
  const refuse = (text) => { say(problem, text); problem.hidden = false; };
  const form = h("form", { class: "answer", onsubmit: async (event) => {
    event.preventDefault();
    button.disabled = true;
    problem.hidden = true;
    try {
      await tell(`/api/alerts/${encodeURIComponent(alert.alert_id)}/acknowledge`, { note: note.value });
      note.value = "";
    } catch (error) {
      refuse(failed("Not acknowledged", error));
    }
    button.disabled = false;
    return undefined;
  } }, note, button, problem);
  button.addEventListener("click", (event) => {
    if (event.detail !== 0 && Date.now() - movedMs < SETTLE_MS) {
      event.preventDefault();
      refuse("The list just moved. Press again.");
    }
  });
  return form;
}
