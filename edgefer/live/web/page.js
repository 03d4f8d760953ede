// Asks for the newest picture, draws it, asks for the next one: a slow connection sees fewer pictures, never old ones. A
// picture brings its own scene along, so that boxes are always those of the picture under them.
"use strict";
(() => {
  const STALE_MS = 3000, ANSWER_MS = 15000, MINUTE_MS = 60000, COLUMN_MS = 500, MOST_CARDS = 6;
  // Numbers that change with each frame cannot be read.
  const TELL_MS = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1000 : 120;
  const at = (id) => document.getElementById(id);
  const picture = at("picture"), strip = at("strip"), cards = new Map();
  const percent = (share) => Math.round(100 * share) + " %";
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  let number = "", shown = null, bitmap = null, isDrawn = false, isPaused = false, isMirrored = false;
  let pictureMs = null, trouble = "", isTold = true, labels = [], history = [];

  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

  // --- What comes ------------------------------------------------------------------------------------------------

  async function ask() {
    const answer = await fetch("picture?after=" + number, { signal: AbortSignal.timeout(ANSWER_MS) });
    if (answer.status === 204) { trouble = ""; return; }
    if (answer.status === 401) throw new Error("the token is another one now: open the address that edgefer printed");
    if (answer.status === 503) throw new Error("as many as can are looking on already; trying again");
    if (!answer.ok) throw new Error("edgefer answered " + answer.status + "; trying again");
    const scene = JSON.parse(answer.headers.get("Edgefer-Scene"));
    isDrawn = answer.headers.get("Edgefer-Drawn") === "1";
    const next = await createImageBitmap(await answer.blob());
    trouble = "";
    take(scene, next);
  }

  async function askOn() {
    let pauseMs = 250;
    for (;;) {
      if (isPaused || document.hidden) { await sleep(200); continue; }
      try {
        await ask();
        pauseMs = 250;
      } catch (error) {
        // fetch() itself tells no more than that it failed.
        const isOwn = error.constructor === Error;
        trouble = isOwn ? error.message : "no connection to edgefer; trying again";
        await sleep(pauseMs);
        pauseMs = Math.min(2 * pauseMs, 4000);
      }
    }
  }

  function take(scene, next) {
    // Frames are counted from 0 again where edgefer was started anew: its faces are others.
    if (shown && scene.number < shown.number) history = [];
    number = scene.number;
    pictureMs = performance.now();
    if (bitmap) bitmap.close();
    bitmap = next;
    shown = scene;
    const main = first(scene.faces);
    if (main) labels = Object.keys(main.probabilities);
    history.push({ ms: pictureMs, label: main && main.label, shares: main && Object.values(main.probabilities) });
    while (pictureMs - history[0].ms > MINUTE_MS) history.shift();
    drawPicture();
    isTold = false;
  }

  const area = (face) => face.box[2] * face.box[3];
  // Who has been followed for longest: what is no face but was taken for one does not last.
  const first = (faces) => faces.reduce((best, face) => !best || face.track < best.track ? face : best, null);

  // --- The picture -----------------------------------------------------------------------------------------------

  function drawPicture() {
    const [width, height] = shown.size;
    if (picture.width !== width || picture.height !== height) { picture.width = width; picture.height = height; }
    const pen = picture.getContext("2d");
    pen.save();
    if (isMirrored) { pen.translate(width, 0); pen.scale(-1, 1); }
    pen.drawImage(bitmap, 0, 0, width, height);
    pen.restore();
    if (!isDrawn) for (const face of shown.faces) drawFace(pen, face, width, height);
  }

  function caption(face) {
    const name = face.label === "unsure" ? "unsure" : face.label + " " + percent(face.probability);
    return shown.faces.length > 1 ? face.track + ": " + name : name;
  }

  function drawFace(pen, face, width, height) {
    // As wide on the screen whatever the picture's size is.
    const unit = width / (picture.clientWidth || width);
    const [left, top, wide, high] = face.box;
    const x = isMirrored ? width - left - wide : left;
    pen.strokeStyle = "#e69f00";
    pen.lineWidth = 3 * unit;
    pen.setLineDash(face.label === "unsure" ? [8 * unit, 6 * unit] : []);
    pen.strokeRect(x, top, wide, high);
    pen.setLineDash([]);
    pen.font = "600 " + 16 * unit + "px system-ui, sans-serif";
    const text = caption(face), padding = 6 * unit, tall = 24 * unit;
    const long = pen.measureText(text).width + 2 * padding;
    const from = Math.max(0, Math.min(x - 1.5 * unit, width - long));
    // Above the box where there is room, else below, else in it.
    const below = top + high + tall <= height ? top + high : top;
    const y = top >= tall ? top - tall : below;
    pen.fillStyle = "#e69f00";
    pen.fillRect(from, y, long, tall);
    pen.fillStyle = "#000";
    pen.textBaseline = "middle";
    pen.fillText(text, from + padding, y + tall / 2 + unit);
  }

  // --- Words and bars --------------------------------------------------------------------------------------------

  function element(name, parent, text = "", kind = "") {
    const made = document.createElement(name);
    made.textContent = text;
    if (kind) made.className = kind;
    parent.appendChild(made);
    return made;
  }

  function bar(parent) {
    const track = element("span", parent, "", "track");
    track.setAttribute("aria-hidden", "true");
    return element("i", track);
  }

  function tell() {
    if (isTold) return;
    isTold = true;
    const faces = [...shown.faces].sort((a, b) => area(b) - area(a)).slice(0, MOST_CARDS);
    faces.sort((a, b) => a.track - b.track);
    for (const [track, card] of cards) {
      if (!faces.some((face) => face.track === track)) { card.root.remove(); cards.delete(track); }
    }
    for (const face of faces) {
      if (!cards.has(face.track)) cards.set(face.track, newCard(face));
      fill(cards.get(face.track), face);
    }
    const more = shown.faces.length - faces.length;
    at("nobody").hidden = faces.length > 0;
    at("more").hidden = more === 0;
    at("more").textContent = "and " + more + " more, which are smaller";
    const names = shown.faces.map((face) => face.label).join(", ");
    picture.setAttribute("aria-label", names ? "The newest picture; faces: " + names : "The newest picture; no face");
    tellBudget();
  }

  function newCard(face) {
    const root = element("article", at("cards"), "", "face");
    root.dataset.track = face.track;
    const title = element("h3", root);
    const name = element("span", title), share = element("span", title);
    element("span", title, "face " + face.track, "soft");
    root.setAttribute("aria-label", "Face " + face.track);
    const body = element("tbody", element("table", root));
    const rows = Object.keys(face.probabilities).map((label) => {
      const row = element("tr", body);
      element("th", row, label).scope = "row";
      return { label, row, bar: bar(element("td", row)), share: element("td", row, "", "number") };
    });
    return { root, name, share, rows };
  }

  function fill(card, face) {
    const isUnsure = face.label === "unsure";
    card.name.textContent = face.label;
    card.name.className = isUnsure ? "unsure" : "named";
    card.share.textContent = isUnsure ? "" : percent(face.probability);
    for (const row of card.rows) {
      const share = face.probabilities[row.label];
      row.bar.style.width = 100 * share + "%";
      row.share.textContent = percent(share);
      row.row.className = row.label === face.label ? "is-named" : "";
    }
  }

  const stages = new Map();

  function tellBudget() {
    const { budget, health } = shown;
    at("sentence").textContent = budget.sentence;
    for (const [name, stage] of Object.entries(budget)) {
      if (name === "fps" || (stage !== null && typeof stage !== "object")) continue;
      if (!stages.has(name)) {
        const row = element("tr", at("stages"));
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
    at("fps").textContent = budget.fps === null ? "-" : budget.fps.toFixed(1);
    at("dropped").textContent = budget.dropped.toLocaleString("en");
    at("age").textContent = shown.age_ms.toFixed(0) + " ms";
    at("temperature").textContent = health.temperature_c === null ? "no sensor" : health.temperature_c.toFixed(0) + " \u00b0C";
    const holds = health.throttled;
    at("throttled").textContent = holds === null ? "not known" : holds.length ? holds.join(", ") : "nothing";
    at("throttled").className = holds && holds.length ? "bad" : "";
  }

  // --- The last minute -------------------------------------------------------------------------------------------

  function columns(nowMs) {
    const count = MINUTE_MS / COLUMN_MS, found = Array.from({ length: count }, () => []);
    for (const each of history) {
      const index = count - 1 - Math.floor((nowMs - each.ms) / COLUMN_MS);
      if (index >= 0 && index < count && each.shares) found[index].push(each);
    }
    return found;
  }

  function drawStrip() {
    const nowMs = isPaused && pictureMs ? pictureMs : performance.now(), scale = devicePixelRatio || 1;
    const width = strip.clientWidth, height = strip.clientHeight;
    if (!labels.length || !width) return;
    if (strip.width !== Math.round(width * scale)) {
      strip.width = Math.round(width * scale);
      strip.height = Math.round(height * scale);
    }
    const pen = strip.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const left = 68, bottom = 20, lane = (height - bottom) / labels.length;
    const found = columns(nowMs), wide = (width - left) / found.length;
    const text = colour("text"), soft = colour("soft"), rule = colour("rule");
    const blue = colour("bar"), orange = colour("named");
    pen.font = "13px system-ui, sans-serif";
    pen.textBaseline = "middle";
    labels.forEach((label, row) => {
      const top = row * lane;
      pen.fillStyle = text;
      pen.fillText(label, 0, top + lane / 2);
      pen.fillStyle = rule;
      pen.fillRect(left, top + lane - 1, width - left, 1);
      found.forEach((samples, column) => {
        if (!samples.length) return;
        const share = samples.reduce((sum, each) => sum + each.shares[row], 0) / samples.length;
        const isNamed = samples[samples.length - 1].label === label;
        const from = Math.round(left + column * wide), to = Math.round(left + (column + 1) * wide);
        pen.fillStyle = isNamed ? orange : blue;
        pen.globalAlpha = isNamed ? 1 : share;
        pen.fillRect(from, top + 2, to - from, lane - 5);
        pen.globalAlpha = 1;
      });
    });
    pen.fillStyle = soft;
    pen.textBaseline = "alphabetic";
    const marks = width < 500 ? [60, 30, 0] : [60, 50, 40, 30, 20, 10, 0];
    for (const seconds of marks) {
      pen.textAlign = seconds === 60 ? "left" : seconds === 0 ? "right" : "center";
      const words = seconds === 0 ? "now" : seconds + " s";
      pen.fillText(words, left + (width - left) * (1 - seconds / 60), height - 3);
    }
    pen.textAlign = "left";
    strip.setAttribute("aria-label", summary(found));
  }

  function summary(found) {
    const named = found.filter((samples) => samples.length).map((samples) => samples[samples.length - 1].label);
    if (!named.length) return "No face in the last minute";
    const counts = new Map();
    for (const name of named) counts.set(name, (counts.get(name) || 0) + 1);
    const ordered = [...counts].sort((a, b) => b[1] - a[1]);
    const parts = ordered.map(([name, count]) => name + " " + percent(count / named.length));
    return "Of the time with a face in the last minute: " + parts.join(", ");
  }

  // --- How it is -------------------------------------------------------------------------------------------------

  function tellState() {
    const agoMs = pictureMs === null ? null : performance.now() - pictureMs;
    const isStale = agoMs !== null && agoMs > STALE_MS;
    let state = "live", words = "live";
    if (isPaused) [state, words] = ["paused", "paused"];
    else if (isStale) [state, words] = ["stale", "no new picture for " + Math.floor(agoMs / 1000) + " s"];
    else if (agoMs === null) [state, words] = ["waiting", "waiting for the first picture"];
    if (trouble && !isPaused && (isStale || agoMs === null)) [state, words] = ["lost", isStale ? words + "; " + trouble : trouble];
    at("state").dataset.state = state;
    if (at("state").textContent !== words) at("state").textContent = words;
    at("veil").hidden = state === "live" || state === "waiting";
    at("veil").textContent = words;
  }

  function toggle(id, set) {
    const button = at(id);
    button.addEventListener("click", () => {
      const isOn = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", isOn);
      set(isOn);
      if (shown) drawPicture();
      tellState();
    });
  }

  toggle("pause", (isOn) => { isPaused = isOn; if (!isOn) pictureMs = shown && performance.now(); });
  toggle("mirror", (isOn) => { isMirrored = isOn; });
  setInterval(tell, TELL_MS);
  setInterval(tellState, 500);
  setInterval(drawStrip, 500);
  askOn();
})();
