// The history: search by device, kind, priority and time; export what was found.

import { h, say } from "./elements.js";
import * as live from "./live.js";
import { ask } from "./server.js";
import { symbol } from "./symbols.js";
import { kindName, rate, span, standing, when } from "./words.js";

const option = (value, text) => h("option", { value }, text);
const toUs = (text) => (text ? String(new Date(text).getTime() * 1000) : "");

function line(a) {
  const ack = a.acknowledgement;
  return h("tr", {}, h("td", {}, symbol(a, 20)),
    h("td", { "data-name": "Onset" }, when(a.onset_us, live.nowUs())),
    h("td", { "data-name": "What" }, h("a", { href: `/alerts/${encodeURIComponent(a.alert_id)}` }, kindName(a.kind))),
    h("td", { "data-name": "Device" }, h("a", { href: `/devices/${encodeURIComponent(a.device_id)}` }, a.device_id)),
    h("td", { "data-name": "Rate", class: "number" }, rate(a.heart_rate_bpm)),
    h("td", { "data-name": "Lasted" }, a.end_us ? span(a.end_us - a.onset_us) : a.ended ? "over" : "going on"),
    h("td", { "data-name": "State" }, standing(a)),
    h("td", { "data-name": "Answered" }, ack ? [`${ack.by}, after ${span(ack.at_us - a.detected_us)}`, ack.note ? h("q", {}, ack.note) : null] : a.pending ? `sent by ${a.pending.by}` : "nobody"));
}

export async function show(main) {
  const fields = {
    device: h("input", { name: "device", placeholder: "exact id", maxlength: 64, list: "known-devices", autocomplete: "off" }), kind: h("select", { name: "kind" }, option("", "all")),
    priority: h("select", { name: "priority" }, option("", "all"), ["high", "medium", "low"].map((p) => option(p, p))),
    category: h("select", { name: "category" }, option("", "all"), option("physiological", "physiological"), option("technical", "technical")),
    from: h("input", { name: "from", type: "datetime-local" }), to: h("input", { name: "to", type: "datetime-local" }),
  };
  const rows = h("tbody");
  const said = h("p", { role: "status" });
  const known = h("datalist", { id: "known-devices" });
  const more = h("button", { type: "button", hidden: true }, "Older alerts");
  const exports = ["csv", "json"].map((form) => h("a", { class: "button", download: "" , "data-form": form }, `Export ${form.toUpperCase()}`));
  const search = h("form", { class: "search", onsubmit: (event) => { event.preventDefault(); find(); } },
    Object.entries({ device: "Device", kind: "Kind", priority: "Priority", category: "Category", from: "From", to: "To" }).map(([name, words]) => h("label", {}, words, " ", fields[name])),
    h("button", { class: "strong" }, "Search"), known);
  main.replaceChildren(h("h1", {}, "History"), search, h("div", { class: "found" }, said, exports), h("div", { class: "scroll" }, h("table", { class: "lines cards-on-phone" }, h("thead", {}, h("tr", {}, ["Priority", "Onset", "What", "Device", "Rate", "Lasted", "State", "Answered"].map((t) => h("th", { scope: "col", class: t === "Rate" ? "number" : null }, t)))), rows)), more);

  const query = (extra) => {
    const asked = { device: fields.device.value.trim(), kind: fields.kind.value, priority: fields.priority.value, category: fields.category.value, since_us: toUs(fields.from.value), until_us: toUs(fields.to.value), ...extra };
    return `/api/history?${new URLSearchParams(Object.entries(asked).filter(([, v]) => v))}`;
  };
  async function find(before) {
    try {
      const found = await ask(query({ before }));
      if (!before) rows.replaceChildren();
      rows.append(...found.alerts.map(line));
      if (fields.kind.options.length === 1) fields.kind.append(...found.kinds.map((k) => option(k, kindName(k))));
      more.hidden = !found.more;
      more.onclick = () => find(found.more);
      say(said, `${rows.children.length} alert${rows.children.length === 1 ? "" : "s"}${found.more ? ", and older ones" : ""}`);
      exports.forEach((a) => { a.href = query({ format: a.dataset.form }); });
    } catch (error) {
      say(said, `Not found: ${error.message}`);
    }
  }
  const list = () => {
    if (known.children.length !== live.devices.size) known.replaceChildren(...[...live.devices.keys()].sort().map((id) => option(id, id)));
  };
  live.on("change", list);
  list();
  await find();
}
