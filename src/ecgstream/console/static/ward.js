// The ward: every device as a tile, the most troubled first. Tiles are kept and only what changed is touched; those out of sight
// cost the browser no layout (content-visibility).

import { arrange, h, say } from "./elements.js";
import * as live from "./live.js";
import { priorityWords, symbol } from "./symbols.js";
import { lateness, rate, reasonNames, rhythmText, shortKind, span } from "./words.js";

export const SILENT_US = 30e6;
const SORT_MS = 2000;
const RANK = { high: 0, medium: 1, low: 3 };
const QUIET = new Set(["sinus", "paced"]);

/** How a device stands: [rank, words]; lower is worse. */
export function trouble(device, alert, nowUs) {
  if (alert && alert.category !== "technical") {
    const isAnswered = alert.acknowledgement || alert.pending;
    return [isAnswered ? (alert.priority === "high" ? 2 : 4) : RANK[alert.priority], "alert"];
  }
  if (alert) return [5, "technical"];
  if (nowUs - device.heard_us > SILENT_US) return [6, "silent"];
  if (lateness(device)) return [6, "late"];
  if (device.quality === "unreadable") return [7, "unreadable"];
  if (!QUIET.has(device.rhythm) || device.quality === "rate-only") return [8, "watch"];
  return [9, "quiet"];
}

function tile(id) {
  const parts = { mark: h("span", { class: "mark" }), rate: h("b", { class: "rate" }), rhythm: h("span", { class: "rhythm" }), line: h("span", { class: "line" }) };
  const link = h("a", { href: `/devices/${encodeURIComponent(id)}` }, h("span", { class: "head" }, h("span", { class: "id" }, id), parts.mark), h("span", { class: "body" }, parts.rate, parts.rhythm), parts.line);
  return { node: h("li", { class: "tile" }, link), parts, key: "", rank: 9 };
}

function update(t, device, alert, nowUs) {
  const [rank, kind] = trouble(device, alert, nowUs);
  const age = nowUs - device.heard_us;
  const silent = age > SILENT_US;
  const late = silent ? 0 : lateness(device);
  const note = alert ? shortKind(alert.kind) : silent ? `Not heard for ${span(age)}` : late ? `${span(late)} behind` : device.reasons.length && device.quality !== "full" ? reasonNames(device.reasons) : "";
  const key = `${rank} ${kind} ${silent} ${late > 0} ${note} ${device.heart_rate_bpm} ${device.rhythm} ${device.quality} ${alert?.priority} ${alert?.alert_id}`;
  t.rank = rank;
  t.onset = alert?.onset_us ?? 0;
  if (t.key === key) return;
  t.key = key;
  t.node.className = `tile at-${kind} ${alert?.priority ?? ""} ${silent ? "is-silent" : late ? "is-late" : ""} ${rank <= 3 && rank !== 2 ? "unanswered" : ""}`;
  t.parts.mark.replaceChildren(...(alert ? [symbol(alert, 20)] : []));
  say(t.parts.rate, silent ? "–" : rate(device.heart_rate_bpm));
  say(t.parts.rhythm, silent ? "Silent" : rhythmText(device));
  say(t.parts.line, note);
  t.node.firstChild.title = alert ? priorityWords(alert) : "";
}

export async function show(main) {
  const tiles = new Map();
  const filter = h("input", { type: "search", placeholder: "Find a device", "aria-label": "Find a device", oninput: () => draw(true) });
  const only = h("input", { type: "checkbox", onchange: () => draw(true) });
  const sums = h("p", { class: "sums", role: "status" });
  const grid = h("ul", { class: "ward", "aria-label": "Devices, most troubled first" });
  const none = h("p", { class: "none", hidden: true }, "No device has been heard yet.");
  main.replaceChildren(h("div", { class: "line-up" }, h("h1", {}, "Ward"), sums, h("span", { class: "tools" }, filter, h("label", {}, only, " trouble only"))), none, grid);
  let sortedMs = 0;

  function draw(force) {
    const nowUs = live.nowUs();
    const worst = new Map();
    for (const alert of live.alerts.values()) {
      const known = worst.get(alert.device_id);
      const weight = (a) => (a.category === "technical" ? 10 : 0) + (a.acknowledgement ? 5 : 0) + { high: 0, medium: 1, low: 2 }[a.priority];
      if (!known || weight(alert) < weight(known)) worst.set(alert.device_id, alert);
    }
    for (const id of tiles.keys()) if (!live.devices.has(id)) tiles.delete(id);
    const sum = { alert: 0, technical: 0, silent: 0, late: 0, unreadable: 0, watch: 0, quiet: 0 };
    let fresh = false;
    for (const [id, device] of live.devices) {
      if (!tiles.has(id)) {
        tiles.set(id, tile(id));
        fresh = true;
      }
      const t = tiles.get(id);
      const before = t.rank;
      update(t, device, worst.get(id), nowUs);
      fresh ||= t.rank < before && t.rank <= 1;
      sum[trouble(device, worst.get(id), nowUs)[1]] += 1;
    }
    say(sums, `${live.devices.size} devices: ${sum.alert} with alerts, ${sum.technical + sum.silent} technical or silent, ${sum.late ? `${sum.late} behind, ` : ""}${sum.unreadable} unreadable, ${sum.watch} not in sinus rhythm, ${sum.quiet} quiet`);
    none.hidden = live.devices.size > 0;
    if (!force && !fresh && Date.now() - sortedMs < SORT_MS) return;
    if (!force && !fresh && grid.matches(":hover")) return; // don't move tiles under the pointer for little
    sortedMs = Date.now();
    const text = filter.value.trim().toLowerCase();
    const wanted = [...tiles].filter(([id, t]) => (!text || id.toLowerCase().includes(text)) && (!only.checked || t.rank < 9));
    wanted.sort(([a, ta], [b, tb]) => ta.rank - tb.rank || (ta.rank <= 5 ? tb.onset - ta.onset : 0) || (a < b ? -1 : 1));
    arrange(grid, wanted.map(([, t]) => t.node));
  }
  live.on("change", () => draw(false));
  setInterval(() => draw(false), 1000);
  if (live.status.ready) draw(true);
}
