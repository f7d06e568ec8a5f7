// One alert: its strip on paper, what was measured, what came before and after, every revision and answer. Made to be printed.

import { answered, answerForm } from "./answer.js";
import { h, say } from "./elements.js";
import * as live from "./live.js";
import { paper, scrolled } from "./paper.js";
import { ask } from "./server.js";
import { priorityWords, symbol } from "./symbols.js";
import { showTrend } from "./trend.js";
import { beyond, evidenceRows, full, kindName, percent, rate, reasonNames, rhythmName, span, STATES, when } from "./words.js";

const RETRY_MS = 3000;
const facts = (rows) => h("dl", { class: "facts" }, rows.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));

/** Class probabilities as bars, largest first. */
export function probabilities(title, values) {
  const rows = Object.entries(values ?? {}).filter(([, p]) => typeof p === "number").sort((a, b) => b[1] - a[1]).slice(0, 6);
  if (!rows.length) return null;
  return h("div", { class: "probabilities" }, h("h3", {}, title), h("table", {}, h("tbody", {}, rows.map(([name, p]) => h("tr", {}, h("th", { scope: "row" }, rhythmName(name)), h("td", {}, h("meter", { min: 0, max: 1, value: p, "aria-label": `${rhythmName(name)} ${percent(p)}` })), h("td", { class: "number" }, percent(p)))))));
}

const isTable = (value) => value && typeof value === "object" && !Array.isArray(value);

function evidence(alert) {
  const given = alert.evidence ?? {};
  const tables = Object.entries(given).filter(([name, v]) => isTable(v) && name.includes("probabilit"));
  const rest = evidenceRows(Object.fromEntries(Object.entries(given).filter(([name, v]) => !(isTable(v) && name.includes("probabilit")))));
  const near = alert.finding;
  const shown = tables.length || !near ? tables.map(([name, v]) => probabilities(name === "probabilities" ? "Class probabilities" : name.replaceAll("_", " "), v)) : [probabilities("Acute rhythm at onset", near.acute_probabilities), probabilities("Rhythm at onset", near.rhythm_probabilities)];
  return [shown, rest.length ? h("div", {}, h("h3", {}, "Evidence"), facts(rest)) : null];
}

