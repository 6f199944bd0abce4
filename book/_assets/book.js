// What the pages need beyond the theme.
(function () {
  "use strict";

  // From file:// a page may not fetch other pages, so the search lists titles without excerpts there.
  if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined")
    DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

  // A box that scrolls must be reachable by keyboard: make exactly the overflowing ones focusable and name them.
  const boxes =
    "mjx-container, .cell_output, .cell_output > .output, .table-scroll, .pst-scrollable-table-container, .highlight pre";
  function name(box) {
    if (box.matches("mjx-container")) return "Equation, scrolls sideways";
    if (box.querySelector("table")) return "Table, scrolls sideways";
    return "Content, scrolls sideways";
  }
  // A formula in the text becomes a scrolling box only where it is wider than its paragraph.
  function widen() {
    for (const formula of document.querySelectorAll("span.math > mjx-container")) {
      formula.removeAttribute("data-wide");
      let block = formula.parentElement;
      while (getComputedStyle(block).display === "inline") block = block.parentElement;
      formula.toggleAttribute("data-wide", formula.getBoundingClientRect().width > block.clientWidth + 1);
    }
  }
  function mark() {
    widen();
    for (const box of document.querySelectorAll(boxes)) {
      const scrolls = /auto|scroll/.test(getComputedStyle(box).overflowX) && box.scrollWidth > box.clientWidth + 1;
      if (scrolls && box.tabIndex < 0) {  // the theme says -1 of what did not scroll before its fonts came
        box.setAttribute("tabindex", "0");
        box.setAttribute("role", "group");
        box.setAttribute("aria-label", name(box));
        box.dataset.scrollBox = "";
      } else if (!scrolls && "scrollBox" in box.dataset) {
        for (const key of ["tabindex", "role", "aria-label", "data-scroll-box"]) box.removeAttribute(key);
      }
      edge(box);
    }
  }
  // Shade the right edge while there is more to see beyond it.
  function edge(box) {
    box.toggleAttribute("data-more", "scrollBox" in box.dataset && box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
  }
  document.addEventListener("scroll", function (event) { if (event.target.dataset) edge(event.target); }, true);
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
  window.addEventListener("DOMContentLoaded", function () { wrap(); join(); mark(); });
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
  document.fonts.addEventListener("loadingdone", mark);  // widths change with the fonts of the mathematics

  // Paper does not scroll: shrink what is wider than the column (about 620 px on A4 and letter).
  const column = 620;
  window.addEventListener("beforeprint", function () {
    for (const box of document.querySelectorAll("article :is(mjx-container, .cell_output > .text_html, table)"))
      if (box.scrollWidth > column && !box.parentElement.closest("[data-shrunk]")) {
        box.dataset.shrunk = "";
        box.style.zoom = column / box.scrollWidth;
      }
  });
  window.addEventListener("afterprint", function () {
    for (const box of document.querySelectorAll("[data-shrunk]")) {
      box.style.zoom = "";
      delete box.dataset.shrunk;
    }
  });
})();
