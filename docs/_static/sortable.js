// Tables with a heading and three rows or more are sorted by a click on a heading.

// "0.952 (0.910 to 0.980)" counts as 0.952, "12 s" as 12, "1,000" as 1000, "-" as nothing.
function valueOf(row, column) {
  const text = row.cells[column]?.textContent.trim() ?? "";
  const number = parseFloat(text.replaceAll(",", "").replace(/^\D*?(?=[-+]?\.?\d)/, ""));
  return /^[-+<>~]?\d/.test(text) ? number : text.toLowerCase();
}

function compare(a, b) {
  if (typeof a === typeof b) return a < b ? -1 : Number(a > b);
  return typeof a === "number" ? -1 : 1; // words after numbers
}

function sort(table, column, heading) {
  const descending = heading.ariaSort === "ascending";
  const body = table.tBodies[0];
  const sign = descending ? -1 : 1;
  const rows = [...body.rows].map((row) => [valueOf(row, column), row]);
  rows.sort(([a], [b]) => (typeof a === typeof b ? sign : 1) * compare(a, b));
  body.append(...rows.map(([, row]) => row));
  for (const other of table.tHead.rows[0].cells) other.ariaSort = "none";
  heading.ariaSort = descending ? "descending" : "ascending";
}

document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("article table.docutils")) {
    if (!table.tHead || table.tHead.rows.length !== 1) continue;
    if (table.tBodies[0].rows.length < 3) continue;
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.title = "Sort by this column";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sort(table, column, heading));
      heading.classList.add("sortable");
      heading.append(button);
    });
  }
});
