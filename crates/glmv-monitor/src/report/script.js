"use strict";
// Reads a chart back under the pointer: the numbers are in its paths, the scales in its data.
const SVG = "http://www.w3.org/2000/svg";
const short = (n) => (n === 0 ? "0" : Math.abs(n) < 1e-3 || Math.abs(n) >= 1e6 ? n.toExponential(2) : n.toPrecision(4));
const numbers = (text) => text.split(" ").map(Number);
const make = (svg, name, attributes) => {
  const node = document.createElementNS(SVG, name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  return svg.appendChild(node);
};
for (const svg of document.querySelectorAll("svg.chart")) {
  const [left, right, top, bottom] = numbers(svg.dataset.box);
  const [x0, x1] = numbers(svg.dataset.x);
  const [y0, y1] = numbers(svg.dataset.y);
  const lines = [...svg.querySelectorAll("path.line")].map((path) => ({
    name: path.dataset.name,
    points: path.getAttribute("d").split(/[ML]/).slice(1).map(numbers),
  }));
  if (!lines.length) continue;
  const clear = () => svg.querySelectorAll(".at,.cursor").forEach((node) => node.remove());
  svg.addEventListener("mouseleave", clear);
  svg.addEventListener("mousemove", (event) => {
    clear();
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    const near = lines.map(({ name, points }) => ({
      name,
      point: points.reduce((best, point) => (Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best)),
    }));
    const x = near.reduce((best, { point }) => (Math.abs(point[0] - at) < Math.abs(best - at) ? point[0] : best), Infinity);
    make(svg, "path", { class: "cursor", d: `M${x} ${top}V${bottom}` });
    const anchor = x > (left + right) / 2 ? "end" : "start";
    const side = anchor === "end" ? -6 : 6;
    const step = Math.round(x0 + ((x - left) / (right - left)) * (x1 - x0));
    const rows = near.map(({ name, point }) => {
      const value = y0 + ((bottom - point[1]) / (bottom - top)) * (y1 - y0);
      return lines.length > 1 ? `${name} ${short(value)}` : short(value);
    });
    [`step ${step}`, ...rows].forEach((text, row) => {
      make(svg, "text", { class: "at", x: x + side, y: top + 10 + 13 * row, "text-anchor": anchor }).textContent = text;
    });
  });
}
const domain = document.getElementById("domain");
if (domain) {
  domain.addEventListener("change", () => {
    for (const group of document.querySelectorAll("[data-domain]")) {
      group.hidden = domain.value !== "" && group.dataset.domain !== domain.value;
    }
  });
}
