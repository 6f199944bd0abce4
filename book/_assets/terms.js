// The definition of a term of the glossary, shown where the term stands: on pointing, on focus, on the first touch.
(function () {
  "use strict";
  let box = null, shown = null, touched = false, waiting = 0;

  function make() {
    box = document.createElement("div");
    box.id = "term-definition";
    box.className = "term-definition";
    box.setAttribute("role", "tooltip");
    box.hidden = true;
    box.addEventListener("pointerenter", function () { clearTimeout(waiting); });
    box.addEventListener("pointerleave", later);
    document.body.append(box);
  }
  function show(link) {
    clearTimeout(waiting);
    if (!box) make();
    if (shown && shown !== link) shown.removeAttribute("aria-describedby");
    shown = link;
    box.textContent = link.dataset.definition;
    box.hidden = false;
    link.setAttribute("aria-describedby", box.id);
    const at = link.getClientRects()[0], edge = 8;
    const left = Math.min(Math.max(edge, at.left), document.documentElement.clientWidth - box.offsetWidth - edge);
    const below = at.bottom + 6 + box.offsetHeight < innerHeight || at.top < box.offsetHeight + 6;
    box.style.left = `${left + scrollX}px`;
    box.style.top = `${(below ? at.bottom + 6 : at.top - box.offsetHeight - 6) + scrollY}px`;
  }
  function hide() {
    clearTimeout(waiting);
    if (!shown) return;
    shown.removeAttribute("aria-describedby");
    shown = null;
    box.hidden = true;
  }
  function later() { clearTimeout(waiting); waiting = setTimeout(hide, 250); }

  window.addEventListener("DOMContentLoaded", function () {
    for (const link of document.querySelectorAll("a[data-definition]")) {
      link.addEventListener("pointerdown", function (event) { touched = event.pointerType === "touch" && shown !== link; });
      link.addEventListener("click", function (event) {
        if (touched) { event.preventDefault(); show(link); }
        touched = false;
      });
      link.addEventListener("pointerenter", function (event) { if (event.pointerType !== "touch") show(link); });
      link.addEventListener("pointerleave", function (event) { if (event.pointerType !== "touch") later(); });
      link.addEventListener("focus", function () { if (!touched) show(link); });
      link.addEventListener("blur", hide);
    }
    document.addEventListener("keydown", function (event) { if (event.key === "Escape") hide(); });
    document.addEventListener("pointerdown", function (event) {
      if (shown && !box.contains(event.target) && !shown.contains(event.target)) hide();
    });
  });
})();
