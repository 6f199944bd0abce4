// The page of the search: results as one types, the query in the address, arrow keys from the field to the list and along it.
(function () {
  "use strict";
  const SHOWN = 12;
  const KINDS = { term: "Glossary", symbol: "Notation", theorem: "Statement", name: "Library" };
  const list = document.getElementById("search-results"), status = document.getElementById("search-status");
  const form = list.closest(".bd-search-container").querySelector("form"), field = form.querySelector("input[name=q]");
  const index = BookSearch.build(window.bookEntries);
  let most = SHOWN;

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }
  function link(hit, short) {
    const [page, anchor, title] = index.data.entries[hit.entry];
    const made = element("a", "", short ? title.split(" (")[0] : title);
    made.href = index.data.pages[page][0] + (anchor ? `#${anchor}` : "");
    return made;
  }
  function result({ page, hits }) {
    const item = element("li"), head = element("p", "search-title"), [first, ...rest] = hits;
    const [, , title, kind, text] = index.data.entries[first.entry];
    head.append(link(first));
    const where = [KINDS[kind], title === index.data.pages[page][1] ? "" : index.data.pages[page][1]];
    const said = where.filter((part, k) => part && where.indexOf(part) === k).join(" · ");
    if (said) head.append(element("span", "search-where", said));
    item.append(head);
    const shown = element("p", "search-excerpt");
    for (const [piece, asked] of BookSearch.excerpt(text, first.terms)) shown.append(asked ? element("mark", "", piece) : piece);
    if (shown.hasChildNodes()) item.append(shown);
    if (rest.length) {
      const more = element("p", "search-more", "Also there: ");
      rest.forEach(function (hit, k) { if (k) more.append(" · "); more.append(link(hit, true)); });
      item.append(more);
    }
    return item;
  }
  function show() {
    const query = field.value.trim();
    const found = query ? BookSearch.byPage(index, query) : [];
    list.replaceChildren(...found.slice(0, most).map(result));
    if (found.length > most) {
      const item = element("li", "search-rest"), button = element("button", "btn btn-sm", "Show all");
      button.type = "button";
      button.addEventListener("click", function () {
        const next = most;
        most = Infinity;
        show();
        list.children[next].querySelector("a").focus();
      });
      item.append(button);
      list.append(item);
    }
    const pages = found.length === 1 ? "1 page" : `${found.length} pages`;
    status.textContent = !query ? "" : found.length ? `${pages} found, the best first.` : `Nothing found for “${query}”. Try fewer or other words.`;
    document.title = query ? `${query} - Search` : "Search";
  }
  function address() {
    const url = new URL(location.href);
    url.searchParams.set("q", field.value.trim());
    return url.href;
  }
  let waiting = 0;
  field.addEventListener("input", function () {
    clearTimeout(waiting);
    waiting = setTimeout(function () {
      most = SHOWN;
      show();
      try { history.replaceState(null, "", address()); } catch (error) { /* a browser that has no addresses for files */ }
    }, 120);
  });
  form.addEventListener("submit", function (event) { event.preventDefault(); clearTimeout(waiting); show(); });
  document.addEventListener("keydown", function (event) {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const stops = [field, ...list.querySelectorAll(".search-title a")], at = stops.indexOf(document.activeElement);
    const next = at < 0 ? undefined : stops[at + (event.key === "ArrowDown" ? 1 : -1)];
    if (next) { event.preventDefault(); next.focus(); }
  });
  field.setAttribute("aria-describedby", "search-status");
  field.value = new URLSearchParams(location.search).get("q") || "";
  show();
  if (!field.value) field.focus();
})();
