"use strict";
// each column header becomes a button that sorts the rows of each body; what has no figure comes last
for (const table of document.querySelectorAll("table.figures")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    header.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const falling = header.getAttribute("aria-sort") === "ascending";
      for (const other of headers) other.setAttribute("aria-sort", "none");
      header.setAttribute("aria-sort", falling ? "descending" : "ascending");
      for (const body of table.tBodies) {
        body.append(...[...body.rows].sort((a, b) => compare(a.cells[column], b.cells[column], falling ? -1 : 1)));
      }
    });
  });
}

function compare(a, b, sign) {
  const [x, y] = [key(a), key(b)];
  if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
  if (typeof x === "number") return sign * (x - y);
  return sign * x.localeCompare(y, "en", { numeric: true });
}

function key(cell) {
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = Number(text);
  return text !== "" && !Number.isNaN(number) ? number : text;
}
