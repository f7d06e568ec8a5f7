// The console itself, for who may configure: feed, counts and what was dropped, who is signed in, the newest of the audit trail.

import { h, say } from "./elements.js";
import * as live from "./live.js";
import { ask, failed, tell } from "./server.js";
import { when } from "./words.js";

const facts = (table) => h("dl", { class: "facts" }, Object.entries(table).filter(([, value]) => value !== "").map(([name, value]) => [h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, value === null ? "not known" : typeof value === "boolean" ? (value ? "yes" : "no") : typeof value === "object" ? Object.entries(value).map(([k, v]) => `${k.replaceAll("_", " ")} ${v}`).join(", ") : String(value))]));
const table = (heads, rows) => h("div", { class: "scroll" }, h("table", { class: "lines cards-on-phone" }, h("thead", {}, h("tr", {}, heads.map((t) => h("th", { scope: "col" }, t)))), h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((c, i) => h("td", { "data-name": heads[i] || null }, c)))))));

export async function show(main) {
  const draw = async () => {
    const now = await ask("/api/system");
    const said = h("p", { role: "status" });
    const end = (session) => h("button", { type: "button", onclick: async () => {
      try {
        await tell("/api/system/end-session", { session });
        await draw();
      } catch (error) {
        say(said, failed("Not ended", error));
      }
    } }, "End");
    main.replaceChildren(h("h1", {}, "System"), said,
      h("div", { class: "columns" }, h("section", {}, h("h2", {}, "Alert log"), facts(now.feed)), h("section", {}, h("h2", {}, "Kept and dropped"), facts({ ...now.totals, audit: now.audit }))),
      h("section", {}, h("h2", {}, "Signed in"), table(["Name", "Role", "Address", "Seen", "Until", ""], now.sessions.map((s) => [s.name, s.role, s.address, when(s.seen_us, live.nowUs()), when(s.until_s * 1e6, live.nowUs()), end(s.session)]))),
      h("section", {}, h("h2", {}, "Audit trail"), table(["Time", "Who", "What", "Of what", "Outcome", "Address"], now.recent.map((e) => [when(e.at_us, live.nowUs()), e.actor, e.action, e.target, e.outcome, e.address]))));
  };
  await draw();
}
