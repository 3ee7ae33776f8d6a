// Reads values from charts: a line at the place that is pointed at, and what is told of it. All else works without.
"use strict";

for (const plot of document.querySelectorAll(".plot")) {
  const data = plot.querySelector("script");
  const field = plot.querySelector(".field");
  if (data) readOut(field, JSON.parse(data.textContent));
}

function readOut(field, data) {
  const cross = document.createElement("div");
  const box = document.createElement("div");
  cross.className = "cross";
  box.className = "read";
  let shown = -1;

  function element(name, text) {
    const made = document.createElement(name);
    made.textContent = text;
    return made;
  }

  function show(index) {
    shown = Math.max(0, Math.min(data.at.length - 1, index));
    const at = data.at[shown] / 10;
    const rows = data.rows.map(([name, values]) => {
      const row = document.createElement("span");
      row.append(element("span", name), element("span", values[shown]));
      return row;
    });
    box.replaceChildren(element("b", data.place[shown]), ...rows);
    cross.style.left = at + "%";
    // On the side where there is more room.
    box.style.left = at > 50 ? "auto" : "calc(" + at + "% + 0.6rem)";
    box.style.right = at > 50 ? "calc(" + (100 - at) + "% + 0.6rem)" : "auto";
    field.append(cross, box);
  }

  function hide() {
    cross.remove();
    box.remove();
    shown = -1;
  }

  function nearest(event) {
    const frame = field.getBoundingClientRect();
    const at = ((event.clientX - frame.left) / frame.width) * 1000;
    const distance = (index) => Math.abs(data.at[index] - at);
    return data.at.reduce((best, _, index) => (distance(index) < distance(best) ? index : best), 0);
  }

  field.tabIndex = 0;
  field.addEventListener("pointermove", (event) => show(nearest(event)));
  field.addEventListener("pointerdown", (event) => show(nearest(event)));
  field.addEventListener("pointerleave", hide);
  field.addEventListener("blur", hide);
  field.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") hide();
    if (!step) return;
    event.preventDefault();
    show(shown + step);
  });
}
