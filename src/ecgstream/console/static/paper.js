// ECG paper: 25 mm/s, 10 mm/mV, small squares of 1 mm (0.04 s, 0.1 mV), large ones of 5 mm; a 1 mV calibration mark before each line.
// Drawn as SVG in millimetres, so that it prints true to scale.

import { h, s } from "./elements.js";
import { BEATS, clock } from "./words.js";

export const MM_PER_S = 25;
const MM_PER_MV = 10;
const MARK_MM = 12.5; // room for the calibration mark
const TOP_MM = 7; // room for the beats
const BOTTOM_MM = 4.5; // room for the times
const MAX_MV = 3;
let serial = 0;

/** Samples in mV from a trace as the server sends it (base64 of little-endian int16). */
export function millivolts(trace) {
  const bytes = Uint8Array.from(atob(trace.samples), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length >> 1 }, (_, i) => (view.getInt16(2 * i, true) * trace.uv_per_lsb) / 1000);
}

function extent(signal) {
  const sorted = Float32Array.from(signal).sort();
  const at = (q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
  const clamp = (v, low, high) => Math.max(low, Math.min(high, v));
  return { low: clamp(Math.floor(at(0.001) * 2) / 2 - 0.2, -MAX_MV, -0.8), high: clamp(Math.ceil(at(0.999) * 2) / 2 + 0.2, 1.2, MAX_MV) };
}

function grid(name, width, height) {
  const pattern = (id, size, stroke, kind) => s("pattern", { id, width: size, height: size, patternUnits: "userSpaceOnUse" }, s("path", { d: `M ${size} 0 H 0 V ${size}`, class: kind, "stroke-width": stroke, fill: "none" }));
  return [
    s("defs", {}, pattern(`${name}-1`, 1, 0.1, "fine"), pattern(`${name}-5`, 5, 0.22, "coarse")),
    s("rect", { width, height, class: "sheet" }),
    s("rect", { width, height, fill: `url(#${name}-1)` }),
    s("rect", { width, height, fill: `url(#${name}-5)` }),
    s("rect", { width, height, class: "edge", fill: "none", "stroke-width": 0.3 }),
  ];
}

function line(trace, signal, range, from, seconds, marks) {
  const name = `paper-${(serial += 1)}`;
  const width = MARK_MM + seconds * MM_PER_S;
  const height = Math.ceil((TOP_MM + (range.high - range.low) * MM_PER_MV + BOTTOM_MM) / 5) * 5;
  const zero = TOP_MM + range.high * MM_PER_MV;
  const y = (mv) => zero - Math.max(range.low, Math.min(range.high, mv)) * MM_PER_MV;
  const fs = trace.fs_hz;
  const first = Math.round(from * fs);
  const last = Math.min(signal.length, Math.round((from + seconds) * fs) + 1);
  let d = "";
  for (let i = first; i < last; i += 1) d += `${i === first ? "M" : "L"}${(MARK_MM + (i / fs - from) * MM_PER_S).toFixed(2)} ${y(signal[i]).toFixed(2)}`;
  const x = (us) => MARK_MM + ((us - trace.start_us) / 1e6 - from) * MM_PER_S;
  const inside = (us) => us >= trace.start_us + from * 1e6 && us < trace.start_us + (from + seconds) * 1e6;
  const beats = trace.beats.filter((b) => inside(b[0])).map(([us, kind]) => s("g", { class: `beat beat-${kind}` },
    s("path", { d: `M${x(us).toFixed(2)} ${TOP_MM - 2.2} v1.8`, "stroke-width": 0.35 }),
    s("text", { x: x(us).toFixed(2), y: TOP_MM - 3, "text-anchor": "middle", "font-size": kind === "V" || kind === "S" ? 4 : 3 }, kind)));
  const flags = marks.filter((m) => inside(m.us)).map((m) => s("g", { class: `onset ${m.kind}` },
    s("path", { d: `M${x(m.us).toFixed(2)} 0 V${height}`, "stroke-width": 0.5, "stroke-dasharray": m.kind === "end" ? "1.5 1" : null }),
    s("text", { x: (x(m.us) + 0.8).toFixed(2), y: height - 5.2, "font-size": 3.4 }, m.words)));
  const times = [];
  for (let second = Math.ceil(from); second < from + seconds; second += 1) {
    const at = MARK_MM + (second - from) * MM_PER_S;
    times.push(s("path", { d: `M${at} ${height} v-1.4`, class: "second", "stroke-width": 0.3 }));
    if (second === Math.ceil(from) || second % (seconds > 10 ? 2 : 5) === 0) times.push(s("text", { x: at + 0.5, y: height - 1.5, "font-size": 2.8, class: "time" }, clock(trace.start_us + second * 1e6)));
  }
  return s("svg", { class: "line", viewBox: `0 0 ${width} ${height}`, style: null, width: `${width}mm`, height: `${height}mm`, "aria-hidden": "true" },
    ...grid(name, width, height), times,
    s("path", { class: "calibration", d: `M2.5 ${zero} h2.5 v-${MM_PER_MV} h5 v${MM_PER_MV} h2.5`, "stroke-width": 0.4, fill: "none" }),
    s("path", { class: "signal", d, "stroke-width": 0.36, fill: "none", "stroke-linejoin": "round" }), beats, flags);
}

const SHORT_S = 5;

/** The paper in a box that scrolls: lines as long as the width allows, or on a phone one line to swipe, begun at `showUs`. */
export function scrolled(trace, place, { showUs = null, ...options }) {
  const fit = secondsFor(place);
  const whole = fit < SHORT_S;
  const box = h("div", { class: "scroll", tabindex: whole ? "0" : null }, paper(trace, { ...options, seconds: whole ? 60 : fit }));
  if (whole) {
    requestAnimationFrame(() => {
      const mm = box.querySelector("svg").clientWidth / box.querySelector("svg").viewBox.baseVal.width;
      const at = showUs === null ? Infinity : (showUs - trace.start_us) / 1e6;
      box.scrollLeft = at === Infinity ? box.scrollWidth : Math.max(0, (at - 1) * MM_PER_S * mm);
    });
  }
  return box;
}

/** How many seconds fit a line of the element's width (2 to 10). */
export const secondsFor = (element) => Math.max(2, Math.min(10, Math.floor((element.clientWidth / 3.7795 - MARK_MM - 1) / MM_PER_S)));

/**
 * The trace on paper: `seconds` a line; `marks` are {us, words, kind}. Read out as one sentence.
 */
export function paper(trace, { seconds, marks = [], words = "" }) {
  const signal = millivolts(trace);
  const range = extent(signal);
  const length = signal.length / trace.fs_hz;
  const lines = [];
  for (let from = 0; from < length - 0.05; from += seconds) lines.push(line(trace, signal, range, from, Math.min(seconds, Math.max(1, length - from)), marks));
  const counts = Object.entries(BEATS).map(([kind, name]) => [trace.beats.filter((b) => b[1] === kind).length, name, kind]).filter(([n]) => n > 0);
  const read = `${words} ECG strip of ${Math.round(length)} seconds from ${clock(trace.start_us)}. ${counts.map(([n, name]) => `${n} ${name}`).join(", ")} beats.`;
  return h("figure", { class: "paper", role: "img", "aria-label": read }, lines,
    h("figcaption", {}, `25 mm/s, 10 mm/mV, filtered 0.6–40 Hz. Small square 0.04 s × 0.1 mV. `, seconds > 10 ? "Swipe for the rest. " : "", counts.length ? counts.map(([n, name, kind]) => h("span", { class: `key beat-${kind}` }, h("b", {}, kind), ` ${name} (${n}) `)) : "No beats marked."));
}
