"""The plot as one HTML page: a canvas and a little JavaScript of our own, nothing from elsewhere.

Names come from a graph and are not trusted: data are JSON with every character escaped that could end a script, and
are shown as text, never as markup. A policy in the page forbids it to load anything.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kogner.teacher.plot import Group
    from kogner.teacher.points import Points

_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def page(points: Points, groups: Sequence[Group], title: str) -> str:
    """The page as text. groups: what each colour stands for."""
    of_type = {member: number for number, group in enumerate(groups) for member in group.members}
    low, span = points.xy.min(0), (points.xy.max(0) - points.xy.min(0)).clip(min=1e-12)
    placed = ((points.xy - low) / span).round(4)
    data = {
        "x": placed[:, 0].tolist(),
        "y": placed[:, 1].tolist(),
        "type": points.types.tolist(),
        "group": [of_type[kind] for kind in points.types.tolist()],
        "types": list(points.type_names),
        "ids": list(points.ids),
        "names": list(points.names),
        "groups": [{"label": group.label, "colour": group.colour, "count": group.count} for group in groups],
    }
    return (
        _PAGE.replace("%TITLE%", html.escape(title))
        .replace("%ACROSS%", html.escape(points.axes[0]))
        .replace("%UP%", html.escape(points.axes[1]))
        .replace("%DATA%", _script_data(data))
    )


def _script_data(data: object) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character, escaped in _ESCAPED.items():
        text = text.replace(character, escaped)
    # Half a surrogate pair cannot be written as UTF-8, so it stays an escape.
    return "".join(f"\\u{ord(c):04x}" if 0xD800 <= ord(c) <= 0xDFFF else c for c in text)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%TITLE%</title>
<style>
html, body { height: 100%; margin: 0; }
body { font: 15px/1.4 system-ui, sans-serif; color: #1a1a1a; background: #fff; display: flex; flex-direction: column; }
header { padding: 12px 16px 0; }
h1 { font-size: 17px; margin: 0; }
header p { margin: 2px 0 0; color: #555; font-size: 13px; }
main { flex: 1; min-height: 0; display: flex; }
#plane { position: relative; flex: 1; min-width: 0; }
canvas { position: absolute; inset: 0; width: 100%; height: 100%; cursor: crosshair; touch-action: none; }
fieldset { border: 0; margin: 0; padding: 8px 16px; width: 230px; overflow-y: auto; box-sizing: border-box; }
legend { padding: 0; font-weight: 600; }
label { display: flex; gap: 8px; padding: 3px 0; align-items: baseline; cursor: pointer; }
label i { flex: none; width: 11px; height: 11px; border-radius: 50%; align-self: center; }
label span { overflow-wrap: anywhere; }
label b { margin-left: auto; font-weight: 400; color: #555; font-variant-numeric: tabular-nums; }
#tip { position: absolute; pointer-events: none; max-width: 340px; padding: 6px 9px; border-radius: 4px;
  background: #1a1a1a; color: #fff; font-size: 13px; overflow-wrap: anywhere; visibility: hidden; }
#tip small { display: block; color: #ccc; font-size: 12px; }
@media (max-width: 640px) { main { flex-direction: column; } #plane { min-height: 60vh; } fieldset { width: auto; } }
</style>
</head>
<body>
<header>
<h1>%TITLE%</h1>
<p>across: %ACROSS% · up: %UP% · point at a dot for its name · wheel to zoom, drag to move, double click to reset</p>
</header>
<main>
<div id="plane"><canvas role="img" aria-label="%TITLE%"></canvas><div id="tip" role="status"></div></div>
<fieldset><legend>Types</legend></fieldset>
</main>
<script>
"use strict";
const data = %DATA%;
const plane = document.getElementById("plane"), canvas = plane.querySelector("canvas");
const tip = document.getElementById("tip");
const pen = canvas.getContext("2d"), margin = 24, count = data.x.length;
const shown = data.groups.map(() => true);
let width = 0, height = 0, zoom = 1, left = 0, top_ = 0, dragged = null, waiting = false;
const byGroup = data.groups.map(() => []);
for (let n = 0; n < count; n++) byGroup[data.group[n]].push(n);
const across = n => (data.x[n] - left) * zoom * (width - 2 * margin) + margin;
const down = n => (1 - data.y[n] - top_) * zoom * (height - 2 * margin) + margin;
const radius = () => Math.min(5, Math.max(1.8, 200 / Math.sqrt(count))) * Math.min(2, Math.sqrt(zoom));

function draw(marked) {
  const scale = window.devicePixelRatio || 1;
  width = plane.clientWidth; height = plane.clientHeight;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale); canvas.height = Math.round(height * scale);
  }
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  const size = radius();
  byGroup.forEach((members, group) => {
    if (!shown[group]) return;
    pen.fillStyle = data.groups[group].colour;
    pen.globalAlpha = 0.6;
    for (const n of members) {
      const x = across(n), y = down(n);
      if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
      pen.beginPath(); pen.arc(x, y, size, 0, 7); pen.fill();
    }
  });
  pen.globalAlpha = 1;
  if (marked >= 0) {
    pen.strokeStyle = "#1a1a1a"; pen.lineWidth = 2;
    pen.beginPath(); pen.arc(across(marked), down(marked), size + 3, 0, 7); pen.stroke();
  }
}
function later(marked) {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(marked); });
}
function nearest(x, y) {
  let best = -1, least = 144;
  for (let n = 0; n < count; n++) {
    if (!shown[data.group[n]]) continue;
    const dx = across(n) - x, dy = down(n) - y, far = dx * dx + dy * dy;
    if (far <= least) { least = far; best = n; }
  }
  return best;
}
function tell(n) {
  tip.style.visibility = n < 0 ? "hidden" : "visible";
  if (n < 0) return;
  tip.textContent = data.names[n] || data.ids[n];
  const small = document.createElement("small");
  small.textContent = data.types[data.type[n]] + " · " + data.ids[n];
  tip.append(small);
  const x = across(n), y = down(n);
  tip.style.left = Math.max(0, Math.min(x + 12, width - tip.offsetWidth - 4)) + "px";
  tip.style.top = (y + 16 + tip.offsetHeight > height ? y - 12 - tip.offsetHeight : y + 12) + "px";
}
function place(event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}
canvas.addEventListener("pointermove", event => {
  const [x, y] = place(event);
  if (dragged) {
    left -= (x - dragged[0]) / zoom / (width - 2 * margin);
    top_ -= (y - dragged[1]) / zoom / (height - 2 * margin);
    dragged = [x, y];
    tell(-1); later(-1);
    return;
  }
  const n = nearest(x, y);
  tell(n); later(n);
});
canvas.addEventListener("pointerdown", event => { dragged = place(event); canvas.setPointerCapture(event.pointerId); });
canvas.addEventListener("pointerup", () => { dragged = null; });
canvas.addEventListener("pointercancel", () => { dragged = null; });
canvas.addEventListener("pointerleave", () => { tell(-1); later(-1); });
canvas.addEventListener("dblclick", () => { zoom = 1; left = top_ = 0; tell(-1); later(-1); });
canvas.addEventListener("wheel", event => {
  event.preventDefault();
  const [x, y] = place(event), before = zoom;
  zoom = Math.min(200, Math.max(0.5, zoom * Math.exp(-event.deltaY / 400)));
  const change = 1 / before - 1 / zoom;
  left += (x - margin) / (width - 2 * margin) * change;
  top_ += (y - margin) / (height - 2 * margin) * change;
  tell(-1); later(-1);
}, { passive: false });
data.groups.forEach((group, number) => {
  const label = document.createElement("label"), box = document.createElement("input");
  const dot = document.createElement("i"), name = document.createElement("span"), many = document.createElement("b");
  box.type = "checkbox"; box.checked = true;
  box.addEventListener("change", () => { shown[number] = box.checked; tell(-1); later(-1); });
  dot.style.background = group.colour;
  name.textContent = group.label;
  many.textContent = group.count.toLocaleString("en");
  label.append(box, dot, name, many);
  document.querySelector("fieldset").append(label);
});
new ResizeObserver(() => later(-1)).observe(plane);
</script>
</body>
</html>
"""
