// Building the page: elements from values. Text only ever becomes text nodes, so that nothing in a record can become markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.setAttribute("class", value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

/** An HTML element: h("p", {class: "quiet"}, "text", child). */
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element. */
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Set a node's text when it differs (an unchanged page costs no layout). */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Bring a parent's children into an order without moving the one that holds the focus: whoever is typing keeps typing.
 * Returns whether anything moved.
 */
export function arrange(parent, wanted) {
  const keep = new Set(wanted);
  let moved = false;
  for (const child of [...parent.children]) {
    if (!keep.has(child)) {
      child.remove();
      moved = true;
    }
  }
  const held = wanted.find((node) => node.parentNode === parent && node.contains(document.activeElement));
  let next = null;
  for (let i = wanted.length - 1; i >= 0; i -= 1) {
    const node = wanted[i];
    if (node.nextSibling !== next || node.parentNode !== parent) {
      if (node === held) {
        // what stands between it and its successor belongs before it and is put there further down
        while (held.nextSibling !== next) parent.insertBefore(held.nextSibling, held);
      } else parent.insertBefore(node, next);
      moved = true;
    }
    next = node;
  }
  return moved;
}
