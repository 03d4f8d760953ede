// Draw accuracy against latency or size from the JSON in #points. Text from records is only ever set as text content.
"use strict";
(function () {
  const { points, axes } = JSON.parse(document.getElementById("points").textContent);
  const plot = document.getElementById("plot");
  const tooltip = document.getElementById("tooltip");
  const choose = (name) => document.getElementById("choose-" + name);
  const schemes = [...new Set(points.map((point) => point.scheme))].sort();
  const COLORS = 7;
  const TOP = 16, RIGHT = 18, BOTTOM = 44, LEFT = 46;
  // Paths within -7..7 around a mark; with seven colors they distinguish 42 schemes.
  const SHAPES = [
    "M0,-6 A6,6 0 1 1 0,6 A6,6 0 1 1 0,-6 Z", "M-5.5,-5.5 H5.5 V5.5 H-5.5 Z", "M0,-7 L6.5,5 H-6.5 Z",
    "M0,-7.5 L7,0 L0,7.5 L-7,0 Z", "M0,7 L6.5,-5 H-6.5 Z",
    "M-2.5,-7 H2.5 V-2.5 H7 V2.5 H2.5 V7 H-2.5 V2.5 H-7 V-2.5 H-2.5 Z",
  ];

  function svg(name, attributes, parent) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (parent) parent.appendChild(made);
    return made;
  }

  function text(content, attributes, parent) {
    svg("text", attributes, parent).textContent = content;
  }

  function short(value) {
    if (value >= 1e6) return +(value / 1e6).toPrecision(3) + "M";
    return value >= 1e4 ? +(value / 1e3).toPrecision(3) + "k" : String(+value.toPrecision(3));
  }

  function classOf(point) {
    return "c" + (schemes.indexOf(point.scheme) % COLORS);
  }

  function shapeOf(point, parent) {
    const d = SHAPES[schemes.indexOf(point.scheme) % SHAPES.length];
    return svg("path", { d: d, class: "shape" }, parent);
  }

  function frontOf(shown, axis) {
    const ordered = [...shown].sort((a, b) => a[axis] - b[axis] || b.accuracy - a.accuracy);
    const front = [];
    for (const point of ordered) {
      const last = front[front.length - 1];
      const ties = last && point.accuracy === last.accuracy && point[axis] === last[axis];
      if (!last || point.accuracy > last.accuracy || ties) front.push(point);
    }
    return front;
  }

  function described(point) {
    const size = point.file_bytes === null ? [] : ["size " + (point.file_bytes / 1024).toFixed(1) + " KiB"];
    const time = point.p50_us === null ? [] : [
      "latency p50 " + point.p50_us.toFixed(1) + " us, p90 " + point.p90_us.toFixed(1) + " us",
    ];
    if (point.device !== null) time.push(point.device);
    const share = point.accuracy.toFixed(2) + " % (" + point.low.toFixed(1) + " to " + point.high.toFixed(1) + ")";
    return [point.model + ", " + point.scheme, share, ...time, ...size].join("\n");
  }

  function logTicks(low, high) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const step of [1, 2, 5]) ticks.push(step * 10 ** power);
    }
    return ticks.filter((value) => value >= low && value <= high);
  }

  function linearTicks(low, high) {
    const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20].find((size) => (high - low) / size <= 7) || 50;
    const ticks = [];
    for (let index = Math.ceil(low / step); index * step <= high; index++) ticks.push(+(index * step).toFixed(6));
    return ticks;
  }

  function show(point, mark) {
    tooltip.textContent = described(point);
    tooltip.hidden = false;
    const figure = tooltip.parentElement.getBoundingClientRect();
    const shape = mark.querySelector(".shape").getBoundingClientRect();
    const right = shape.right - figure.left + 8;
    const left = shape.left - figure.left - tooltip.offsetWidth - 8;
    const fits = right + tooltip.offsetWidth <= figure.width;
    const clamped = Math.min(Math.max(0, left), figure.width - tooltip.offsetWidth);
    tooltip.style.left = Math.max(0, fits ? right : clamped) + "px";
    tooltip.style.top = shape.bottom - figure.top + 6 + "px";
  }

  function hide() {
    tooltip.hidden = true;
  }

  // A file size does not depend on the device, so each model gets one mark.
  function unique(shown) {
    const seen = new Set();
    return shown.filter((point) => {
      const key = JSON.stringify([point.model, point.scheme, point.accuracy, point.file_bytes]);
      return !seen.has(key) && seen.add(key);
    });
  }

  function draw() {
    const axis = choose("axis").value, device = choose("device").value, images = choose("images").value;
    const known = points.filter((point) => point[axis] > 0 && point.images === images &&
      (!device || point.device === device));
    const isSize = axis === "file_bytes";
    const shown = isSize ? unique(known) : known;
    const devices = isSize ? [""] : [...new Set(shown.map((point) => point.device))];
    plot.textContent = "";
    hide();
    const width = Math.max(300, Math.min(920, plot.clientWidth || 720));
    const alone = width < 500 ? 320 : 420, row = width < 500 ? 230 : 260;
    const high = devices.length > 1 ? row : alone, height = Math.max(1, devices.length) * high;
    const root = svg("svg", { viewBox: "0 0 " + width + " " + height, role: "group" }, plot);
    root.setAttribute("aria-label", "Accuracy in percent against " + axes[axis] + ", " + shown.length + " models" +
      (devices.length > 1 ? " on " + devices.length + " devices" : ""));
    if (!shown.length) {
      text("no data for this selection", { x: width / 2, y: height / 2, "text-anchor": "middle" }, root);
      return;
    }
    // All devices share the axes, so that their plots can be compared.
    const values = shown.map((point) => point[axis]);
    const scale = {
      width: width, height: high, low: Math.min(...values) / 1.25, high: Math.max(...values) * 1.25,
      bottom: Math.min(...shown.map((point) => point.low)) - 0.5,
      top: Math.max(...shown.map((point) => point.high)) + 0.5,
    };
    devices.forEach((name, index) => {
      const part = svg("g", { transform: "translate(0," + index * high + ")" }, root);
      const here = isSize ? shown : shown.filter((point) => point.device === name);
      drawRow(part, here, axis, scale, devices.length > 1 ? name : "");
    });
  }

  function drawRow(root, shown, axis, scale, title) {
    const { width, height, low, high, bottom, top } = scale;
    const above = title ? TOP + 16 : TOP;
    const x = (value) => LEFT + (width - LEFT - RIGHT) * Math.log(value / low) / Math.log(high / low);
    const y = (value) => height - BOTTOM - (height - above - BOTTOM) * (value - bottom) / (top - bottom);
    for (const value of linearTicks(bottom, top)) {
      svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: "grid" }, root);
      text(String(value), { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, root);
    }
    svg("line", { x1: LEFT, x2: width - RIGHT, y1: height - BOTTOM, y2: height - BOTTOM, class: "axis" }, root);
    let last = -Infinity;
    for (const value of logTicks(low, high)) {
      if (x(value) - last < 44) continue;
      last = x(value);
      svg("line", { x1: x(value), x2: x(value), y1: height - BOTTOM, y2: height - BOTTOM + 5, class: "axis" }, root);
      text(short(value), { x: x(value), y: height - BOTTOM + 19, "text-anchor": "middle" }, root);
    }
    const middle = LEFT + (width - LEFT - RIGHT) / 2;
    text(axes[axis] + ", logarithmic", { x: middle, y: height - 7, "text-anchor": "middle" }, root);
    if (title) text(title, { x: LEFT, y: 14, class: "name" }, root);
    text("accuracy, %", { x: 4, y: title ? 29 : 11 }, root);
    const front = frontOf(shown, axis);
    const corners = front.map((point) => x(point[axis]) + "," + y(point.accuracy)).join(" ");
    svg("polyline", { points: corners, class: "front" }, root);
    // Sorted by the axis, so that the Tab key moves from left to right.
    for (const point of [...shown].sort((a, b) => a[axis] - b[axis])) {
      const mark = svg("g", { class: "mark " + classOf(point), tabindex: 0, role: "img" }, root);
      if (front.includes(point)) mark.dataset.front = "yes";
      mark.setAttribute("aria-label", described(point).replaceAll("\n", "; "));
      const center = x(point[axis]);
      svg("line", { x1: center, x2: center, y1: y(point.low), y2: y(point.high), class: "error" }, mark);
      shapeOf(point, svg("g", { transform: "translate(" + center + "," + y(point.accuracy) + ")" }, mark));
      for (const event of ["mouseenter", "focus"]) mark.addEventListener(event, () => show(point, mark));
      for (const event of ["mouseleave", "blur"]) mark.addEventListener(event, hide);
    }
  }

  const keys = document.getElementById("keys");
  for (const scheme of schemes) {
    const point = points.find((candidate) => candidate.scheme === scheme);
    const key = document.createElement("span");
    key.className = "key";
    shapeOf(point, svg("svg", { viewBox: "-9 -9 18 18", class: classOf(point) }, key));
    key.appendChild(document.createTextNode(scheme));
    keys.appendChild(key);
  }
  for (const name of ["axis", "device", "images"]) choose(name).addEventListener("change", draw);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  // A phone resizes its window on every scroll; only a change of width needs a new drawing.
  let drawnWidth = plot.clientWidth;
  window.addEventListener("resize", () => {
    if (plot.clientWidth !== drawnWidth) { drawnWidth = plot.clientWidth; draw(); }
  });
  document.getElementById("choices").hidden = false;
  draw();
})();
