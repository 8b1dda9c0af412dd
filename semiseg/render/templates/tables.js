"use strict";

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const keysOf = (column) => {
    const cells = rows.map((row) => row.cells[column]);
    if (!cells.some((cell) => "value" in cell.dataset)) return ranks(cells.map((cell) => cell.textContent));
    const numbers = cells.map((cell) => parseFloat(cell.dataset.value));
    return numbers.map((number) => (Number.isFinite(number) ? number : null));
  };
  makeSortable([...table.tHead.rows[0].cells], (column, direction) => {
    body.append(...sortedRows(keysOf(column), direction).map((row) => rows[row]));
  });
}