function revisions(alert) {
  return h("div", { class: "scroll" }, h("table", { class: "lines cards-on-phone" }, h("thead", {}, h("tr", {}, ["No.", "Time", "State", "Priority", "Heart rate", "What"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", {}, alert.revisions.map((r) => h("tr", {}, [["No.", r.revision], ["Time", when(r.at_us, live.nowUs())], ["State", STATES[r.state] ?? r.state], ["Priority", r.priority], ["Heart rate", rate(r.heart_rate_bpm)]].map(([name, text]) => h("td", { "data-name": name }, text)), h("td", { "data-name": "What" }, r.acknowledgement && r.state === "acknowledged" ? `by ${r.acknowledgement.by}${r.acknowledgement.note ? `: ${r.acknowledgement.note}` : ""}` : r.message))))));
}

/** A list of other alerts of the same device. */
export function others(list, onsetUs) {
  if (!list.length) return h("p", { class: "quiet" }, `No ${onsetUs ? "other " : ""}alerts of this device are kept.`);
  return h("ul", { class: "others" }, list.slice(0, 12).map((a) => h("li", {}, symbol(a, 18), " ", h("a", { href: `/alerts/${encodeURIComponent(a.alert_id)}` }, kindName(a.kind)), ` ${when(a.onset_us, live.nowUs())}`, onsetUs ? h("span", { class: "quiet" }, a.onset_us < onsetUs ? ` (${span(onsetUs - a.onset_us)} before)` : ` (${span(a.onset_us - onsetUs)} after)`) : null, a.ended ? h("span", { class: "quiet" }, " over") : h("b", {}, " going on"))));
}

function strips(alert, place) {
  if (!alert.trace) return [h("p", { class: "quiet" }, "This alert carries no strip.")];
  const marks = [{ us: alert.onset_us, words: "onset", kind: "onset" }];
  if (alert.end_us) marks.push({ us: alert.end_us, words: "end", kind: "end" });
  const words = `${kindName(alert.kind)}.`;
  const screen = h("div", { class: "screen-only" }, scrolled(alert.trace, place, { showUs: alert.onset_us, marks, words }));
  const print = h("div", { class: "print-only" }, paper(alert.trace, { seconds: 10, marks, words }));
  return [screen, print];
}

function draw(main, alert) {
  const state = h("div", { class: "state" }, answered(alert) ?? h("p", { class: "timer" }, ""), answerForm(alert));
  const place = h("section", { class: "strip" }, h("h2", {}, "Strip"));
  const around = h("div");
  const onset = alert.end_us ? `${full(alert.onset_us)}, lasted ${span(alert.end_us - alert.onset_us)}` : `${full(alert.onset_us)}, going on`;
  const near = alert.finding;
  main.replaceChildren(
    h("header", { class: `title ${alert.priority} ${alert.category}` }, symbol(alert, 56),
      h("div", {}, h("h1", {}, kindName(alert.kind)), h("p", {}, h("a", { href: `/devices/${encodeURIComponent(alert.device_id)}` }, alert.device_id), ` · ${priorityWords(alert)} · ${alert.ended ? "Over" : "Going on"}${alert.recurrences ? ` · came again ${alert.recurrences}×` : ""}${alert.escalations ? ` · escalated ${alert.escalations}×` : ""}`), beyond(alert) ? h("p", { class: "message" }, beyond(alert)) : null),
      h("p", { class: "big-rate" }, h("b", {}, rate(alert.heart_rate_bpm)), h("small", {}, " /min")), h("button", { class: "plain screen-only", type: "button", onclick: () => print() }, "Print")),
    state, place,
    h("div", { class: "columns" },
      h("section", {}, h("h2", {}, "Measured"), facts([["Onset", onset], ["Detected", `${full(alert.detected_us)} (${span(alert.detected_us - alert.onset_us)} after onset)`], ["Heart rate", alert.heart_rate_bpm === null ? "not known" : `${rate(alert.heart_rate_bpm)} /min`], ["Signal quality", near ? `${near.quality}${near.reasons.length ? ` (${reasonNames(near.reasons)})` : ""}` : null], ["Alert", alert.alert_id], ["Session, window", `${alert.session}, ${alert.first_window}`], ["Model", alert.model], ["Configuration", alert.configuration]])),
      h("section", {}, h("h2", {}, "Why"), evidence(alert))),
    h("section", {}, h("h2", {}, "Before and after"), around, others(alert.others, alert.onset_us)),
    h("section", {}, h("h2", {}, "Revisions"), revisions(alert), alert.acks.length ? [h("h3", {}, "Answers"), h("ul", {}, alert.acks.map((a) => h("li", {}, `${full(a.at_us)} ${a.by}`, a.note ? h("q", {}, a.note) : null)))] : null),
    h("footer", { class: "print-only" }, `Printed ${full(live.nowUs())}. ecgstream is not a certified medical device.`));
  place.append(...strips(alert, main));
  if (alert.around?.at_s.length) showTrend(around, alert.around, { markUs: alert.onset_us, heightPx: 190 }).catch((error) => say(around, error.message));
  return state;
}

export async function show(main, id) {
  const path = `/api/alerts/${encodeURIComponent(id)}`;
  let alert = await ask(path);
  document.title = `${kindName(alert.kind)} · ${alert.device_id}`;
  let state = draw(main, alert);
  const again = async () => {
    const typed = main.querySelector(".note")?.value ?? "";
    alert = await ask(path);
    if (main.contains(document.activeElement) && document.activeElement.matches(".note")) {
      state.firstChild.replaceWith(answered(alert) ?? h("p", { class: "timer" }, "")); // leave the form to whoever types in it
      return;
    }
    state = draw(main, alert);
    const note = main.querySelector(".note");
    if (note) note.value = typed;
  };
  let waiting = null;
  const follow = () => again().catch(() => { waiting ??= setTimeout(() => { waiting = null; follow(); }, RETRY_MS); });
  const change = () => {};
  change.alert = (changed) => { if (changed.alert_id === id) follow(); };
  live.on("change", change);
  live.on("snapshot", () => { // what came while the page heard nothing
    const now = live.alerts.get(id);
    if (now ? now.revision !== alert.revision || JSON.stringify(now.pending) !== JSON.stringify(alert.pending) : alert.open) follow();
  });
  setInterval(() => {
    const timer = state.querySelector(".timer");
    if (timer) say(timer, `Unanswered ${span(live.nowUs() - alert.detected_us)}`);
  }, 1000);
}
