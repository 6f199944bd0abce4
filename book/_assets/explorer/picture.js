// The picture of the explorer, in pixels of its own width, so that its text keeps its size on a phone.
(function () {
  "use strict";
  const Explorer = (window.Explorer = window.Explorer || {});
  const SVG = "http://www.w3.org/2000/svg";

  function element(parent, name, attributes = {}, text = null) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== null) node.textContent = text;
    parent.append(node);
    return node;
  }

  function ticks(low, high, most) {
    if (!(high > low)) return [low];
    const raw = (high - low) / most, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw);
    const out = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high * (1 + 1e-9); k++) out.push(k * step);
    return out;
  }

  // Numbers beside the axis, where seven letters have room: as powers of ten if one is longer.
  function written(values) {
    const short = values.map((v) => +v.toPrecision(6)), plain = short.map(String);
    const shown = plain.some((one) => one.length > 7) ? short.map((v) => (v === 0 ? "0" : v.toExponential())) : plain;
    return shown.map((one) => one.replaceAll("-", "−"));
  }

  // Labels that would cover one another are moved down, in order of height.
  function spread(labels, room, low, high) {
    labels.sort((a, b) => a.y - b.y);
    for (let i = 0; i < labels.length; i++) labels[i].y = Math.max(labels[i].y, i ? labels[i - 1].y + room : low);
    for (let i = labels.length - 1; i >= 0; i--) labels[i].y = Math.min(labels[i].y, i === labels.length - 1 ? high : labels[i + 1].y - room);
  }

  // Whether two boxes of {x, y, width, height} share a point.
  const meet = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

  // One panel. `lines`: {points: [[x, y]…], kind, title, from}; the part beyond x = `from` is drawn thin and dashed.
  function panel(svg, box, { lines, marks, chosen, xLabel, yLabel, title, xMost, supported }) {
    const all = [...lines.filter((line) => line.kind !== "bound").flatMap((line) => line.points), ...marks.map((mark) => [mark.x, mark.y])];
    // From both ends: what only falls reaches down from 0, and only what stays at 0 has no height of its own.
    const heights = all.map(([, y]) => y), bottom = 1.08 * Math.min(0, ...heights), highest = 1.08 * Math.max(0, ...heights);
    const top = highest > bottom ? highest : 1;
    const { left, right, above, below, side } = box;
    const x = (v) => left + ((right - left) * v) / xMost, y = (v) => below - ((below - above) * (v - bottom)) / (top - bottom);
    const clip = `explorer-clip-${Math.round(above)}-${svg.dataset.number}`;
    element(element(element(svg, "defs"), "clipPath", { id: clip }), "rect", { x: left, y: above - 6, width: right - left + 6, height: below - above + 6 });
    element(svg, "text", { x: left, y: above - 12, class: "title" }, title);
    if (supported < xMost) {
      const last = lines[0].points[lines[0].points.length - 1], low = y(last[1]) > (above + below) / 2;  // words keep off the line
      element(svg, "rect", { x: x(supported), y: above, width: x(xMost) - x(supported), height: below - above, class: "beyond" });
      element(svg, "text", { x: right - 4, y: low ? above + 16 : below - 8, class: "note", "text-anchor": "end" }, x(xMost) - x(supported) > 200 ? "beyond what the samples support" : x(xMost) - x(supported) > 80 ? "unsupported" : "");
    }
    for (const v of ticks(0, xMost, (right - left) / 70)) {
      element(svg, "line", { x1: x(v), x2: x(v), y1: above, y2: below, class: "grid" });
      element(svg, "text", { x: x(v), y: below + 18, class: "tick", "text-anchor": "middle" }, String(+v.toPrecision(6)));
    }
    const marked = ticks(bottom, top, (below - above) / 40), shown = written(marked);
    for (const [i, v] of marked.entries()) {
      element(svg, "line", { x1: left, x2: right, y1: y(v), y2: y(v), class: "grid" });
      const text = element(svg, "text", { x: left - 5, y: y(v) + 4, class: "tick", "text-anchor": "end" }, shown[i]);
      if (text.getComputedTextLength() > left - 6) {  // set narrower, lest its minus sign lies outside
        text.setAttribute("textLength", left - 6);
        text.setAttribute("lengthAdjust", "spacingAndGlyphs");
      }
    }
    element(svg, "text", { x: (left + right) / 2, y: below + 38, class: "label", "text-anchor": "middle" }, xLabel);
    element(svg, "text", { x: left, y: above - 28, class: "label" }, yLabel);
    const inside = element(svg, "g", { "clip-path": `url(#${clip})` });
    const path = (points) => points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(2)} ${y(b).toFixed(2)}`).join("");
    for (const line of lines) {
      const sure = line.points.filter(([a]) => a <= supported), rest = line.points.filter(([a]) => a >= (sure.length ? sure[sure.length - 1][0] : 0));
      if (sure.length > 1) element(inside, "path", { d: path(sure), class: `line ${line.kind}` });
      if (rest.length > 1) element(inside, "path", { d: path(rest), class: `line ${line.kind} unsure` });
    }
    const kept = [];  // boxes of names, the chosen one's first: a name that would lie on one of them is left out
    for (const mark of [...marks].sort((a, b) => Number(b.chosen) - Number(a.chosen))) {
      element(inside, "circle", { cx: x(mark.x), cy: y(mark.y), r: mark.chosen ? 6 : 3.5, class: `mark ${mark.kind}${mark.x > supported ? " unsure" : ""}` });
      const name = element(svg, "text", { x: x(mark.x) + (mark.chosen ? 8 : 5), y: y(mark.y) + 17, class: `name ${mark.kind}${mark.chosen ? "" : " small"}` }, mark.label);
      const at = name.getBBox();
      if (kept.some((one) => meet(at, one))) name.remove();
      else kept.push(at);
    }
    if (chosen) {
      element(inside, "line", { x1: x(chosen.x), x2: x(chosen.x), y1: y(chosen.y), y2: below, class: "chosen" });
      element(inside, "rect", { x: x(chosen.x) - 5, y: y(chosen.y) - 5, width: 10, height: 10, class: "mark limit" });
    }
    // A line that reaches the right end is named beside it; lines that leave above, where they leave, from left to right.
    const labels = lines.filter((line) => line.title && line.points.length).map((line) => {
      const seen = line.points.filter(([a, b]) => a <= xMost * (1 + 1e-9) && b <= top), last = seen[seen.length - 1] || line.points[0];
      return { text: line.title, kind: line.kind, x: Math.min(x(last[0]) + 8, right + 8), y: y(last[1]) + 4, leaves: x(last[0]) < right - 4 };
    });
    const write = ({ text, kind, ...at }) => element(svg, "text", { ...at, class: `name ${kind}` }, text);
    const beside = labels.filter((label) => !label.leaves), leaving = labels.filter((label) => label.leaves).sort((a, b) => a.x - b.x);
    spread(beside, 17, above + 10, below - 4);
    for (const { text, kind, x, y } of beside) write({ text, kind, x, y });
    let from = 2;
    leaving.forEach(({ text, kind, x }, i) => {
      const name = write({ text, kind, x, y: above - 9 }), { width } = name.getBBox();
      from = Math.max(from, Math.min(i + 1 < leaving.length ? x - 8 - width : x - 4, right + side - width - 2));
      name.setAttribute("x", from);
      from += width + 8;
    });
  }

  let number = 0;
  function draw(holder, panels, description) {
    const width = Math.max(holder.clientWidth, 260), each = width < 520 ? 270 : 330;
    const side = width < 520 ? 92 : 150;
    holder.textContent = "";
    const height = each * panels.length + 6;  // scaled where a sheet of paper is narrower
    const svg = element(holder, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": description });
    svg.dataset.number = String(number++);
    panels.forEach((one, k) =>
      panel(svg, { left: 52, right: width - side, above: k * each + 50, below: (k + 1) * each - 44, side }, one));
  }

  Object.assign(Explorer, { draw });
})();
