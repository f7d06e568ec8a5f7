// Alarm symbols after IEC 60601-1-8: priority by colour, by shape and by the number of exclamation marks, never by colour alone.

import { s } from "./elements.js";

const SHAPES = {
  high: ["M16 2 L31 29 H1 Z", "!!!", 25],
  medium: ["M16 1 L31 16 L16 31 L1 16 Z", "!!", 20.5],
  low: ["M16 2 a14 14 0 1 0 .01 0 Z", "!", 21],
};
const WORDS = { high: "High priority", medium: "Medium priority", low: "Low priority" };

/** What a screen reader says and a tooltip shows. */
export const priorityWords = (alert) => `${WORDS[alert.priority] ?? alert.priority}${alert.category === "technical" ? ", technical" : ""}`;

/** The symbol of an alert's priority; technical ones are square-cornered boxes with the same marks. */
export function symbol(alert, size = 32) {
  const [path, marks, y] = SHAPES[alert.priority] ?? SHAPES.low;
  const technical = alert.category === "technical";
  const words = priorityWords(alert);
  return s("svg", { viewBox: "0 0 32 32", width: size, height: size, class: `symbol ${technical ? "technical" : ""} ${alert.priority}`, role: "img", "aria-label": words },
    s("title", {}, words),
    s("path", { d: technical ? "M2 4 H30 V28 H2 Z" : path, class: "shape" }),
    s("path", { d: technical ? "M2 4 H30 V28 H2 Z" : path, class: "rim" }),
    s("text", { x: 16, y: technical ? 21.5 : y, "text-anchor": "middle", class: "marks" }, marks));
}

/** A tick: answered. */
export const tick = () => s("svg", { viewBox: "0 0 16 16", width: 16, height: 16, class: "tick", "aria-hidden": "true" },
  s("path", { d: "M2 9l4 4 8-10", fill: "none", stroke: "currentColor", "stroke-width": 2.4 }));
