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
  function mark() {
    for (const box of document.querySelectorAll(boxes)) {
      const scrolls = /auto|scroll/.test(getComputedStyle(box).overflowX) && box.scrollWidth > box.clientWidth + 1;
      if (scrolls && !box.hasAttribute("tabindex")) {
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
  window.addEventListener("DOMContentLoaded", function () { wrap(); mark(); });
  window.addEventListener("load", function () {
    const ready = window.MathJax && MathJax.startup && MathJax.startup.promise;
    Promise.all([ready, document.fonts.ready]).then(mark);
  });
  window.addEventListener("resize", mark);

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
