// Of many parts to unfold, a list to pick one from; without this script each can be unfolded where it stands.
"use strict";
for (const parts of document.querySelectorAll(".choosable")) {
  const details = [...parts.querySelectorAll(":scope > details")];
  const label = document.createElement("label");
  const select = document.createElement("select");
  const title = document.createElement("span");
  title.textContent = parts.dataset.label;
  select.id = "pick-" + parts.id;
  const first = details.findIndex((each) => each.open);
  if (first < 0) select.add(new Option("choose one", "none"));
  select.add(new Option("all of them, to unfold", ""));
  details.forEach((each, index) => select.add(new Option(each.querySelector("summary").textContent, index)));
  const show = () => {
    details.forEach((each, index) => {
      each.hidden = select.value !== "" && String(index) !== select.value;
      if (select.value !== "") each.open = !each.hidden;
    });
  };
  select.value = first < 0 ? "none" : String(first);
  select.addEventListener("change", show);
  // What is printed, or searched for in the page, is all of it only where nothing is hidden.
  window.addEventListener("beforeprint", () => details.forEach((each) => { each.hidden = false; }));
  window.addEventListener("afterprint", show);
  const choices = document.createElement("div");
  choices.className = "choices";
  label.append(title, select);
  choices.append(label);
  parts.prepend(choices);
  show();
}
