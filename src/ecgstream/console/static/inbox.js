// The inbox: open alerts, highest priority first, newest within it; technical ones apart.

import { answered, answerForm, justMoved } from "./answer.js";
import { arrange, h, say } from "./elements.js";
import * as live from "./live.js";
import { priorityWords, symbol } from "./symbols.js";
import { beyond, kindName, rate, span, when } from "./words.js";

const RANK = { high: 0, medium: 1, low: 2 };
const isAnswered = (alert) => Boolean(alert.acknowledgement || alert.pending);

/** Highest priority first, within it the unanswered before the answered, newest first. */
export const byUrgency = (a, b) =>
  RANK[a.priority] - RANK[b.priority] || isAnswered(a) - isAnswered(b) || b.onset_us - a.onset_us || (a.alert_id < b.alert_id ? -1 : 1);

function card(alert) {
  const timer = h("span", { class: "timer" });
  const flags = [];
  if (!alert.ended) flags.push(h("span", { class: "flag going" }, "Going on"));
  else flags.push(h("span", { class: "flag" }, `Over after ${span((alert.end_us ?? alert.detected_us) - alert.onset_us)}`));
  if (alert.recurrences) flags.push(h("span", { class: "flag" }, `Came again ${alert.recurrences}×`));
  if (alert.escalations) flags.push(h("span", { class: "flag strong" }, `Escalated ${alert.escalations}×`));
  const node = h("li", { class: `alert ${alert.category} ${alert.priority} ${isAnswered(alert) ? "is-answered" : "unanswered"}`, tabindex: "-1", "data-id": alert.alert_id },
    symbol(alert, 40),
    h("div", { class: "what" },
      h("h3", {}, h("a", { href: `/alerts/${encodeURIComponent(alert.alert_id)}` }, kindName(alert.kind))),
      h("p", {}, h("a", { class: "device", href: `/devices/${encodeURIComponent(alert.device_id)}` }, alert.device_id), " · ", h("time", {}, when(alert.onset_us, live.nowUs())), flags.map((flag) => [" ", flag])),
      beyond(alert) ? h("p", { class: "message" }, beyond(alert)) : null),
    h("p", { class: "rate" }, alert.category === "technical" ? "" : [h("b", {}, rate(alert.heart_rate_bpm)), h("small", {}, " /min")]),
    h("div", { class: "who" }, answered(alert) ?? timer),
    alert.acknowledgement ? null : answerForm(alert));
  const tick = () => {
    const us = live.nowUs() - alert.detected_us;
    say(timer, `Unanswered ${span(us)}`);
    timer.classList.toggle("long", us > 120e6 && alert.priority === "high");
  };
  tick();
  return { node, tick, key: JSON.stringify(alert) };
}

export async function show(main) {
  const cards = new Map();
  const heading = h("h1", {}, "Open alerts");
  const list = h("ol", { class: "alerts", "aria-label": "Open alerts, most urgent first" });
  const technical = h("ol", { class: "alerts", "aria-label": "Technical alerts" });
  const none = h("p", { class: "none", hidden: true }, "No open alerts.");
  const said = h("p", { class: "unseen", role: "status" });
  const part = h("section", { class: "technical-part" }, h("h2", {}, "Technical"), technical);
  main.replaceChildren(heading, said, none, list, part, h("p", { class: "keys" }, "Keys: ", ...["J", "K"].map((k) => h("kbd", {}, k)), " next and previous, ", h("kbd", {}, "A"), " acknowledge, ", h("kbd", {}, "N"), " note, ", h("kbd", {}, "Enter"), " open"));

  let first = true;
  const draw = () => {
    const open = [...live.alerts.values()].sort(byUrgency);
    for (const id of cards.keys()) if (!live.alerts.has(id)) cards.delete(id);
    let fresh = null;
    for (const alert of open) {
      const known = cards.get(alert.alert_id);
      if (known?.key === JSON.stringify(alert)) continue;
      const next = card(alert);
      if (known) carryOver(known.node, next.node);
      else fresh ??= alert;
      cards.set(alert.alert_id, next);
    }
    const nodes = (isTechnical) => open.filter((a) => (a.category === "technical") === isTechnical).map((a) => cards.get(a.alert_id).node);
    const moved = arrange(list, nodes(false));
    if (arrange(technical, nodes(true)) || moved) justMoved();
    if (fresh && !first) say(said, `New alert: ${priorityWords(fresh)}, ${kindName(fresh.kind)}, ${fresh.device_id}`);
    first = false;
    say(heading, `Open alerts (${nodes(false).length})`);
    none.hidden = list.children.length > 0;
    part.hidden = technical.children.length === 0;
  };
  live.on("change", draw);
  setInterval(() => cards.forEach((c) => c.tick()), 1000);
  if (live.status.ready) draw();
  document.addEventListener("keydown", (event) => keys(event, main));
}

/** Put a new card in an old one's place; a note under way and the focus go with it. */
function carryOver(old, node) {
  const [before, after] = [old.querySelector(".note"), node.querySelector(".note")];
  if (before && after) after.value = before.value;
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const selection = focused === before ? before?.selectionStart : null;
  old.replaceWith(node);
  if (!focused) return;
  const target = focused.classList.contains("note") ? after : focused.tagName === "BUTTON" ? node.querySelector("button") : null;
  (target ?? node).focus({ preventScroll: true });
  if (after && target === after && selection !== null && selection !== undefined) after.setSelectionRange(selection, selection);
}

function keys(event, main) {
  const typing = event.target.matches("input, textarea, select");
  if (typing && event.key === "Escape") event.target.closest("li")?.focus();
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = [...main.querySelectorAll("li.alert")];
  const at = all.findIndex((node) => node.contains(document.activeElement));
  const go = (i) => all[Math.max(0, Math.min(all.length - 1, i))]?.focus();
  const key = event.key.toLowerCase();
  const acts = {
    j: () => go(at + 1), arrowdown: () => go(at + 1), k: () => go(at < 0 ? 0 : at - 1), arrowup: () => go(at < 0 ? 0 : at - 1),
    a: () => all[at]?.querySelector("form.answer")?.requestSubmit(),
    n: () => all[at]?.querySelector(".note")?.focus(),
    enter: () => all[at] === document.activeElement && all[at].querySelector("h3 a").click(),
  };
  if (key in acts && !(key === "enter" && document.activeElement?.matches("a, button"))) {
    event.preventDefault();
    acts[key]();
  }
}
