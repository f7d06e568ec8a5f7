// Heart rate and rhythm, minute by minute: the rate's range as a band and its mean as a line, the rhythm as a strip of named colours
// below. A minute without a readable rate is a gap. Drawn by uPlot, which is loaded when a page needs it.

import { h } from "./elements.js";
import { clock, rhythmName } from "./words.js";

// Colours and, for whoever can't tell them apart, textures: 0 plain, 1 hatched, 2 dotted.
const BAND = {
  sinus: ["#7fb59a", 0], af: ["#b04ad8", 1], svt: ["#e08a1e", 1], bigeminy: ["#4c7fe0", 1], trigeminy: ["#62a8e8", 2],
  idioventricular: ["#c9683e", 2], junctional: ["#8a9a3b", 2], block: ["#c99a00", 2], paced: ["#7d8590", 0], vt: ["#d3202f", 1],
  vf: ["#9b0f1c", 1], asystole: ["#3a0a0e", 1], other: ["#8a7f70", 2], noise: ["#b9bdc4", 2],
};
const STRIP_PX = 26;
const INCREMENTS_S = [60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
let loading = null;

function load() {
  loading ??= new Promise((done, failed) => {
    const script = h("script", { src: "/static/uPlot.iife.min.js", onload: () => done(window.uPlot), onerror: () => failed(new Error("the chart could not be loaded")) });
    document.head.append(script);
  });
  return loading;
}

function withGaps(trend) {
  const names = ["at_s", "low", "mean", "high", "rhythm", "readable"];
  const out = Object.fromEntries(names.map((n) => [n, []]));
  trend.at_s.forEach((at, i) => {
    if (i > 0 && at - trend.at_s[i - 1] > 60) names.forEach((n) => out[n].push(n === "at_s" ? trend.at_s[i - 1] + 60 : null));
    names.forEach((n) => out[n].push(trend[n][i]));
  });
  return out;
}

function texture(ctx, kind, x, y, w, height) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(x, y, w, height);
  ctx.clip();
  ctx.strokeStyle = ctx.fillStyle = "rgba(255,255,255,.55)";
  ctx.lineWidth = 1.5;
  const step = 8;
  if (kind === 1) {
    ctx.beginPath();
    for (let at = Math.floor((x - height) / step) * step; at < x + w; at += step) {
      ctx.moveTo(at, y + height);
      ctx.lineTo(at + height, y);
    }
    ctx.stroke();
  } else {
    for (let at = Math.ceil(x / step) * step; at < x + w; at += step) ctx.fillRect(at, y + height / 2 - 1, 3, 3);
  }
  ctx.restore();
}

function strip(trend, scaleY) {
  return (u) => {
    const { ctx } = u;
    const ratio = devicePixelRatio || 1;
    const height = STRIP_PX * ratio * scaleY;
    const y = u.bbox.top + u.bbox.height - height;
    for (let i = 0; i < trend.at_s.length; ) {
      let end = i + 1;
      while (end < trend.at_s.length && trend.rhythm[end] === trend.rhythm[i] && trend.at_s[end] - trend.at_s[end - 1] <= 60) end += 1;
      const [x0, x1] = [u.valToPos(trend.at_s[i], "x", true), u.valToPos(trend.at_s[end - 1] + 60, "x", true)];
      const left = Math.max(u.bbox.left, x0);
      const width = Math.min(u.bbox.left + u.bbox.width, x1) - left;
      const name = trend.rhythm[i];
      if (name && width > 0) {
        const [colour, kind] = BAND[name] ?? BAND.other;
        ctx.fillStyle = colour;
        ctx.fillRect(left, y, width, height);
        if (kind) texture(ctx, kind, left, y, width, height);
        const words = rhythmName(name);
        ctx.font = `600 ${12 * ratio}px system-ui, sans-serif`;
        const textWidth = ctx.measureText(words).width;
        if (textWidth + 10 * ratio < width) {
          ctx.fillStyle = "rgba(0,0,0,.72)";
          ctx.fillRect(left + 3 * ratio, y + 4 * ratio, textWidth + 6 * ratio, height - 8 * ratio);
          ctx.fillStyle = "#fff";
          ctx.textBaseline = "middle";
          ctx.textAlign = "left";
          ctx.fillText(words, left + 6 * ratio, y + height / 2);
        }
      }
      i = end;
    }
  };
}

