// Refreshes what changes while the page is open. The page works without this.
"use strict";

(() => {
  const live = document.getElementById("live");
  const lost = document.getElementById("lost");

  // A box in the head of a table of tasks selects all of them.
  for (const table of document.querySelectorAll("form table")) {
    const boxes = [...table.querySelectorAll('tbody input[type="checkbox"]')];
    // Enter on a box would press a button of the form.
    for (const box of boxes) box.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
    const head = table.querySelector("thead th");
    if (boxes.length === 0 || !head) continue;
    const all = document.createElement("input");
    all.type = "checkbox";
    all.setAttribute("aria-label", "Select all on this page");
    all.addEventListener("change", () => boxes.forEach((box) => (box.checked = all.checked)));
    head.append(all);
  }

  if (!live) return;
  const every = Number(live.dataset.every) * 1000;
  let since = new Date();

  // Nothing is replaced under somebody's hands.
  const isInUse = () =>
    live.contains(document.activeElement) ||
    live.querySelector("details[open] summary:hover, a:hover, button:hover") !== null ||
    String(getSelection()).length > 0;

  const say = (text) => {
    if (lost.textContent !== text) lost.textContent = text;
    lost.hidden = text === "";
  };

  const refresh = async () => {
    if (document.hidden || isInUse()) return;
    try {
      const response = await fetch(location.href, { signal: AbortSignal.timeout(30_000) });
      const text = await response.text();
      if (!response.ok) throw new Error(`the page answered ${response.status}`);
      const next = new DOMParser().parseFromString(text, "text/html");
      const fresh = next.getElementById("live");
      if (isInUse()) return;
      if (fresh) {
        live.replaceChildren(...fresh.childNodes);
      } else {
        location.reload();
      }
      const facts = next.querySelector(".facts");
      if (facts) document.querySelector(".facts").replaceWith(facts);
      since = new Date();
      say("");
    } catch (error) {
      say(`The connection is lost (${error.message}). What is shown is from ${since.toLocaleTimeString()}.`);
    }
  };

  setInterval(refresh, every);
  document.addEventListener("visibilitychange", refresh);
})();
