"use strict";

if (document.getElementById("score-data")) {
  const { columns, values, step } = JSON.parse(document.getElementById("score-data").textContent);
  const [filters, search, table, more, count] = ["filters", "case", "table", "more", "count"].map((name) =>
    document.getElementById(`score-${name}`));
  const selects = [...filters.querySelectorAll("select")];
  const named = (name) => columns.find((column) => column.name === name);
  let order = sortedRows(values, 0);
  let matching = order;
  let shown = step;

  function keysOf(column) {
    if (column.name === "shown") return values;
    const rank = ranks(column.texts);
    return column.rows.map((text) => rank[text]);
  }

  function filter() {
    const part = search.value.trim().toLowerCase();
    const cases = named("case");
    const found = cases.texts.map((text) => text.toLowerCase().includes(part));
    const chosen = selects.filter((select) => select.value !== "")
      .map((select) => [named(select.dataset.column).rows, Number(select.value)]);
    matching = order.filter((row) =>
      found[cases.rows[row]] && chosen.every(([rows, text]) => rows[row] === text));
    shown = step;
    show();
  }

  function show() {
    const rows = matching.slice(0, shown).map((row) => {
      const line = document.createElement("tr");
      for (const column of columns) {
        const cell = line.insertCell();
        cell.textContent = column.texts[column.rows[row]];
        if (column.name === "shown") cell.className = "number";
      }
      return line;
    });
    table.tBodies[0].replaceChildren(...rows);
    const number = (n) => n.toLocaleString("en");
    const matched = matching.length === values.length ? "" : ` that match, of ${number(values.length)}`;
    count.textContent = matching.length === 0
      ? `No row of ${number(values.length)} matches.`
      : `${number(rows.length)} of ${number(matching.length)} rows${matched}.`;
    more.hidden = rows.length === matching.length;
  }

  makeSortable([...table.tHead.rows[0].cells], (column, direction) => {
    order = sortedRows(keysOf(columns[column]), direction);
    filter();
    table.closest(".scroll").scrollTop = 0;
  });
  search.addEventListener("input", filter);
  selects.forEach((select) => select.addEventListener("change", filter));
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("reset", () => setTimeout(filter)); // the fields are empty only after this event
  more.addEventListener("click", () => {
    shown += step;
    show();
  });
  filters.hidden = false;
  filter();
}