/** What a trend shows, in words. */
export function inWords(trend) {
  const minutes = {};
  trend.rhythm.forEach((r) => { const name = r ? rhythmName(r) : "not known"; minutes[name] = (minutes[name] ?? 0) + 1; });
  const rates = trend.mean.filter((r) => r !== null);
  const rhythms = Object.entries(minutes).sort((a, b) => b[1] - a[1]).map(([name, n]) => `${name} ${n} min`).join(", ");
  if (!rates.length) return `Rhythm: ${rhythms || "nothing yet"}. No heart rate.`;
  const lows = trend.low.filter((r) => r !== null);
  const highs = trend.high.filter((r) => r !== null);
  return `Heart rate ${Math.round(Math.min(...lows))} to ${Math.round(Math.max(...highs))} per minute. Rhythm: ${rhythms}.`;
}

/** Each minute as a step of its own: its values hold until the next minute, or to its end where none follows. */
function stepped(trend) {
  const n = trend.at_s.length;
  const last = (values) => [...values, values[n - 1]];
  return [[...trend.at_s, trend.at_s[n - 1] + 60], last(trend.low), last(trend.mean), last(trend.high)];
}

/** Put the trend into `place`; `markUs` marks a time. Returns a function that shows a newer trend. */
export async function showTrend(place, first, { markUs = null, heightPx = 230 } = {}) {
  const uPlot = await load();
  let chart = null;
  let shown = null;
  const words = h("p", { class: "quiet words" });
  const canvas = h("div", { class: "chart", role: "img" });
  place.replaceChildren(canvas, words);
  const draw = (raw) => {
    shown = raw;
    const trend = withGaps(raw);
    words.textContent = inWords(raw);
    canvas.setAttribute("aria-label", words.textContent);
    chart?.destroy();
    const style = getComputedStyle(document.body);
    const ink = style.getPropertyValue("--ink-2").trim();
    const faint = style.getPropertyValue("--line").trim();
    const blue = style.getPropertyValue("--rate").trim();
    const axis = { stroke: ink, grid: { stroke: faint, width: 1 }, ticks: { stroke: faint }, font: "12px system-ui, sans-serif" };
    const mark = (u) => {
      if (markUs === null) return;
      const x = u.valToPos(markUs / 1e6, "x", true);
      u.ctx.strokeStyle = style.getPropertyValue("--high").trim();
      u.ctx.lineWidth = 2 * (devicePixelRatio || 1);
      u.ctx.beginPath();
      u.ctx.moveTo(x, u.bbox.top);
      u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
      u.ctx.stroke();
    };
    const paths = uPlot.paths.stepped({ align: 1 });
    let bottom = 0;
    chart = new uPlot({
      width: Math.max(260, place.clientWidth), height: heightPx, legend: { show: false }, cursor: { drag: { x: false, y: false } },
      scales: { x: { range: (_, low, high) => [low, high] }, y: { range: (_, low, high) => { const top = Math.max(120, Math.ceil(((high ?? 100) + 8) / 20) * 20); bottom = Math.min(40, Math.floor(((low ?? 50) - 8) / 20) * 20); return [bottom - (top - bottom) * (STRIP_PX + 6) / (heightPx - STRIP_PX - 50), top]; } } },
      series: [{}, { stroke: "transparent", paths, points: { show: false } }, { stroke: blue, width: 2, paths, spanGaps: false, points: { show: false } }, { stroke: "transparent", paths, points: { show: false } }],
      bands: [{ series: [3, 1], fill: `color-mix(in srgb, ${blue} 22%, transparent)` }],
      axes: [{ ...axis, incrs: INCREMENTS_S, space: 56, values: (_, ticks) => ticks.map((t) => clock(t * 1e6).slice(0, 5)) }, { ...axis, size: 46, values: (_, ticks) => ticks.map((t) => (t < bottom || t < 20 ? "" : t)) }],
      hooks: { draw: [strip(trend, 1), mark] },
    }, stepped(trend), canvas);
  };
  draw(first);
  let waiting = null;
  new ResizeObserver(() => {
    clearTimeout(waiting);
    waiting = setTimeout(() => chart && place.clientWidth && chart.width !== Math.max(260, place.clientWidth) && draw(shown), 150);
  }).observe(place);
  return draw;
}
