// Add a selection to a list of foldable parts. Without this script each part can still be unfolded.
"use strict";
for (const parts of document.querySelectorAll(".choosable")) {
  const details = [...parts.querySelectorAll(":scope > details")];
  const label = document.createElement("label");
  const select = document.createElement("select");
  const title = document.createElement("span");
  title.textContent = parts.dataset.label;
  select.id = "pick-" + parts.id;
  const first = details.findIndex((part) => part.open);
  if (first < 0) select.add(new Option("choose one", "none"));
  select.add(new Option("all, to unfold", ""));
  details.forEach((part, index) => select.add(new Option(part.querySelector("summary").textContent, index)));
  const show = () => {
    details.forEach((part, index) => {
      part.hidden = select.value !== "" && String(index) !== select.value;
      if (select.value !== "") part.open = !part.hidden;
    });
  };
  select.value = first < 0 ? "none" : String(first);
  select.addEventListener("change", show);
  // A printed page shows all parts.
  window.addEventListener("beforeprint", () => details.forEach((part) => { part.hidden = false; }));
  window.addEventListener("afterprint", show);
  const choices = document.createElement("div");
  choices.className = "choices";
  label.append(title, select);
  choices.append(label);
  parts.prepend(choices);
  show();
}
