// One device: its newest trace, heart rate and rhythm of the last hours, burdens, quality, alerts; snooze and limits for who may.

import { others, probabilities } from "./alert.js";
import { h, say } from "./elements.js";
import * as live from "./live.js";
import { scrolled } from "./paper.js";
import { ask, failed, may, tell } from "./server.js";
import { showTrend } from "./trend.js";
import { clock, kindName, kindNames, lateness, percent, rate, reasonNames, rhythmText, span, when } from "./words.js";

const SILENT_US = 30e6;
const OLD_TRACE_US = 15e6;
const REFRESH_MS = 30000;
const LIMITS = [["high_rate_bpm", "Heart rate above [/min]", 60, 250], ["low_rate_bpm", "Heart rate below [/min]", 20, 90], ["pause_s", "Pause longer than [s]", 2, 10]];

const card = (name, value, note) => h("div", { class: "card" }, h("span", { class: "quiet" }, name), h("b", {}, value), note ? h("small", { class: "quiet" }, note) : null);

function form(title, fields, send) {
  const said = h("p", { role: "status", class: "quiet" });
  return h("form", { class: "order", onsubmit: async (event) => {
    event.preventDefault();
    try {
      await send(new FormData(event.target));
      say(said, "Sent.");
    } catch (error) {
      say(said, failed("Not sent", error));
    }
  } }, h("h3", {}, title), fields, h("button", {}, title), said);
}

function orders(id, settings) {
  const path = `/api/devices/${encodeURIComponent(id)}`;
  const snooze = may("acknowledge") ? form("Snooze", [
    h("label", {}, "Kind ", h("select", { name: "kind", required: true }, h("option", { value: "" }, "choose"), kindNames().map((k) => h("option", { value: k }, kindName(k))))),
    h("label", {}, "for ", h("select", { name: "seconds" }, [[900, "15 min"], [1800, "30 min"], [3600, "1 h"], [14400, "4 h"], [28800, "8 h"], [0, "end snooze"]].map(([v, t]) => h("option", { value: v }, t)))),
    h("label", {}, "Note ", h("input", { name: "note", maxlength: 2000 })),
  ], (data) => tell(`${path}/snooze`, { kind: data.get("kind"), seconds: Number(data.get("seconds")), note: data.get("note") })) : null;
  const limits = may("configure") ? form("Set limits", LIMITS.map(([name, words, min, max]) => h("label", {}, `${words} `, h("input", { name, type: "number", step: "any", min, max, placeholder: "as configured", value: settings?.limits?.[name] ?? "" }))), (data) => {
    const own = Object.fromEntries(LIMITS.map(([name]) => [name, data.get(name)]).filter(([, v]) => v !== "").map(([n, v]) => [n, Number(v)]));
    const kept = Object.fromEntries(Object.entries(settings?.limits ?? {}).filter(([name]) => !LIMITS.some(([n]) => n === name)));
    return tell(`${path}/settings`, { limits: { ...kept, ...own }, kinds: settings?.kinds ?? {} });
  }) : null;
  return snooze || limits ? h("section", { class: "orders screen-only" }, h("h2", {}, "Alarm settings"), h("div", { class: "columns" }, snooze, limits)) : null;
}

export async function show(main, id) {
  let detail = await ask(`/api/devices/${encodeURIComponent(id)}`);
  document.title = `${id} · Device`;
  const parts = Object.fromEntries(["head", "burden", "trace", "traceAge", "trend", "why", "others"].map((n) => [n, h("div", { class: n })]));
  main.replaceChildren(parts.head,
    h("section", {}, h("h2", {}, "Newest trace"), parts.traceAge, parts.trace),
    h("section", {}, h("h2", {}, "Heart rate and rhythm"), parts.trend, parts.burden),
    h("div", { class: "columns" }, h("section", {}, h("h2", {}, "Newest finding"), parts.why), h("section", {}, h("h2", {}, "Alerts"), parts.others)),
    orders(id, detail.settings) ?? "");

  const rateNode = h("b");
  const rhythmNode = h("span", { class: "rhythm" });
  const heardNode = h("span", { class: "heard" });
  const lateNode = h("p", { class: "late", role: "status", hidden: true });
  parts.head.append(h("header", { class: "title" }, h("div", {}, h("h1", {}, id), h("p", {}, rhythmNode, " · ", heardNode), lateNode), h("p", { class: "big-rate" }, rateNode, h("small", {}, " /min"))));
  let trace = detail.trace;
  let hours = null;

  const drawTrace = () => parts.trace.replaceChildren(trace ? scrolled(trace, main, { words: `Newest trace of ${id}.` }) : h("p", { class: "quiet" }, "No signal has come with the findings: the monitor sends it every ten seconds, and at once when a window shows something."));
  const tick = () => {
    const nowUs = live.nowUs();
    const now = live.devices.get(id) ?? detail;
    const age = nowUs - now.heard_us;
    const silent = age > SILENT_US;
    say(rateNode, silent ? "–" : rate(now.heart_rate_bpm));
    say(rhythmNode, silent ? "Silent" : `${rhythmText(now)}${now.reasons.length ? ` (${reasonNames(now.reasons)})` : ""}`);
    say(heardNode, silent ? `last heard ${when(now.heard_us, nowUs)}, ${span(age)} ago` : `heard ${span(age)} ago`);
    const late = silent ? 0 : lateness(now);
    lateNode.hidden = !late;
    if (late) say(lateNode, `Not now: what is shown was measured ${span(nowUs - now.end_us)} ago`);
    parts.head.classList.toggle("is-silent", silent);
    parts.head.classList.toggle("is-late", late > 0);
    if (!trace) return;
    const end = trace.start_us + (atob(trace.samples).length / 2 / trace.fs_hz) * 1e6;
    const ageUs = nowUs - Math.min(end, trace.heard_us); // a device's clock may be fast
    const old = ageUs > OLD_TRACE_US;
    say(parts.traceAge, old ? `Not live: this trace ends at ${when(end, nowUs)}, ${span(ageUs)} ago` : `Live, to ${clock(end)}`);
    parts.traceAge.className = old ? "traceAge old" : "traceAge";
    parts.trace.classList.toggle("old", old);
  };
  const drawDetail = async () => {
    const { burden } = detail;
    parts.burden.replaceChildren(h("div", { class: "cards" }, card("AF burden", percent(burden.af), "of readable time"), card("PVC burden", percent(burden.pvc), `of ${burden.beats} beats`), card("SVE burden", percent(burden.sve), "of beats"), card("Readable", percent(burden.readable), `of ${span(burden.heard_s * 1e6)} heard`)));
    parts.why.replaceChildren(...[probabilities("Acute rhythm", detail.acute_probabilities), probabilities("Rhythm", detail.rhythm_probabilities), h("p", { class: "quiet" }, `${detail.model} · session ${detail.session}`)].filter(Boolean));
    parts.others.replaceChildren(others(detail.alerts, null));
    if (detail.trend.at_s.length) {
      if (hours) hours(detail.trend);
      else hours = await showTrend(parts.trend, detail.trend);
    }
  };
  drawTrace();
  tick();
  live.on("trace", (next) => {
    trace = next;
    drawTrace();
    tick();
  });
  live.on("change", tick);
  setInterval(tick, 1000);
  setInterval(async () => {
    if (document.hidden || !live.status.live) return;
    try {
      detail = await ask(`/api/devices/${encodeURIComponent(id)}`);
      await drawDetail();
    } catch { /* the bar already says that the page isn't live */ }
  }, REFRESH_MS);
  await drawDetail();
}
