"use strict";
(() => {
  // ---- score matrix: one tip for all cells, arrow keys inside a table ----
  const tip = document.getElementById("tip");
  let shown = null;
  const hide = () => { tip.hidden = true; shown = null; };
  const show = (cell) => {
    shown = cell;
    tip.textContent = cell.dataset.tip;
    tip.hidden = false;
    const at = cell.getBoundingClientRect();
    const box = tip.getBoundingClientRect();
    const wide = document.documentElement.clientWidth;
    const left = Math.min(Math.max(at.left + at.width / 2 - box.width / 2, 8), wide - box.width - 8);
    const above = at.top - box.height - 6;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 4 ? above : at.bottom + 6}px`;
  };
  for (const table of document.querySelectorAll(".heat")) {
    const rows = [...table.querySelectorAll("tbody tr, tfoot tr")].map((row) => [...row.querySelectorAll("td")]);
    rows.flat().forEach((cell, place) => {
      cell.dataset.tip = cell.title;
      cell.removeAttribute("title"); // the browser's own tip would come on top of ours
      cell.tabIndex = place === 0 ? 0 : -1;
    });
    table.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      const row = rows.findIndex((cells) => cells.includes(event.target));
      if (!step || row < 0) return;
      const next = rows[row + step[0]]?.[rows[row].indexOf(event.target) + step[1]];
      if (!next) return;
      event.preventDefault();
      event.target.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
    for (const name of ["mouseover", "focusin"]) {
      table.addEventListener(name, (event) => {
        const cell = event.target.closest("td");
        if (cell) show(cell); else hide();
      });
    }
    table.addEventListener("mouseleave", hide);
    table.addEventListener("focusout", hide);
  }
  addEventListener("scroll", () => shown && hide(), { capture: true, passive: true });
  addEventListener("keydown", (event) => event.key === "Escape" && hide());

  // ---- lost and gained items: filter and search ----
  const form = document.querySelector(".filter");
  if (!form) return;
  const items = [...document.querySelectorAll(".item")];
  const output = form.querySelector("output");
  const further = document.querySelector(".further");
  const button = further.querySelector("button");
  const printed = document.querySelector(".printed");
  const FIRST = 25; // a screenful; the button shows the rest
  let most = FIRST;
  const texts = new Map();
  const textOf = (item) => {
    if (!texts.has(item)) texts.set(item, item.textContent.toLowerCase());
    return texts.get(item);
  };
  const fits = (item, { search, task, arm, change }) => {
    if (task && item.dataset.task !== task) return false;
    const keys = item.dataset.keys.split(" ").map((key) => key.split("-"));
    if (!keys.some(([who, what]) => (!arm || who === arm) && (!change || what === change))) return false;
    return search.every((word) => textOf(item).includes(word));
  };
  const value = (name) => form.elements[name]?.value ?? "";
  const wanted = () => ({
    search: value("search").toLowerCase().split(/\s+/).filter(Boolean),
    task: value("task"),
    arm: value("arm"),
    change: value("change"),
  });
  const apply = () => {
    const now = wanted();
    let count = 0;
    for (const item of items) {
      const fit = fits(item, now);
      if (fit) count += 1;
      item.hidden = !fit || count > most;
    }
    const spelled = (number) => number.toLocaleString("en");
    output.textContent = count === items.length
      ? `${spelled(count)} items`
      : `${spelled(count)} of ${spelled(items.length)} items`;
    further.hidden = count <= most;
    button.textContent = `Show all ${spelled(count)}`;
    const shown = Math.min(count, most);
    printed.hidden = shown === items.length;
    printed.textContent = `${spelled(shown)} of ${spelled(items.length)} items are printed; ${printed.dataset.all} has them all.`;
  };
  button.addEventListener("click", () => {
    const next = items.find((item) => item.hidden && fits(item, wanted()));
    most = Infinity;
    apply();
    next?.querySelector("summary").focus();
  });
  let waiting = 0;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { most = FIRST; apply(); }, 80);
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
  form.hidden = false;
  apply();
})();
