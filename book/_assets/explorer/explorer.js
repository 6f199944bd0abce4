// The explorer: choose a law or drop a table, move the budget, and see what any method can buy. Nothing leaves the page.
(function () {
  "use strict";
  const Explorer = window.Explorer, { laws, divergences } = Explorer;
  const POINTS = 64, LARGEST_N = 64, MOST_BUDGET = 1000, MARKED = [2, 4, 8, 16, 32, 64];
  const UNKNOWN = "\0";  // no name of a column: tables hold no null characters
  const START = { law: "gaussian", budget: 0.5, n: 4, divergence: "kl", bounds: true };

  const text = (value, digits = 3) => {
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "none";
    const short = value.toPrecision(digits);
    return (value === 0 || (Math.abs(value) >= 1e-4 && Math.abs(value) < 1e6) ? String(+short) : short).replace(/-/g, "−");
  };

  function node(parent, name, attributes = {}, content = null) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(key, value);
    if (content !== null) made.textContent = content;
    parent.append(made);
    return made;
  }

  // What the budget is measured in: KL where the source has no limit in what is chosen.
  const measure = (state, source) => (Explorer.offered(source).includes(state.divergence) ? state.divergence : "kl");

  // What is drawn and said, from the state and the source: numbers only, no page. Tests call it too.
  function compute(state, source) {
    const measured = measure(state, source), inKl = measured === "kl";
    const end = Explorer.endOf(source, measured);
    const best = (n) => Explorer.bestOf(source, n, measured), chosenBest = best(state.n);
    // The right end moves in steps, so that the curve is kept while a slider moves.
    const asked = Math.max(1.3 * state.budget, inKl ? 2.2 : 0.5, 1.15 * chosenBest.kl);
    const top = Math.min(2.2 * 1.5 ** Math.ceil(Math.log(asked / 2.2) / Math.log(1.5) - 1e-9), Number.isFinite(end.kl) ? 1.05 * end.kl : Infinity);
    const point = Explorer.frontierAt(source, state.budget, measured);
    const curve = Explorer.curveUpTo(source, top, measured, POINTS);
    const marks = [...new Set([...MARKED, state.n])].sort((a, b) => a - b).map((n) => ({ n, ...best(n) }));
    const kept = (source.atBest = source.atBest || new Map()), key = `${measured} ${state.n}`;  // of a large table slow
    if (!kept.has(key)) kept.set(key, Explorer.frontierAt(source, chosenBest.kl, measured));
    const atBest = kept.get(key);
    return { measured, top, end, point, curve, marks, best: chosenBest, atBest, supported: inKl ? source.supported ?? Infinity : Infinity };
  }

  // A law by its name and parameter, or a table of samples, as one source of numbers.
  const lawSource = (name, value) => laws[name].make(value);

  // Of rewards within a range on each prompt: its mean square stands for the range, as the budget is an average.
  function hoeffding(table) {
    let square = 0;
    for (let x = 0; x < table.count; x++) square += (table.reward[table.start[x]] - table.reward[table.start[x + 1] - 1]) ** 2;
    return (kl) => Explorer.subGaussian(kl, Math.sqrt(square / table.count) / 2);
  }

  function tableSource(table) {
    const scale = Explorer.tailScale(table), at = (lam) => Explorer.tilted(table, lam);
    const lam = Explorer.supportedLam(table, scale);
    return {
      table, at, firstLam: table.sd > 0 ? 1 / table.sd : 1, supportedLam: lam,
      supported: lam === Infinity ? Infinity : lam > 0 ? at(lam).kl : 0,
      bestOf: (n, name) => Explorer.bestOfTable(table, n, name), bounds: [{ title: "Hoeffding's bound", at: hoeffding(table) }],
    };
  }

  function sentence(state, source, found) {
    const { point, best, atBest, measured } = found, unit = divergences[measured].unit;
    const within = `${text(state.budget)}${unit ? ` ${unit}` : ""} of ${divergences[measured].title}`;
    const lines = [
      point.above ? `Within ${within} no method gains more than ${text(point.gain)}, all reward but for what rounding hides (λ above ${text(point.above)}, β below ${text(1 / point.above)}).`
        : point.lam === Infinity ? `Within ${within} all reward is gained: ${text(point.gain)} over the base model, from ${text(point.kl)} on.`
        : `Within ${within} no method gains more than ${text(point.gain)} (λ = ${text(point.lam)}, β = ${text(1 / point.lam)}).`,
    ];
    if (state.budget > found.supported)
      lines.push(found.supported > 0 ? `These samples support budgets up to about ${text(found.supported, 2)} nats of the table's own law; beyond, a few of them carry it.`
        : "These samples support no budget; the table's own law is shown.");
    else if (source.supported !== undefined && measured !== "kl")  // of samples: a law has none
      lines.push("How far these samples support it is marked in KL alone.");
    if (source.table && source.table.gold)
      lines.push(`Along the limit the gold reward then changes by ${text(point.gold)}.`);
    if (atBest.gain > 0)
      lines.push(`Best-of-${state.n} spends ${text(best.kl)}${unit ? ` ${unit}` : ""} and gains ${text(best.gain)}, ${text((100 * best.gain) / atBest.gain)} % of the limit at that ${measured === "kl" ? "KL" : "budget"}${best.kl > found.supported ? ", which these samples do not support" : ""}.`);
    return lines.join(" ");
  }

  // State and address: #law=gaussian&value=1&budget=0.5…; what is not understood is left at its start.
  function fromAddress() {
    const state = { ...START }, given = new URLSearchParams(location.hash.slice(1));
    if (Object.hasOwn(laws, given.get("law"))) state.law = given.get("law");
    const { value: usual, least, most } = laws[state.law].parameter;
    state.value = usual;
    const number = (key, low, high) => {
      const value = Number(given.get(key));
      if (given.get(key) && value >= low && value <= high) state[key] = value;
    };
    number("value", least, most);
    number("budget", 0, MOST_BUDGET);
    if (Number.isInteger(Number(given.get("n")))) number("n", 1, LARGEST_N);
    if (Object.hasOwn(divergences, given.get("divergence"))) state.divergence = given.get("divergence");
    if (given.has("bounds")) state.bounds = given.get("bounds") !== "0";
    if (given.get("law") === "table") state.law = "table";  // its file is the reader's to choose again
    return state;
  }

  function toAddress(state) {
    const hash = new URLSearchParams({ law: state.law, ...(state.law === "table" ? {} : { value: state.value }), budget: +state.budget.toPrecision(6), n: state.n, divergence: state.divergence, bounds: state.bounds ? 1 : 0 });
    history.replaceState(null, "", `#${hash}`);
  }

  let made = 0;
  function start(holder) {
    const small = holder.classList.contains("explorer-small"), id = `explorer-${made++}`;
    const state = small ? { ...START, value: laws[START.law].parameter.value } : fromAddress();
    let cells = null, source = lawSource(state.law === "table" ? START.law : state.law, state.value), again = state.law === "table";

    const app = node(holder, "div", { class: "explorer-app" });
    const form = node(app, "form", { "aria-label": "What is shown" });
    form.addEventListener("submit", (event) => event.preventDefault());
    let controls = node(form, "div", { class: "controls" }), fields = 0;
    const field = (label, build) => {
      const box = node(controls, "div", { class: "field" });
      const name = `${id}-${fields++}`;
      node(box, "label", { for: name }, label);
      return build(box, name);
    };
    const choice = (label, options) => field(label, (box, name) => {
      const select = node(box, "select", { id: name });
      for (const [value, title] of options) node(select, "option", { value }, title);
      return select;
    });
    // A number typed: one that is not taken is marked, with a word why, until another is or the picture sets its own.
    const exact = (box, attributes) => {
      const input = node(box, "input", { type: "number", step: "any", ...attributes }), why = `${id}-why-${fields++}`;
      input.setAttribute("aria-describedby", why);
      input.why = node(box, "span", { class: "why", id: why, "aria-live": "polite" });
      return input;
    };
    const taken = (input, why = "") => {
      input.setAttribute("aria-invalid", String(why !== ""));
      input.why.textContent = why && `Not taken: ${why}`;
      return why === "";
    };
    const set = (input, value) => { input.value = value; taken(input); };
    const slider = (label, least, most, step) => field(label, (box, name) => {
      const row = node(box, "div", { class: "slide" });
      const range = node(row, "input", { type: "range", id: name, min: least, max: most, step });
      const value = exact(row, { min: 0, "aria-label": `${label}, exactly` });
      return { range, value };
    });

    const law = choice("Rewards", [...Object.entries(laws).map(([key, one]) => [key, one.title]), ...(small ? [] : [["table", "Your table (CSV)"]])]);
    const value = field("Parameter", (box, name) => exact(box, { id: name }));
    let drop = null, columns = null, message = null;
    if (!small) {
      drop = node(form, "div", { class: "drop", hidden: "" });
      node(drop, "label", { for: `${id}-file` }, "A CSV file, one row for each sampled response (drop it here or choose it; it stays in this browser):");
      node(drop, "input", { type: "file", id: `${id}-file`, accept: ".csv,.tsv,.txt,text/csv" });
      message = node(drop, "p", { class: "message", role: "alert" });
      columns = node(drop, "div", { class: "columns", hidden: "" });
    }
    const picture = node(form, "div", { class: "picture" });
    const output = node(form, "output", { class: "said", "aria-live": "polite" });
    controls = node(form, "div", { class: "controls" });

    const budget = slider("Budget Δ", 0, 1, 0.001);
    const beta = small ? null : field("Penalty β = 1/λ", (box, name) => exact(box, { id: name, min: 0 }));
    const many = slider("N of best-of-N", 1, LARGEST_N, 1);
    many.range.min = "1";
    const divergence = small ? null : choice("Budget measured in", Object.entries(divergences).map(([key, one]) => [key, one.title]));
    const bounds = small ? null : field("Older bounds", (box, name) => node(box, "input", { type: "checkbox", id: name }));

    const details = small ? null : node(app, "details", {});
    let numbers = null;
    if (details) {
      node(details, "summary", {}, "The numbers");
      numbers = node(details, "div", { class: "numbers" });
    }

    function table(found) {
      numbers.textContent = "";
      const grid = node(numbers, "table", {});
      const row = (parent, cellsOf, kind) => { const tr = node(parent, "tr"); for (const one of cellsOf) node(tr, kind, kind === "th" ? { scope: "col" } : {}, one); };
      row(node(grid, "thead"), ["what", divergences[found.measured].title, "gain", ...(source.table && source.table.gold ? ["gold"] : [])], "th");
      const body = node(grid, "tbody"), gold = (v) => (source.table && source.table.gold ? [text(v, 6)] : []);
      const told = (kl) => (kl > found.supported ? ", which these samples do not support" : "");
      row(body, [`limit at the budget${told(found.point.kl)}`, text(found.point.kl, 6), text(found.point.gain, 6), ...gold(found.point.gold ?? NaN)], "td");
      for (const mark of found.marks) row(body, [`best-of-${mark.n}${told(mark.kl)}`, text(mark.kl, 6), text(mark.gain, 6), ...gold(mark.gold ?? NaN)], "td");
    }

    function draw() {
      const found = compute(state, source), kl = found.measured === "kl";
      const lines = [{ points: found.curve, kind: "limit", title: "limit" }];
      if (state.bounds && kl)
        for (const bound of source.bounds) {
          const points = [];
          for (let k = 0; k <= POINTS; k++) { const at = found.top * (k / POINTS) ** 2; points.push([at, bound.at(at)]); }
          lines.push({ points, kind: "bound", title: bound.title });
        }
      const marks = found.marks.map((mark) => ({ x: mark.kl, y: mark.gain, kind: "best", chosen: mark.n === state.n, label: mark.n === state.n ? `best of ${mark.n}` : String(mark.n) }));
      const unit = divergences[found.measured].unit, xLabel = `${divergences[found.measured].title} to the base model${unit ? `, ${unit}` : ""}`;
      const panels = [{ lines, marks: marks.filter((m) => m.x <= found.top), chosen: { x: Math.min(found.point.kl, found.top), y: found.point.gain }, xLabel, yLabel: "gain in reward",
        title: "", xMost: found.top, supported: found.supported }];
      if (source.table && source.table.gold)
        panels.push({ lines: [{ points: found.curve.map(([a, , c]) => [a, c]), kind: "gold", title: "gold" }], marks: [], chosen: null, xLabel, yLabel: "gain in gold reward along the proxy's limit", title: "", xMost: found.top, supported: found.supported });
      const said = sentence(state, source, found);
      Explorer.draw(picture, panels, said);
      output.textContent = said;
      if (numbers) table(found);
      return found;
    }

    // A budget of the slider: a square, for the limit rises like a square root.
    const sliderTop = () => Math.sqrt(Math.min(Explorer.endOf(source, measure(state, source)).kl, 6));
    function show(skip = null) {
      const isTable = state.law === "table", waits = isTable && !cells;
      if (small && !laws[state.law]) state.law = START.law;
      law.value = state.law;
      value.parentElement.hidden = isTable;
      if (!isTable) {
        const { label, least, most } = laws[state.law].parameter;
        value.previousElementSibling.textContent = label;
        Object.assign(value, { min: least, max: most });
        if (skip !== value) set(value, state.value);
      }
      if (drop) drop.hidden = !isTable;
      if (divergence) {
        const offered = Explorer.offered(source);
        for (const one of divergence.options) one.disabled = !offered.includes(one.value);
        divergence.value = measure(state, source);
        divergence.title = offered.length > 2 ? "" : "In the others any budget buys any gain: these rewards have no largest one";
        bounds.checked = state.bounds;
        bounds.parentElement.hidden = !source.bounds.length;
      }
      if (skip !== budget.range) budget.range.value = Math.min(Math.sqrt(state.budget) / sliderTop(), 1);
      if (skip !== budget.value) set(budget.value, +state.budget.toPrecision(4));
      if (skip !== many.range) many.range.value = state.n;
      if (skip !== many.value) set(many.value, state.n);
      if (!small) toAddress(state);
      if (waits) {
        picture.textContent = "";
        output.textContent = message.textContent ? "" : again ? "Choose the file again: the address holds what is shown, but not the table." : "Choose a file to see its limit.";
        if (numbers) numbers.textContent = "";
        return;
      }
      const found = draw();
      budget.range.setAttribute("aria-valuetext", `${text(state.budget)} ${divergences[found.measured].unit}`);
      many.range.setAttribute("aria-valuetext", `best of ${state.n}`);
      if (beta && skip !== beta) set(beta, found.point.lam === Infinity || found.point.lam === 0 ? "" : +(1 / found.point.lam).toPrecision(4));
    }

    law.addEventListener("change", () => {
      state.law = law.value;
      if (state.law === "table") { if (cells) source = cells.source; }
      else {
        state.value = laws[state.law].parameter.value;
        source = lawSource(state.law, state.value);
      }
      show();
    });
    value.addEventListener("input", () => {
      const { least, most } = laws[state.law].parameter, given = Number(value.value);
      if (!taken(value, value.value !== "" && given >= least && given <= most ? "" : `a number from ${least} to ${most}. Shown is ${state.value}.`)) return;
      state.value = given;
      source = lawSource(state.law, given);
      show(value);
    });
    const setBudget = (given, from) => { state.budget = given; show(from); };
    budget.range.addEventListener("input", () => setBudget((Number(budget.range.value) * sliderTop()) ** 2, budget.range));
    budget.value.addEventListener("input", () => {
      const given = Number(budget.value.value), good = budget.value.value !== "" && given >= 0 && given <= MOST_BUDGET;
      if (taken(budget.value, good ? "" : `a number from 0 to ${MOST_BUDGET}. Shown is ${text(state.budget)}.`)) setBudget(given, budget.value);
    });
    const setN = (given, from) => { state.n = given; show(from); };
    many.range.addEventListener("input", () => setN(Number(many.range.value), many.range));
    many.value.addEventListener("input", () => {
      const given = Number(many.value.value), good = Number.isInteger(given) && given >= 1 && given <= LARGEST_N;
      if (taken(many.value, good ? "" : `a whole number from 1 to ${LARGEST_N}. Shown is ${state.n}.`)) setN(given, many.value);
    });
    if (beta) beta.addEventListener("input", () => {
      const given = Number(beta.value), lam = 1 / given, name = measure(state, source);
      const most = Math.min(name === "kl" && source.mostLam ? source.mostLam : Infinity, Explorer.farthest(source.firstLam));
      const some = given > 0 && lam > 0, spent = some && lam < most ? Explorer.along(source, name)(lam).kl : NaN;
      const shown = `Shown is the budget ${text(state.budget)}.`;
      if (taken(beta, !some ? `a number above 0. ${shown}` : spent <= MOST_BUDGET ? "" : `the limit there spends more than ${MOST_BUDGET}. ${shown}`)) setBudget(spent, beta);
    });
    if (divergence) divergence.addEventListener("change", () => { state.divergence = divergence.value; show(); });
    if (bounds) bounds.addEventListener("change", () => { state.bounds = bounds.checked; show(); });

    async function take(file) {
      message.textContent = "";
      again = false;
      columns.hidden = true;
      cells = null;
      try {
        if (file.size > 4e8) throw new Explorer.Refused("The file is larger than 400 MB; use the command instead.");
        const bytes = new Uint8Array(await file.arrayBuffer());
        const wide = { "255,254": "utf-16le", "254,255": "utf-16be" }[bytes.slice(0, 2)];  // as Windows PowerShell writes tables
        const read = Explorer.read(new TextDecoder(wide || "utf-8", { fatal: true }).decode(bytes));
        ask(read);
      } catch (error) {
        message.textContent = error instanceof Explorer.Refused ? error.message : error instanceof TypeError ? "The file is not UTF-8 text; save it as UTF-8." : `The file could not be read: ${error.message}`;
        show();
      }
    }
    // Which column is what: guessed, and the reader's to change.
    function ask(read) {
      const guess = Explorer.guess(read), chosen = {};
      columns.textContent = "";
      columns.hidden = false;
      const select = (label, key, names, none, open = null) => {
        const box = node(columns, "div", { class: "field" });
        node(box, "label", { for: `${id}-${key}` }, label);
        const list = node(box, "select", { id: `${id}-${key}` });
        if (open) node(list, "option", { value: UNKNOWN }, open);
        if (none) node(list, "option", { value: "" }, none);
        for (const one of names) node(list, "option", { value: one }, one);
        list.value = open ? UNKNOWN : guess[key];
        chosen[key] = list;
        list.addEventListener("change", go);
      };
      select("Reward", "reward", guess.numeric, null);
      select("Prompt", "prompt", read.header, "one prompt", guess.perhaps.length ? "choose…" : null);
      select("Gold reward", "gold", guess.numeric, "none");
      const note = node(columns, "p", { class: "note" });
      function go() {
        message.textContent = "";
        try {
          if (!chosen.reward.value) throw new Explorer.Refused(Explorer.noNumbers(read));
          if (chosen.prompt.value === UNKNOWN) throw new Explorer.Refused(`Choose the column that names the prompt (${guess.perhaps.map(Explorer.shown).join(" or ")} repeats itself), or “one prompt”.`);
          const table = Explorer.table(read, chosen.reward.value, chosen.prompt.value, chosen.gold.value);
          if (table.tiny) throw new Explorer.Refused("The rewards differ by less than 1e-100; multiply the column by a constant.");
          if (!(table.sd > 0)) throw new Explorer.Refused("The reward does not vary within any prompt: there is nothing to gain.");
          source = tableSource(table);
          cells = { source };
          note.textContent = `${table.rows} responses to ${table.count} ${table.count === 1 ? "prompt" : "prompts"}. The curve is the law of the table itself, without the correction for few samples and without intervals: the command “alignlib frontier” gives both.`;
        } catch (error) {
          if (!(error instanceof Explorer.Refused)) throw error;
          cells = null;
          message.textContent = error.message;
        }
        show();
      }
      go();
    }
    if (drop) {
      // Emptied when it is opened, or the same file, edited meanwhile, would be no change.
      drop.querySelector("input").addEventListener("click", (event) => { event.target.value = ""; });
      drop.querySelector("input").addEventListener("change", (event) => { if (event.target.files.length) take(event.target.files[0]); });
      for (const kind of ["dragover", "drop"]) app.addEventListener(kind, (event) => {
        event.preventDefault();
        if (kind === "drop" && event.dataTransfer.files.length) { state.law = "table"; take(event.dataTransfer.files[0]); }
      });
      window.addEventListener("hashchange", () => {
        if (!location.hash.startsWith("#law=")) return;
        Object.assign(state, fromAddress());
        if (state.law !== "table") source = lawSource(state.law, state.value);
        else if (cells) source = cells.source;
        else again = true;
        show();
      });
    }
    let width = 0;
    new ResizeObserver(() => {
      if (picture.clientWidth === width) return;
      width = picture.clientWidth;
      if (picture.firstChild) draw();
    }).observe(picture);
    holder.classList.add("ready");
    show();
  }

  Object.assign(Explorer, { compute, sentence, lawSource, tableSource, fromAddress });
  window.addEventListener("DOMContentLoaded", () => { for (const holder of document.querySelectorAll(".explorer")) start(holder); });
})();
