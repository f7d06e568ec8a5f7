// The frame of every page: the bar, what is stale, and the page's own module.

import { h, say } from "./elements.js";
import * as live from "./live.js";
import { person, may } from "./server.js";
import { soundButton } from "./sound.js";
import { symbol } from "./symbols.js";

const body = document.body;
const page = body.dataset.page;
const id = decodeURIComponent(location.pathname.split("/")[2] ?? "");
const main = document.getElementById("main");
const stale = document.getElementById("stale");
const ownTitle = document.title;

// Theme: as the system has it, until somebody chooses.
const THEMES = ["auto", "dark", "light"];
const store = { get: (k) => { try { return localStorage.getItem(k); } catch { return null; } }, set: (k, v) => { try { localStorage.setItem(k, v); } catch { /* private window */ } } };
let theme = THEMES.includes(store.get("theme")) ? store.get("theme") : "auto";
const themeButton = h("button", { class: "plain", type: "button", onclick: () => setTheme(THEMES[(THEMES.indexOf(theme) + 1) % 3]) });
function setTheme(name) {
  theme = name;
  store.set("theme", name);
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  say(themeButton, { auto: "◐ Auto", dark: "● Dark", light: "○ Light" }[name]);
  themeButton.setAttribute("aria-label", `Colours: ${name}. Press to change.`);
}
setTheme(theme);

const liveMark = h("span", { class: "live-mark", role: "status" }, "Connecting…");
const counts = h("span", { class: "counts" });
const link = (href, name, at) => h("a", { href, "aria-current": page === at ? "page" : null }, name);
document.getElementById("bar").append(
  h("a", { class: "skip", href: "#main" }, "Skip to content"),
  h("nav", { "aria-label": "Pages" }, link("/", "Inbox", "inbox"), link("/ward", "Ward", "ward"), link("/history", "History", "history"), may("configure") ? link("/system", "System", "system") : null),
  counts, liveMark,
  h("span", { class: "tools" }, soundButton(), themeButton,
    person.signIn
      ? h("form", { method: "post", action: "/sign-out" }, h("input", { type: "hidden", name: "csrf", value: person.csrf }), h("span", { class: "person", title: `may ${person.role}` }, person.name), h("button", { class: "plain" }, "Sign out"))
      : h("span", { class: "person" }, "no sign-in")));

live.on("status", ({ live: isLive, problem, notice }) => {
  body.classList.toggle("stale", !isLive);
  stale.hidden = isLive && !notice;
  stale.className = isLive ? "notice" : "problem";
  const signIn = problem.startsWith("Your session") ? h("a", { href: `/sign-in?next=${encodeURIComponent(location.pathname)}` }, " Sign in") : "";
  stale.replaceChildren(isLive ? notice : h("strong", {}, "NOT LIVE "), isLive ? "" : problem, signIn);
  say(liveMark, isLive ? "● Live" : "✕ Not live");
  liveMark.className = `live-mark ${isLive ? "is-live" : "not-live"}`;
  showCounts();
});

function showCounts() {
  const open = [...live.alerts.values()].filter((a) => a.category !== "technical" && !a.acknowledgement && !a.pending);
  const n = (priority) => open.filter((a) => a.priority === priority).length;
  const [high, medium] = [n("high"), n("medium")];
  const title = live.status.live ? `${high ? `(${high}!!!) ` : medium ? `(${medium}!!) ` : ""}${ownTitle}` : `NOT LIVE · ${ownTitle}`;
  if (document.title !== title) document.title = title;
  const key = `${high} ${medium} ${n("low")}`;
  if (counts.dataset.key === key) return;
  counts.dataset.key = key;
  counts.replaceChildren(...["high", "medium", "low"].map((priority) => h("span", { class: "count", title: `${priority} priority, unanswered` }, symbol({ priority, category: "" }, 18), n(priority))));
}
live.on("change", showCounts);

try {
  const module = await import(`./${page}.js`);
  live.start(page === "device" ? id : null);
  await module.show(main, id);
} catch (error) {
  main.replaceChildren(h("p", { class: "problem", role: "alert" }, `This page could not be shown: ${error.message}`));
}
