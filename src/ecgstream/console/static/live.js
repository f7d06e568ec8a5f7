// The live events: one stream a page, with a beat every two seconds. No beat, or a server that has lost its log, makes the page stale,
// and a stale page says so. Each connection starts with a snapshot, so that nothing is missed by reconnecting.

import { person } from "./server.js";
import { LATE_US } from "./words.js";

const STALE_MS = 6000;
const HIDDEN_MS = 60000;
const SILENT_US = 60e6;
const HEARD_US = 30e6;

export const alerts = new Map(); // open alerts by id
export const devices = new Map(); // devices' tiles by id
export const CONNECTING = "Connecting…";
export const status = { live: false, problem: CONNECTING, notice: "", ready: false, sound: false }; // sound: alarms are to be heard here

const listeners = { change: [], snapshot: [], trace: [], status: [] };
let source = null;
let lastBeatMs = 0;
let triedMs = 0;
let offsetUs = 0;
let timer = null;
let hiddenSinceMs = null;
let path = "/api/live";

/** Call `act` after changes ("change"), with each connection's first picture ("snapshot"), for a device's signal ("trace"), when the page turns stale or live ("status"). */
export const on = (what, act) => listeners[what].push(act);

/** The server's clock, UTC microseconds. */
export const nowUs = () => Date.now() * 1000 + offsetUs;

function changed() {
  // Not an animation frame: those stop in hidden tabs, where the title must still change.
  timer ??= setTimeout(() => {
    timer = null;
    status.ready = true;
    for (const act of listeners.change) act();
  }, 50);
}

function setStatus(live, problem, notice = "") {
  if (status.live === live && status.problem === problem && status.notice === notice) return;
  Object.assign(status, { live, problem, notice });
  for (const act of listeners.status) act(status);
}

function beat({ now_us: serverUs, feed, last_finding_us: heardUs }) {
  lastBeatMs = Date.now();
  offsetUs = serverUs - lastBeatMs * 1000;
  if (!feed.live) return setStatus(false, `The console has lost the alert log (${feed.detail}). New alerts do not arrive here.`);
  if (!feed.caught_up) return setStatus(true, "", "Reading the alert log; the list is not yet complete.");
  return setStatus(true, "", notice(serverUs, heardUs));
}

function notice(serverUs, heardUs) {
  if (devices.size > 0 && heardUs !== null && serverUs - heardUs > SILENT_US) return "No device has been heard for over a minute: is the monitor running?";
  const behind = [...devices.values()].filter((d) => serverUs - d.heard_us < HEARD_US).map((d) => d.heard_us - d.end_us).filter((us) => us > -LATE_US); // a clock that is fast tells nothing
  if (behind.length < 2) return "";
  const least = Math.min(...behind); // one late device is its own affair, all of them together are not
  return least > LATE_US ? `Everything is shown ${Math.round(least / 1e6)} s late or more: the monitor lags, or the devices' clocks are slow.` : "";
}

function takeAlert(alert) {
  const known = alerts.get(alert.alert_id);
  if (known && known.revision > alert.revision) return;
  if (alert.open) alerts.set(alert.alert_id, alert);
  else alerts.delete(alert.alert_id);
}

function connect() {
  source?.close();
  triedMs = Date.now();
  const own = new EventSource(path);
  source = own;
  const take = (name, act) => own.addEventListener(name, (event) => act(JSON.parse(event.data)));
  // Somebody signed in beside this page, or the console was restarted: under the old token nothing would be taken.
  take("session", ({ csrf }) => { if (csrf !== person.csrf) location.reload(); });
  take("beat", beat);
  take("inbox", (list) => {
    alerts.clear();
    list.forEach(takeAlert);
    changed();
    for (const act of listeners.snapshot) act();
  });
  take("ward", (list) => {
    devices.clear();
    for (const device of list) devices.set(device.device_id, device);
    changed();
  });
  take("devices", (list) => {
    for (const device of list) devices.set(device.device_id, device);
    changed();
  });
  take("alert", (alert) => {
    takeAlert(alert);
    changed();
    for (const act of listeners.change) act.alert?.(alert);
  });
  take("trace", (trace) => listeners.trace.forEach((act) => act(trace)));
  own.onerror = async () => {
    if (own.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    const answer = await fetch("/api/me").catch(() => null);
    if (answer?.status === 401) setStatus(false, "Your session has ended. Sign in again to see alerts.");
    setTimeout(() => { if (source === own) connect(); }, 3000);
  };
}

function watch() {
  const ageMs = Date.now() - lastBeatMs;
  if (ageMs > STALE_MS && !status.problem.startsWith("Your session")) {
    const since = new Date(lastBeatMs).toLocaleTimeString([], { hour12: false });
    setStatus(false, `No connection to the console since ${since}. What you see is old; new alerts do not arrive here.`);
  }
  if (source && Math.min(ageMs, Date.now() - triedMs) > STALE_MS) connect(); // a connection that fell silent doesn't say so by itself
  if (hiddenSinceMs && source && Date.now() - hiddenSinceMs > HIDDEN_MS && document.body.dataset.page !== "inbox" && !status.sound) {
    source.close(); // browsers allow few streams to one server; the inbox and whoever listens keep theirs
    source = null;
  }
}

/** Start; `deviceId` also asks for that device's signal. */
export function start(deviceId) {
  if (deviceId) path = `/api/live?device=${encodeURIComponent(deviceId)}`;
  lastBeatMs = Date.now(); // so that a page which never gets a beat says so, too
  connect();
  setInterval(watch, 500);
  document.addEventListener("visibilitychange", () => {
    hiddenSinceMs = document.hidden ? Date.now() : null;
    if (!document.hidden && source === null) connect();
  });
}
