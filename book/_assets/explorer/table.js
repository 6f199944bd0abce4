// A reader's CSV in the browser: read strictly, grouped by prompt, with the range its samples support. It is sent nowhere.
(function () {
  "use strict";
  const Explorer = (window.Explorer = window.Explorer || {});
  const MOST_BYTES = 400e6;

  class Refused extends Error {}

  const shown = (text) => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);

  // Rows of fields. A quotation mark opens a field only at its start, and after a closing one the field must end.
  function rows(text, separator) {
    const out = [];
    let row = [], at = text.charCodeAt(0) === 0xfeff ? 1 : 0, line = 1;
    const end = (next) => { if (row.length > 1 || row[0] !== "") { row.line = line; out.push(row); } row = []; line++; at = next; };
    while (at < text.length || row.length) {
      if (text[at] === '"') {
        let value = "", from = at + 1;
        for (;;) {
          const close = text.indexOf('"', from);
          if (close < 0) throw new Refused(`Line ${line} opens a quotation mark that never closes.`);
          value += text.slice(from, close);
          if (text[close + 1] !== '"') { at = close + 1; break; }
          value += '"';
          from = close + 2;
        }
        row.push(value);
        if (at < text.length && text[at] !== separator && text[at] !== "\n" && text[at] !== "\r")
          throw new Refused(`Line ${line}: text follows a closing quotation mark.`);
      } else {
        let stop = at;
        while (stop < text.length && text[stop] !== separator && text[stop] !== "\n" && text[stop] !== "\r") stop++;
        row.push(text.slice(at, stop));
        at = stop;
      }
      if (at >= text.length) end(at);
      else if (text[at] === separator) { at++; if (at >= text.length) { row.push(""); end(at); } }
      else end(at + (text[at] === "\r" && text[at + 1] === "\n" ? 2 : 1));
    }
    return out;
  }

  // The separator that gives the first line the most fields, those within quotation marks aside.
  function separatorOf(text) {
    const first = text.slice(0, 65536).split(/\r?\n/, 1)[0].replace(/"[^"]*"/g, '""');
    return [",", ";", "\t", "|"].map((s) => [first.split(s).length, s]).sort((a, b) => b[0] - a[0])[0][1];
  }

  function read(text) {
    if (text.length > MOST_BYTES) throw new Refused("The file is larger than 400 MB; use the command instead.");
    if (text.includes("\0")) throw new Refused("This is not a CSV file: it holds null characters.");
    const separator = separatorOf(text), all = rows(text, separator);
    if (all.length < 2) throw new Refused("The file has no rows below its header.");
    const header = all[0], body = all.slice(1);
    const twice = header.find((name, i) => header.indexOf(name) !== i);
    if (twice !== undefined) throw new Refused(`Two columns are called ${shown(twice)}.`);
    for (const row of body)
      if (row.length !== header.length)
        throw new Refused(`Line ${row.line} has ${row.length} fields, the header ${header.length}.`);
    return { header, body, separator };
  }

  const NUMBER = /^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$/;
  const isNumber = (text) => text.length <= 400 && NUMBER.test(text.trim());
  const MISSING = new Set(["", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "<na>"]);  // as commands read them
  const LEAST = 1e-100, MOST = 1e100;  // beyond, squares are no floats

  // Columns that hold numbers, by most of their first rows; identifiers of prompts are a matter of their name.
  function guess({ header, body }) {
    const some = body.slice(0, 50);
    const numeric = header.filter((_, j) => 2 * some.filter((row) => isNumber(row[j])).length > some.length);
    const like = (words) => header.find((name) => words.test(name));
    const prompt = like(/^(prompt|question|problem|query|task|group)(_?(id|index))?$/i) || "";
    const rewards = numeric.filter((name) => name !== prompt && !/(^|_)(id|index|step|seed|length|tokens)$/i.test(name));
    const gold = rewards.find((name) => /^(gold|judge|true|human)/i.test(name)) || "";
    const reward = rewards.find((name) => /reward|score/i.test(name) && name !== gold) || rewards.find((name) => name !== gold) || "";
    // Where no name is known, a column that repeats itself may be the prompt's: the reader is asked.
    const repeats = (j) => { const size = new Set(body.map((row) => row[j])).size; return size > 1 && size < body.length; };
    const named = (name) => /(id|idx|index)$/i.test(name) && !/(valid|grid|paid|void)$/i.test(name);
    const perhaps = prompt ? [] : header.filter((name, j) => name !== reward && name !== gold && (named(name) || !numeric.includes(name)) && repeats(j));
    return { numeric, reward, prompt, gold, perhaps };
  }

  // Why no column holds numbers: the first cell that is one in another spelling.
  function noNumbers({ header, body, separator }) {
    for (const row of body.slice(0, 50))
      for (let j = 0; j < header.length; j++) {
        const text = row[j].trim(), where = `Line ${row.line}: column ${shown(header[j])} holds ${shown(text)}`;
        if (text.length <= 400 && /^[-+]?\d*(,\d+)+(\.\d*)?$/.test(text))
          return `No column holds numbers. ${where}: ` + (separator === "," ? "write it without a comma, which between thousands or before decimals says two things." : "write it with a decimal point, or use the command “alignlib frontier”, which reads decimal commas.");
        if (/^[-+]?inf(inity)?$/i.test(text)) return `No column holds numbers. ${where}, which is not finite.`;
      }
    const cell = body[0].find((text) => /\d/.test(text)) || body[0].find((text) => text.trim()) || "";
    return `No column holds numbers, such as 0.5 or 1e-3, in fields between commas, semicolons, tabs or bars. Line ${body[0].line} holds ${shown(cell)}.`;
  }

  function numbers({ header, body }, name) {
    const j = header.indexOf(name), out = new Float64Array(body.length);
    for (let i = 0; i < body.length; i++) {
      const text = body[i][j];
      if (!isNumber(text)) {
        const what = MISSING.has(text.trim().toLowerCase()) ? (text.trim() ? `is missing (${shown(text)})` : "is empty") : `holds ${shown(text)}, which is not a number`;
        throw new Refused(`Line ${body[i].line}: column ${shown(name)} ${what}.`);
      }
      out[i] = Number(text);
      if (Math.abs(out[i]) > Number.MAX_SAFE_INTEGER && /^[-+]?\d+$/.test(text.trim()) && Math.abs(out[i]) <= MOST)
        throw new Refused(`Line ${body[i].line}: ${shown(text)} in ${shown(name)} is an integer beyond 2^53, where neighbours cannot be told apart; rescale the column.`);
      if (!Number.isFinite(out[i]) || Math.abs(out[i]) > MOST)
        throw new Refused(`Line ${body[i].line}: ${shown(text)} in ${shown(name)} is too large; divide the column by a constant.`);
    }
    return out;
  }

  // Samples sorted by prompt and, within a prompt, from the largest reward down.
  function table(cells, rewardName, promptName, goldName) {
    const reward = numbers(cells, rewardName), gold = goldName ? numbers(cells, goldName) : null;
    const of = new Int32Array(reward.length);
    let count = 1;
    if (promptName) {
      const seen = new Map(), j = cells.header.indexOf(promptName);
      for (let i = 0; i < of.length; i++) {
        const key = cells.body[i][j];
        if (MISSING.has(key.trim().toLowerCase()))
          throw new Refused(`Line ${cells.body[i].line}: column ${shown(promptName)} ${key.trim() ? `is missing (${shown(key)})` : "is empty"}.`);
        if (!seen.has(key)) seen.set(key, seen.size);
        of[i] = seen.get(key);
      }
      count = seen.size;
      const sample = cells.header.indexOf("sample_id"), met = new Set();
      for (let i = 0; sample >= 0 && sample !== j && i < of.length; i++) {
        const pair = `${of[i]} ${cells.body[i][sample]}`;
        if (met.has(pair)) throw new Refused(`Line ${cells.body[i].line}: sample_id ${shown(cells.body[i][sample])} comes twice in the prompt ${shown(cells.body[i][j])}.`);
        met.add(pair);
      }
    }
    const sizes = new Int32Array(count);
    for (const x of of) sizes[x]++;
    if (Math.min(...unique(sizes)) < 2)
      throw new Refused("A prompt has a single sample; the explorer needs two or more of each. (Is the prompt's column right?)");
    const next = new Int32Array(count), groups = Array.from(sizes, (size) => new Int32Array(size));
    for (let i = 0; i < of.length; i++) groups[of[i]][next[of[i]]++] = i;
    const order = new Int32Array(of.length);
    let at = 0;
    for (const group of groups) {
      group.sort((a, b) => reward[b] - reward[a]);
      order.set(group, at);
      at += group.length;
    }
    return arrange(Float64Array.from(order, (i) => reward[i]), gold && Float64Array.from(order, (i) => gold[i]), sizes);
  }

  const unique = (sizes) => [...new Set(sizes)];

  function arrange(sorted, goldSorted, sizes) {
    const reward = Float64Array.from(sorted), gold = goldSorted && Float64Array.from(goldSorted);
    const count = sizes.length, start = new Int32Array(count + 1);
    for (let x = 0; x < count; x++) start[x + 1] = start[x] + sizes[x];
    // Each value above its prompt's mean, around the first: constant rewards have exactly 0, and rewards far from 0 for
    // their spread keep the digits that their differences have.
    const aboveMean = (values) => {
      const above = new Float64Array(values.length);
      for (let x = 0; x < count; x++) {
        let sum = 0;
        for (let i = start[x]; i < start[x + 1]; i++) sum += above[i] = values[i] - values[start[x]];
        for (let i = start[x]; i < start[x + 1]; i++) above[i] -= sum / sizes[x];
      }
      return above;
    };
    const above = aboveMean(reward), goldAbove = gold && aboveMean(gold), goldOfTies = gold && Float64Array.from(goldAbove);
    if (gold)
      for (let x = 0; x < count; x++)
        for (let i = start[x], j; i < start[x + 1]; i = j) {
          let sum = 0;  // over equal rewards, of which the best is any
          for (j = i; j < start[x + 1] && reward[j] === reward[i]; j++) sum += goldAbove[j];
          for (let k = i; k < j; k++) goldOfTies[k] = sum / (j - i);
        }
    const goldSize = gold ? goldAbove.reduce((most, one) => Math.max(most, Math.abs(one)), 0) : 0;
    let square = 0;
    for (let x = 0; x < count; x++) {
      let own = 0;
      for (let i = start[x]; i < start[x + 1]; i++) own += above[i] ** 2;
      square += own / sizes[x] / count;
    }
    const low = reward.reduce((a, b) => Math.min(a, b), Infinity), high = reward.reduce((a, b) => Math.max(a, b), -Infinity);
    const tiny = high > low && high - low < LEAST;
    return { tiny, count, start, reward, above, gold, goldAbove, goldOfTies, goldSize, sd: Math.sqrt(square), rows: reward.length };
  }

  Object.assign(Explorer, { Refused, read, guess, noNumbers, shown, table, arrange });
})();
