// What the pages need beyond the theme.
(function () {
  "use strict";

  // A box that scrolls must be reachable by keyboard: make exactly the overflowing ones focusable and name them.
  const boxes =
    "mjx-container, .cell_output, .cell_output > .output, .table-scroll, .pst-scrollable-table-container, .highlight pre";
  function name(box) {
    if (box.matches("mjx-container")) return "Equation, scrolls sideways";
    if (box.querySelector("table")) return "Table, scrolls sideways";
    return "Content, scrolls sideways";
  }
  const smallest = 0.62;  // of its size a formula may become
  // What changes and what is measured take turns, each for the whole page: a size that is asked for after a change costs
  // a layout of everything.
  const all = (selector) => [...document.querySelectorAll(selector)];
  // The width of a formula and of the place it stands in: its paragraph in the text, its column on a line of its own.
  function extent(formula) {
    if (formula.parentElement.matches("div")) return [formula.scrollWidth, formula.clientWidth];
    let block = formula.parentElement;
    while (getComputedStyle(block).display === "inline") block = block.parentElement;
    return [formula.getBoundingClientRect().width, block.clientWidth];
  }
  // A formula wider than its place is set smaller; if that does not help, it scrolls, in the text as a box of its own.
  function shrink() {
    const formulas = all(".math > mjx-container");
    for (const formula of formulas) {
      formula.removeAttribute("data-wide");
      formula.dataset.size ??= formula.style.fontSize;  // MathJax's own, which matches the text around it
      formula.style.fontSize = formula.dataset.size;
    }
    const measured = formulas.map((formula) => [formula, ...extent(formula), parseFloat(getComputedStyle(formula).fontSize)]);
    for (const [formula, wide, room, full] of measured) {
      if (wide > room + 1) formula.style.fontSize = `${full * Math.max(smallest, 0.985 * room / wide)}px`;
      if (formula.parentElement.matches("span")) formula.toggleAttribute("data-wide", 0.985 * room / wide < smallest);
    }
  }
  // A table wider than its column is set tighter; where that does not help, or where on a narrow screen its cells become
  // columns of single words, it becomes a list: a block for each row, each cell after the name of its column.
  const narrow = 600, tallest = 200;  // of its place, and of a row
  function reflow() {
    const tables = all("article table[data-labelled]");
    const wide = (table) => {
      const box = table.parentElement;
      return box.scrollWidth > box.clientWidth + 1 || table.scrollWidth > box.clientWidth + 1;
    };
    const apply = (name, chosen) => chosen.forEach((table) => table.classList.add(name));
    for (const table of tables) table.classList.remove("as-list", "tight");
    const tight = tables.filter(wide);
    apply("tight", tight);
    const tall = (table) => table.parentElement.clientWidth < narrow && !table.querySelector("img, svg.figure")
      && [...table.rows].some((row) => row.cells.length > 2 && row.offsetHeight > tallest);
    const lists = tables.filter((table) => tall(table) || (table.classList.contains("tight") && wide(table)));
    lists.forEach((table) => table.classList.remove("tight"));
    apply("as-list", lists);
    for (const table of tables) fold(table, table.classList.contains("as-list"));
  }
  // As a list a long table is very long: the first rows, and a button that shows the rest. Only of claims and of what a
  // cell printed, which the text around them sums up; other tables, the verdicts first, are what the page is read for.
  const first = 4, many = 7, folding = ".claims, .cell_output table, section#scorecard table";
  function fold(table, listed) {
    const rows = table.querySelectorAll("tbody > tr").length;
    if (!table.matches(folding) || rows < many || "unfolded" in table.dataset) return;
    table.toggleAttribute("data-folded", listed);
    let button = table.nextElementSibling;
    if (!button || !button.matches(".rows-more")) {
      if (!listed) return;
      button = document.createElement("button");
      button.type = "button";
      button.className = "rows-more";
      button.textContent = `Show the other ${rows - first} rows`;
      button.addEventListener("click", function () {
        unfold(table);
        const next = table.querySelectorAll("tbody > tr")[first];
        next.tabIndex = -1;  // where reading goes on
        next.focus({ preventScroll: true });
      });
      table.after(button);
    }
    button.hidden = !listed;
  }
  function unfold(table) {
    table.dataset.unfolded = "";
    table.removeAttribute("data-folded");
    if (table.nextElementSibling && table.nextElementSibling.matches(".rows-more")) table.nextElementSibling.remove();
  }
  // What an address leads to is shown, folded or not.
  function reveal() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    const table = target.closest("table[data-folded]");
    if (table) unfold(table);
    const closed = target.matches(".cell_input") ? target.querySelector("details") || target.closest("details") : target.closest("details");
    if (closed) closed.open = true;
    if (table || closed) target.scrollIntoView();
  }
  // The cell at each place of some rows, those that span several places at all of them.
  function grid(rows) {
    const places = rows.map(() => []);
    rows.forEach(function (row, y) {
      let x = 0;
      for (const cell of row.children) {
        while (places[y][x]) x++;
        for (let dy = 0; dy < cell.rowSpan && y + dy < rows.length; dy++)
          for (let dx = 0; dx < cell.colSpan; dx++) places[y + dy][x + dx] = cell;
      }
    });
    return places;
  }
  function label() {
    for (const table of document.querySelectorAll("article table")) {
      const heads = grid([...table.querySelectorAll("thead tr")]), rows = [...table.querySelectorAll("tbody tr")];
      if (!heads.length || heads[0].length < 2) continue;
      grid(rows).forEach(function (row, y) {
        row.forEach(function (cell, x) {
          if (cell.parentElement !== rows[y] || cell.matches("th, :first-child") || cell.querySelector(".cell-label")) return;
          cell.toggleAttribute("data-empty", !cell.textContent.trim() && !cell.querySelector("img, svg, input, button"));
          if ("empty" in cell.dataset) return;  // a name without a value says nothing
          const span = document.createElement("span");
          span.className = "cell-label";
          span.setAttribute("aria-hidden", "true");
          for (const head of new Set(heads.map((line) => line[x])))
            if (head && head.textContent.trim()) {
              if (span.hasChildNodes()) span.append(", ");
              for (const node of head.childNodes) span.append(node.cloneNode(true));
            }
          if (span.hasChildNodes()) cell.prepend(span);
        });
      });
      table.dataset.labelled = "";
    }
  }
  function mark() {
    shrink();
    reflow();
    const measured = all(boxes).map((box) => [box, scrolls(box), more(box)]);
    for (const [box, scrolling, hidden] of measured) {
      if (scrolling && box.tabIndex < 0) {  // the theme says -1 of what did not scroll before its fonts came
        box.setAttribute("tabindex", "0");
        box.setAttribute("role", "group");
        box.setAttribute("aria-label", name(box));
        box.dataset.scrollBox = "";
      } else if (!scrolling && "scrollBox" in box.dataset) {
        for (const key of ["tabindex", "role", "aria-label", "data-scroll-box"]) box.removeAttribute(key);
      }
      edge(box, hidden);
    }
  }
  function scrolls(box) {
    return /auto|scroll/.test(getComputedStyle(box).overflowX) && box.scrollWidth > box.clientWidth + 1;
  }
  function more(box) {
    return box.scrollLeft + box.clientWidth < box.scrollWidth - 2;
  }
  // Shade the right edge while there is more to see beyond it.
  function edge(box, hidden) {
    box.toggleAttribute("data-more", "scrollBox" in box.dataset && hidden);
  }
  document.addEventListener("scroll", function (event) { if (event.target.dataset) edge(event.target, more(event.target)); }, true);
  // Tables of prose pages have no box of their own to scroll in.
  function wrap() {
    for (const table of document.querySelectorAll("article table")) {
      if (table.closest(".pst-scrollable-table-container, .cell_output, .table-scroll")) continue;
      const box = document.createElement("div");
      box.className = "table-scroll";
      table.before(box);
      box.append(table);
    }
  }
  // Browsers break lines between a formula and the punctuation that touches it; keep them together.
  function join() {
    for (const formula of document.querySelectorAll("article span.math")) {
      const before = formula.previousSibling, after = formula.nextSibling;
      const opening = before && before.nodeType === Node.TEXT_NODE && before.data.match(/[([\u201c\u2018]+$/);
      const closing = after && after.nodeType === Node.TEXT_NODE && after.data.match(/^[.,;:!?)\]\u201d\u2019]+/);
      if (!opening && !closing) continue;
      const span = document.createElement("span");
      span.className = "together";
      formula.before(span);
      if (opening) span.append(before.splitText(before.length - opening[0].length));
      span.append(formula);
      if (closing) { after.splitText(closing[0].length); span.append(after); }
    }
  }
  window.addEventListener("DOMContentLoaded", function () { wrap(); label(); join(); mark(); reveal(); });
  window.addEventListener("hashchange", reveal);
  window.addEventListener("load", function () {
    const ready = window.MathJax && MathJax.startup && MathJax.startup.promise;
    Promise.resolve(ready).then(() => document.fonts.ready).then(mark);
  });
  // Not the window's size: the side bars fold a moment after it changes.
  let width = 0;
  const watch = new ResizeObserver(function ([article]) {
    if (article.contentRect.width === width) return;
    width = article.contentRect.width;
    mark();
  });
  window.addEventListener("DOMContentLoaded", function () {
    for (const article of document.querySelectorAll("article")) watch.observe(article);
  });
  document.addEventListener("toggle", mark, true);  // what was folded has no width before it is opened
  document.fonts.addEventListener("loadingdone", mark);  // widths change with the fonts of the mathematics

  // Paper does not scroll: shrink what is wider than the column (about 620 px on A4 and letter).
  const column = 620;
  const root = document.documentElement;
  window.addEventListener("beforeprint", function () {
    if (root.dataset.theme === "dark") {  // paper is light, and browsers leave backgrounds out
      root.dataset.theme = "light";
      root.dataset.shownDark = "";
    }
    for (const box of document.querySelectorAll("article :is(mjx-container, .cell_output > .text_html, table)"))
      if (box.scrollWidth > column && !box.parentElement.closest("[data-shrunk]")) {
        box.dataset.shrunk = "";
        box.style.zoom = column / box.scrollWidth;
      }
  });
  window.addEventListener("afterprint", function () {
    if ("shownDark" in root.dataset) root.dataset.theme = "dark";
    delete root.dataset.shownDark;
    for (const box of document.querySelectorAll("[data-shrunk]")) {
      box.style.zoom = "";
      delete box.dataset.shrunk;
    }
  });
})();
