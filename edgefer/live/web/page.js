// Requests the newest frame, draws it, and requests the next one, so a slow connection skips frames instead of lagging.
// Each image arrives together with its own result, so boxes always match the image below them.
"use strict";
(() => {
  const STALE_MS = 3000, REQUEST_TIMEOUT_MS = 15000, HISTORY_MS = 60000, COLUMN_MS = 500, MAX_CARDS = 6;
  const FIRST_PAUSE_MS = 250, MAX_PAUSE_MS = 4000, UNSURE = "unsure", LABEL_ROWS = 3;
  const MIN_ROW_HEIGHT = 16;
  // Update texts less often than the video: numbers that change with every frame are unreadable.
  const REFRESH_MS = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1000 : 120;
  const byId = (id) => document.getElementById(id);
  const picture = byId("picture"), strip = byId("strip"), cards = new Map(), stages = new Map();
  const percent = (share) => Math.round(100 * share) + " %";
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  let lastNumber = "", result = null, bitmap = null, isAnnotated = false, isPaused = false, isMirrored = false;
  let receivedMs = null, errorText = "", isRefreshed = true, labels = [], history = [];

  // The server counts viewers by this number, so a viewer keeps its place over a reload.
  function viewerId() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    const created = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    try {
      const stored = sessionStorage.getItem("viewer") || created;
      sessionStorage.setItem("viewer", stored);
      return stored;
    } catch (error) {  // storage is disabled
      return created;
    }
  }
  const viewer = viewerId();

  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  // --- Requests --------------------------------------------------------------------------------------------------

  async function requestFrame() {
    const url = "picture?viewer=" + viewer + "&after=" + lastNumber;
    const response = await fetch(url, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
    if (response.status === 204) { errorText = ""; return; }
    if (response.status === 401) throw new Error("the token has changed; open the URL that edgefer printed");
    if (response.status === 503) throw new Error("the viewer limit has been reached; retrying");
    if (!response.ok) throw new Error("edgefer responded with status " + response.status + "; retrying");
    const newResult = JSON.parse(response.headers.get("Edgefer-Scene"));
    isAnnotated = response.headers.get("Edgefer-Drawn") === "1";
    const newBitmap = await createImageBitmap(await response.blob());
    errorText = "";
    show(newResult, newBitmap);
  }

  async function requestFrames() {
    let pauseMs = FIRST_PAUSE_MS;
    for (;;) {
      if (isPaused || document.hidden) { await sleep(200); continue; }
      try {
        await requestFrame();
        pauseMs = FIRST_PAUSE_MS;
      } catch (error) {
        // fetch() rejects with a TypeError or a DOMException that names no cause.
        const hasMessage = error.constructor === Error;
        errorText = hasMessage ? error.message : "no connection to edgefer; retrying";
        await sleep(pauseMs);
        pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
      }
    }
  }

  function show(newResult, newBitmap) {
    // A lower frame number means that edgefer was restarted, and its track numbers refer to other faces. The labels may
    // be those of another model.
    if (result && newResult.number < result.number) { history = []; clearTexts(); }
    lastNumber = newResult.number;
    receivedMs = performance.now();
    if (bitmap) bitmap.close();
    bitmap = newBitmap;
    result = newResult;
    const main = oldestTrack(result.faces);
    if (main) labels = Object.keys(main.probabilities);
    const probabilities = main && Object.values(main.probabilities);
    history.push({ ms: receivedMs, label: main && main.label, probabilities });
    while (receivedMs - history[0].ms > HISTORY_MS) history.shift();
    drawPicture();
    isRefreshed = false;
  }

  const area = (face) => face.box[2] * face.box[3];
  // False detections do not last, so the oldest track is most likely a face.
  const oldestTrack = (faces) => faces.reduce((best, face) => best && best.track < face.track ? best : face, null);

  // --- Video -----------------------------------------------------------------------------------------------------

  function drawPicture() {
    const [width, height] = result.size;
    if (picture.width !== width || picture.height !== height) {
      picture.width = width;
      picture.height = height;
      picture.style.setProperty("--ratio", width / height);
    }
    const context = picture.getContext("2d");
    context.save();
    if (isMirrored) { context.translate(width, 0); context.scale(-1, 1); }
    context.drawImage(bitmap, 0, 0, width, height);
    context.restore();
    if (!isAnnotated) drawFaces(context, width, height);
  }

  function caption(face) {
    const text = face.label === UNSURE ? UNSURE : face.label + " " + percent(face.probability);
    return result.faces.length > 1 ? face.track + ": " + text : text;
  }

  function drawFaces(context, width, height) {
    // One CSS pixel in image pixels: lines and text have the same size on screen for every image size.
    const unit = width / (picture.clientWidth || width), placed = [];
    const boxes = result.faces.map((face) => {
      const [left, top, boxWidth, boxHeight] = face.box;
      return { face, x: isMirrored ? width - left - boxWidth : left, y: top, width: boxWidth, height: boxHeight };
    });
    context.strokeStyle = "#e69f00";
    context.lineWidth = 3 * unit;
    for (const box of boxes) {
      context.setLineDash(box.face.label === UNSURE ? [8 * unit, 6 * unit] : []);
      context.strokeRect(box.x, box.y, box.width, box.height);
    }
    context.setLineDash([]);
    context.font = "600 " + 16 * unit + "px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (const box of boxes.sort((a, b) => a.face.track - b.face.track)) {
      const label = placeLabel(context, box, placed, unit, width, height);
      placed.push(label);
      context.fillStyle = "#e69f00";
      context.fillRect(label.x, label.y, label.width, label.height);
      context.fillStyle = "#000";
      context.fillText(label.text, label.x + 6 * unit, label.y + label.height / 2 + unit);
    }
  }

  function placeLabel(context, box, placed, unit, width, height) {
    const labelHeight = 24 * unit, margin = 1.5 * unit;
    // The whole caption, else only the number, which the list of faces explains.
    const candidates = [caption(box.face), String(box.face.track)].flatMap((text) => {
      const labelWidth = context.measureText(text).width + 12 * unit;
      const aligned = [box.x - margin, box.x + box.width + margin - labelWidth];
      // Above the box, below it, inside it, and then at a distance from it.
      const rows = [box.y - labelHeight, box.y + box.height, box.y, box.y + box.height - labelHeight];
      for (let row = 2; row <= LABEL_ROWS; row++) {
        rows.push(box.y - row * labelHeight, box.y + box.height + (row - 1) * labelHeight);
      }
      const visible = rows.filter((y) => y >= 0 && y + labelHeight <= height);
      return (visible.length ? visible : [0]).flatMap((y) => aligned.map((x) => (
        { text, x: Math.max(0, Math.min(x, width - labelWidth)), y, width: labelWidth, height: labelHeight })));
    });
    const overlap = (a, b) => Math.max(0, Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x))
      * Math.max(0, Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y));
    const covered = (label) => placed.reduce((sum, other) => sum + overlap(label, other), 0);
    return candidates.find((label) => covered(label) === 0)
      || candidates.reduce((best, label) => covered(label) < covered(best) ? label : best);
  }

  // --- Faces and timing ------------------------------------------------------------------------------------------

  function element(name, parent, text = "", className = "") {
    const created = document.createElement(name);
    created.textContent = text;
    if (className) created.className = className;
    parent.appendChild(created);
    return created;
  }

  function bar(parent) {
    const track = element("span", parent, "", "track");
    track.setAttribute("aria-hidden", "true");
    return element("i", track);
  }

  function refreshTexts() {
    if (isRefreshed) return;
    isRefreshed = true;
    const faces = [...result.faces].sort((a, b) => area(b) - area(a)).slice(0, MAX_CARDS);
    faces.sort((a, b) => a.track - b.track);
    for (const [track, card] of cards) {
      if (!faces.some((face) => face.track === track)) { card.root.remove(); cards.delete(track); }
    }
    for (const face of faces) {
      if (!cards.has(face.track)) cards.set(face.track, createCard(face));
      fillCard(cards.get(face.track), face);
    }
    const more = result.faces.length - faces.length;
    byId("no-faces").hidden = faces.length > 0;
    byId("no-faces").textContent = "none";
    byId("more").hidden = more === 0;
    byId("more").textContent = "and " + more + (more === 1 ? " smaller face" : " smaller faces");
    const names = result.faces.map((face) => face.label).join(", ");
    picture.setAttribute("aria-label", names ? "Live video, faces: " + names : "Live video, no face");
    fillTiming();
  }

  // Numbers and bars beside a picture that is no longer live would be read as current.
  function clearTexts() {
    for (const card of cards.values()) card.root.remove();
    cards.clear();
    byId("no-faces").hidden = false;
    byId("no-faces").textContent = "unknown without a new frame";
    byId("more").hidden = true;
    picture.setAttribute("aria-label", "Live video, no new frame");
    byId("sentence").textContent = "-";
    for (const { cells, bar: filled } of stages.values()) {
      for (const cell of cells) cell.textContent = "-";
      filled.style.width = "0";
      filled.parentElement.title = "";
    }
    for (const id of ["fps", "dropped", "latency", "temperature", "throttling"]) byId(id).textContent = "-";
    byId("throttling").className = "";
  }

  function createCard(face) {
    const root = element("article", byId("cards"), "", "face");
    root.dataset.track = face.track;
    const title = element("h3", root);
    const label = element("span", title), probability = element("span", title);
    element("span", title, "face " + face.track, "soft");
    root.setAttribute("aria-label", "Face " + face.track);
    const body = element("tbody", element("table", root));
    const rows = Object.keys(face.probabilities).map((name) => {
      const row = element("tr", body);
      element("th", row, name).scope = "row";
      return { name, row, bar: bar(element("td", row)), probability: element("td", row, "", "number") };
    });
    return { root, label, probability, rows };
  }

  function fillCard(card, face) {
    const isUnsure = face.label === UNSURE;
    card.label.textContent = face.label;
    card.label.className = isUnsure ? "unsure" : "named";
    card.probability.textContent = isUnsure ? "" : percent(face.probability);
    for (const row of card.rows) {
      const probability = face.probabilities[row.name];
      row.bar.style.width = 100 * probability + "%";
      row.probability.textContent = percent(probability);
      row.row.className = row.name === face.label ? "is-named" : "";
    }
  }

  function fillTiming() {
    const { budget, health } = result;
    byId("sentence").textContent = budget.sentence;
    for (const [name, stage] of Object.entries(budget)) {
      // A stage is an object or null. The frame rate may be null too, and the other entries are numbers or texts.
      if (name === "fps" || (stage !== null && typeof stage !== "object")) continue;
      if (!stages.has(name)) {
        const row = element("tr", byId("stages"));
        element("th", row, name).scope = "row";
        const cells = [element("td", row, "", "number"), element("td", row, "", "number")];
        stages.set(name, { cells, bar: bar(element("td", row)) });
      }
      const { cells, bar: filled } = stages.get(name);
      cells[0].textContent = stage ? stage.p50_ms.toFixed(2) : "-";
      cells[1].textContent = stage ? stage.p90_ms.toFixed(2) : "-";
      filled.style.width = stage ? 100 * stage.share + "%" : "0";
      filled.parentElement.title = stage ? percent(stage.share) : "";
    }
    byId("fps").textContent = budget.fps === null ? "-" : budget.fps.toFixed(1);
    byId("dropped").textContent = budget.dropped.toLocaleString("en");
    byId("latency").textContent = result.age_ms.toFixed(0) + " ms";
    const temperature = health.temperature_c;
    byId("temperature").textContent = temperature === null ? "no sensor" : temperature.toFixed(0) + " \u00b0C";
    const reasons = health.throttled;
    byId("throttling").textContent = reasons === null ? "unknown" : reasons.length ? reasons.join(", ") : "none";
    byId("throttling").className = reasons && reasons.length ? "bad" : "";
  }

  // --- Last minute -----------------------------------------------------------------------------------------------

  function historyColumns(nowMs) {
    const count = HISTORY_MS / COLUMN_MS, columns = Array.from({ length: count }, () => []);
    for (const sample of history) {
      const index = count - 1 - Math.floor((nowMs - sample.ms) / COLUMN_MS);
      if (index >= 0 && index < count && sample.probabilities) columns[index].push(sample);
    }
    return columns;
  }

  function drawStrip() {
    const nowMs = isPaused && receivedMs ? receivedMs : performance.now(), scale = devicePixelRatio || 1;
    if (!labels.length || !strip.clientWidth) return;
    const bottom = 20;
    strip.style.minHeight = bottom + MIN_ROW_HEIGHT * labels.length + "px";
    const width = strip.clientWidth, height = strip.clientHeight;
    if (strip.width !== Math.round(width * scale) || strip.height !== Math.round(height * scale)) {
      strip.width = Math.round(width * scale);
      strip.height = Math.round(height * scale);
    }
    const context = strip.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "13px system-ui, sans-serif";
    // Longer names are compressed.
    const longest = Math.max(...labels.map((label) => context.measureText(label).width));
    const left = Math.max(68, Math.min(longest + 8, width / 3)), rowHeight = (height - bottom) / labels.length;
    const columns = historyColumns(nowMs), columnWidth = (width - left) / columns.length;
    const text = color("text"), soft = color("soft"), rule = color("rule");
    const blue = color("bar"), orange = color("named");
    context.textBaseline = "middle";
    labels.forEach((label, row) => {
      const top = row * rowHeight;
      context.fillStyle = text;
      context.fillText(label, 0, top + rowHeight / 2, left - 8);
      context.fillStyle = rule;
      context.fillRect(left, top + rowHeight - 1, width - left, 1);
      columns.forEach((samples, column) => {
        if (!samples.length) return;
        const mean = samples.reduce((sum, sample) => sum + sample.probabilities[row], 0) / samples.length;
        const isDisplayed = samples[samples.length - 1].label === label;
        const startX = Math.round(left + column * columnWidth), endX = Math.round(left + (column + 1) * columnWidth);
        context.fillStyle = isDisplayed ? orange : blue;
        context.globalAlpha = isDisplayed ? 1 : mean;
        context.fillRect(startX, top + 2, endX - startX, rowHeight - 5);
        context.globalAlpha = 1;
      });
    });
    context.fillStyle = soft;
    context.textBaseline = "alphabetic";
    const ticks = width < 500 ? [60, 30, 0] : [60, 50, 40, 30, 20, 10, 0];
    for (const seconds of ticks) {
      context.textAlign = seconds === 60 ? "left" : seconds === 0 ? "right" : "center";
      const tickLabel = seconds === 0 ? "now" : seconds + " s";
      context.fillText(tickLabel, left + (width - left) * (1 - seconds / 60), height - 3);
    }
    context.textAlign = "left";
    strip.setAttribute("aria-label", historySummary(columns));
  }

  function historySummary(columns) {
    const displayed = columns.filter((samples) => samples.length).map((samples) => samples[samples.length - 1].label);
    if (!displayed.length) return "No face in the last minute";
    const counts = new Map();
    for (const label of displayed) counts.set(label, (counts.get(label) || 0) + 1);
    const sorted = [...counts].sort((a, b) => b[1] - a[1]);
    const parts = sorted.map(([label, count]) => label + " " + percent(count / displayed.length));
    return "Labels in the last minute, as shares of the time with a face: " + parts.join(", ");
  }

  // --- Connection state ------------------------------------------------------------------------------------------

  function refreshState() {
    const ageMs = receivedMs === null ? null : performance.now() - receivedMs;
    const isStale = ageMs !== null && ageMs > STALE_MS;
    let state = "live", text = "live";
    if (isPaused) [state, text] = ["paused", "paused"];
    else if (isStale) [state, text] = ["stale", "no new frame for " + Math.floor(ageMs / 1000) + " s"];
    else if (ageMs === null) [state, text] = ["waiting", "waiting for the first frame"];
    if (errorText && !isPaused && (isStale || ageMs === null)) {
      [state, text] = ["lost", isStale ? text + "; " + errorText : errorText];
    }
    const isLost = state === "stale" || state === "lost";
    if (isLost && result && isRefreshed) clearTexts();
    picture.classList.toggle("old", isLost);
    byId("state").dataset.state = state;
    if (byId("state").textContent !== text) byId("state").textContent = text;
    byId("overlay").hidden = state === "live" || state === "waiting";
    byId("overlay").textContent = text;
  }

  function onToggle(id, apply) {
    const button = byId(id);
    button.addEventListener("click", () => {
      const isOn = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", isOn);
      apply(isOn);
      if (result) drawPicture();
      refreshState();
    });
  }

  onToggle("pause", (isOn) => { isPaused = isOn; if (!isOn) receivedMs = result && performance.now(); });
  onToggle("mirror", (isOn) => { isMirrored = isOn; });
  setInterval(refreshTexts, REFRESH_MS);
  setInterval(refreshState, 500);
  setInterval(drawStrip, 500);
  requestFrames();
})();
