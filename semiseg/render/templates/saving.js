"use strict";

/* Buttons that copy or save what a table or a figure shows: for a spreadsheet, a manuscript or a slide. */
const cellsOf = (table) => [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const asCsv = (rows) => rows.map((row) => row.map(quoted).join(",")).join("\n") + "\n";
const inLatex = (text) => text.replace(/[\\{}$&#^_%~]/g, (sign) => ({ "\\": "\\textbackslash{}", "^": "\\textasciicircum{}",
  "~": "\\textasciitilde{}" }[sign] ?? "\\" + sign)).replaceAll("–", "--").replaceAll("±", "$\\pm$");
const asLatex = (rows) => {
  const lines = rows.map((row) => row.map(inLatex).join(" & ") + " \\\\");
  const [head, ...body] = lines;
  return [`\\begin{tabular}{${"l".repeat(rows[0].length)}}`, "\\hline", head, "\\hline", ...body, "\\hline",
    "\\end{tabular}", ""].join("\n");
};

function save(name, href) {
  const link = document.createElement("a");
  link.download = name;
  link.href = href;
  link.click();
}

function saveText(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  save(name, url);
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function buttons(actions, label) {
  const row = document.createElement("div");
  row.className = "saves";
  for (const [title, act] of actions) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = title;
    button.setAttribute("aria-label", `${title}: ${label}`);
    button.addEventListener("click", () => act(button));
    row.append(button);
  }
  return row;
}

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed here";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

for (const table of document.querySelectorAll("table[data-name]")) {
  const name = table.dataset.name;
  table.closest(".scroll").after(buttons([
    ["Copy", (button) => copy(button, cellsOf(table).map((row) => row.join("\t")).join("\n"))],
    ["CSV", () => saveText(`${name}.csv`, asCsv(cellsOf(table)))],
    ["LaTeX", () => saveText(`${name}.tex`, asLatex(cellsOf(table)))],
  ], table.caption.textContent));
}
for (const figure of document.querySelectorAll("figure[data-name]")) {
  const image = figure.querySelector("img");
  figure.append(buttons([["SVG", () => save(`${figure.dataset.name}.svg`, image.src)]], image.alt.slice(0, 80)));
}
