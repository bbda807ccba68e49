// Keys: j and k move through a list, Enter opens, / searches, Escape leaves the search. Everything works without this.

const rows = () => [...document.querySelectorAll("table[data-keys] tbody tr")].filter((row) => row.querySelector("a.row"));
let current = -1;

function select(next) {
  const all = rows();
  if (all.length === 0) return;
  all[current]?.classList.remove("selected");
  current = Math.max(0, Math.min(next, all.length - 1));
  const row = all[current];
  row.classList.add("selected");
  row.querySelector("a.row").focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function isTyping(target) {
  return target instanceof Element && target.matches("input, textarea, select, [contenteditable]");
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const search = document.getElementById("q");
  if (isTyping(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "j") select(current + 1);
  else if (event.key === "k") select(current - 1);
  else if (event.key === "/" && search) search.focus();
  else return;
  event.preventDefault();
});

// A row reached with Tab is the current one too, so that j and k go on from there.
addEventListener("focusin", (event) => {
  const row = event.target instanceof Element ? event.target.closest("table[data-keys] tbody tr") : null;
  if (!row) return;
  const all = rows();
  all[current]?.classList.remove("selected");
  current = all.indexOf(row);
  all[current]?.classList.add("selected");
});
