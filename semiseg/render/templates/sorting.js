"use strict";

const collator = new Intl.Collator("en", { numeric: true });

/* Turns column headings into buttons; onSort(column, direction) is told of each click: 1 up, -1 down, 0 as it came. */
function makeSortable(headings, onSort) {
  const following = { none: "ascending", ascending: "descending", descending: "none" };
  const directions = { none: 0, ascending: 1, descending: -1 };
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const state = following[heading.getAttribute("aria-sort")];
      headings.forEach((other) => other.setAttribute("aria-sort", "none"));
      heading.setAttribute("aria-sort", state);
      onSort(column, directions[state]);
    });
  });
}

/* Row numbers in the order of their keys: numbers, or null where there is none; these come last either way. */
function sortedRows(keys, direction) {
  const rows = Array.from(keys, (_, row) => row);
  if (direction === 0) return rows;
  const last = (key) => (key === null ? 1 : 0);
  return rows.sort((a, b) => last(keys[a]) - last(keys[b]) || direction * (keys[a] - keys[b]) || a - b);
}

/* For each text its rank, so that texts are compared once and not in every sorting. */
function ranks(texts) {
  const rank = new Map([...new Set(texts)].sort(collator.compare).map((text, index) => [text, index]));
  return texts.map((text) => rank.get(text));
}
