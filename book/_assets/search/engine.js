// The search of the book: entries ranked by BM25 over title, page, text and what a page is asked for, with symbols, parts of names and near misses.
(function () {
  "use strict";
  const GREEK = {
    α: "alpha", β: "beta", γ: "gamma", δ: "delta", ε: "epsilon", ζ: "zeta", η: "eta", θ: "theta", ι: "iota", κ: "kappa",
    λ: "lambda", μ: "mu", ν: "nu", ξ: "xi", π: "pi", ρ: "rho", σ: "sigma", ς: "sigma", τ: "tau", φ: "phi", χ: "chi",
    ψ: "psi", ω: "omega",
  };
  const STOP = new Set(
    ("a an and are as at be by can do does for from has have how i if in is it its me my of on or should that the their them there " +
      "this to was we what when where which who will with you your am did much many").split(" "));
  // Weights of the fields, and how strongly a long one is discounted.
  const FIELDS = [["title", 6, 0.6], ["page", 2.5, 0.6], ["text", 1, 0.5], ["asked", 5, 0]];
  const KIND = { page: 1.25, term: 1.25, symbol: 1.2, theorem: 1.1, section: 1, name: 0.85 };
  const LISTS = new Set(["Claims", "Exercise", "Exercises", "Run it again"]);  // headings that say nothing of what is below them
  const SATURATION = 1.2, LEAST_PREFIX = 2;

  // Words in the form in which they are compared: λ and Λ as lambda (Λ also as capital lambda), χ² as chi2.
  function folded(text) {
    const plain = text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").replace(/[\u2018\u2019\u2032]/g, "'");
    return plain.replace(/\p{Script=Greek}/gu, function (letter) {
      const small = letter.toLowerCase();
      const name = GREEK[small] || small;
      return letter === small ? `_${name}_` : `_${name}_capital${name}_`;
    }).toLowerCase();
  }
  const WORD = /[\p{L}\p{N}_]+(?:[-\u2010-\u2013@^.'][\p{L}\p{N}_]+)*/gu;
  // Each word whole, and its parts: best-of-N is bestofn, best, of and n.
  function terms(text) {
    const found = [];
    for (const [word] of folded(text).matchAll(WORD)) {
      const named = word.split(".");  // alignlib.laws.gain_at_kl, or a number
      for (const name of named) {
        const parts = name.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
        found.push(...parts);
        if (parts.length > 1) found.push(parts.join(""));
      }
    }
    return found;
  }
  const joined = (text) => folded(text).replace(/[^\p{L}\p{N}]+/gu, "");
  function stem(word) {
    if (!/^[a-z]{5,}$/.test(word)) return word;
    return word.replace(/(?:ies|y)$/, "i").replace(/(?:ations?|ating|ated|ates?|ings?|ments?|ed|es|s|e|ly)$/, "");
  }

  function build(data) {
    const vocabulary = new Map();  // term → Map(entry → [times in title, in page, in text, in what is asked])
    const lengths = [], totals = [0, 0, 0, 0];
    data.entries.forEach(function ([page, , title, kind, text], number) {
      const fields = [terms(title), kind === "page" ? [] : terms(data.pages[page][1]), terms(text), kind === "page" ? terms(data.pages[page][3]) : []];
      lengths.push(fields.map((found) => found.length));
      fields.forEach(function (found, place) {
        totals[place] += found.length;
        for (const term of found) {
          let rows = vocabulary.get(term);
          if (!rows) vocabulary.set(term, (rows = new Map()));
          let times = rows.get(number);
          if (!times) rows.set(number, (times = [0, 0, 0, 0]));
          times[place]++;
        }
      });
    });
    const means = totals.map((total) => total / Math.max(1, data.entries.length) || 1);
    const stems = new Map();
    for (const term of vocabulary.keys()) {
      const short = stem(term);
      if (!stems.has(short)) stems.set(short, []);
      stems.get(short).push(term);
    }
    const asked = data.pages.map((page) => joined(page[3]));
    const names = new Map(data.entries.filter((one) => one[3] === "name").map((one) => [one[2].toLowerCase(), one[2]]));
    return { data, vocabulary, lengths, means, stems, asked, names, words: [...vocabulary.keys()] };
  }

  // How many letters differ, where that is at most `most`; otherwise more than that.
  function distance(a, b, most) {
    if (Math.abs(a.length - b.length) > most) return most + 1;
    let last = Array.from({ length: b.length + 1 }, (_, j) => j), before = last;
    for (let i = 1; i <= a.length; i++) {
      const row = [i];
      for (let j = 1; j <= b.length; j++) {
        row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] !== b[j - 1]));
        if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) row[j] = Math.min(row[j], before[j - 2] + 1);
      }
      if (Math.min(...row) > most) return most + 1;
      before = last;
      last = row;
    }
    return last[b.length];
  }
  // The terms of the book that a word of the query may mean, each with how much it counts.
  function meant(index, word, isLast) {
    const found = new Map();
    const add = (term, share) => { if (index.vocabulary.has(term)) found.set(term, Math.max(share, found.get(term) || 0)); };
    add(word, 1);
    for (const term of index.stems.get(stem(word)) || []) add(term, 0.8);
    if (isLast && word.length >= LEAST_PREFIX)
      for (const term of index.words)
        if (term.startsWith(word)) add(term, 0.6 * word.length / term.length);
    if (!found.size && word.length > 3) {
      const most = word.length > 7 ? 2 : 1;
      for (const term of index.words) {
        const apart = distance(word, term, most);
        if (apart <= most) add(term, 0.5 / apart);
      }
    }
    if (!found.size && word.length > 3)
      for (const term of index.words) if (term.includes(word)) add(term, 0.4);
    return found;
  }
  // The query as groups of words, each word of a group as good as the others.
  function groups(index, query) {
    const asked = [];
    for (const [word] of folded(query).matchAll(WORD)) {
      const own = terms(word);
      const whole = own.length > 1 ? own[own.length - 1] : "";
      // A compound that the book has is asked for as such: best-of-N, D_max, fit_frontier.
      const said = whole && index.vocabulary.has(whole) ? [whole] : own.filter((term) => term !== whole);
      for (const term of said) asked.push([term, also(index, term)]);
    }
    const telling = asked.filter(([term]) => !STOP.has(term));
    return telling.length ? telling : asked;
  }
  function also(index, term) {
    const said = index.data.also[term];
    if (!said) return [];
    const words = terms(said);
    return words.length > 1 && index.vocabulary.has(words[words.length - 1]) ? [words[words.length - 1]] : words;
  }

  // What is asked about: of "what is lambda?" and "what does lambda mean" the letter, which "mean" would hide.
  function subject(query) {
    const plain = query.trim().replace(/\?+$/, "");
    const about = /^what(?:['’]s| is| are| does| do)? +(?:the |an? )?(.+?)(?: +(?:means?|stands? for))?$/i.exec(plain);
    return about ? about[1] : plain;
  }

  // What a class of the library has of another, by the name under which the book describes it: Rule.on for BestOfN.on; the
  // class itself where that is not described apart, as an attribute.
  function inherited(index, about) {
    const [name, of, member] = /^(\w+(?:\.\w+)*)\.(\w+)(?=(?:\(\))?$)/.exec(about.toLowerCase()) || [];
    const ends = (whole, part) => `.${whole.toLowerCase()}`.endsWith(`.${part}`);
    if (!name || [...index.names.keys()].some((one) => ends(one, name))) return about;
    const heir = Object.keys(index.data.bases).find((one) => ends(one, of));
    if (!heir) return about;
    return index.data.bases[heir].map((one) => index.names.get(`${one}.${member}`.toLowerCase())).find(Boolean) || heir;
  }

  // How much of a dotted name of the library is asked for, as it is written or but for capitals; 0 of other texts.
  function named(about, kind, title) {
    const name = about.replace(/\(\)$/, "");
    if (kind !== "name" || !/^\w+(?:\.\w+)+$/.test(name)) return 0;
    const of = (whole, part) => (whole === part ? 2 : whole.endsWith(`.${part}`) ? 1 : 0), as = of(title, name);
    return as ? 2 + as : of(title.toLowerCase(), name.toLowerCase());
  }

  // Entries for a query, the best first: {entry, score, terms}; before all others a name of the library that is asked for.
  function find(index, query) {
    const { data, vocabulary, lengths, means } = index;
    const count = data.entries.length, about = inherited(index, subject(query)), asked = groups(index, about);
    const scores = new Map();
    let all = 0;
    asked.forEach(function ([word, others], place) {
      const found = meant(index, word, place === asked.length - 1);
      for (const other of others) for (const [term, share] of meant(index, other, false)) found.set(term, Math.max(share, found.get(term) || 0));
      const here = new Map();
      let rarest = 0;
      for (const [term, share] of found) {
        const rows = vocabulary.get(term);
        const rare = Math.log(1 + (count - rows.size + 0.5) / (rows.size + 0.5));
        if (share === 1 || !rarest) rarest = Math.max(rarest, rare * share);
        for (const [entry, times] of rows) {
          let weight = 0;
          FIELDS.forEach(function ([, boost, bend], k) {
            if (times[k]) weight += boost * times[k] / (1 - bend + bend * lengths[entry][k] / means[k]);
          });
          const score = share * rare * weight * (SATURATION + 1) / (SATURATION + weight);
          const known = here.get(entry);
          if (!known || known[0] < score) here.set(entry, [score, term, rare]);
        }
      }
      all += rarest;
      for (const [entry, [score, term]] of here) {
        const known = scores.get(entry) || { entry, score: 0, covered: 0, terms: [] };
        known.score += score;
        known.covered += rarest;
        known.terms.push(term);
        scores.set(entry, known);
      }
    });
    const phrase = joined(query), short = joined(about);
    for (const one of scores.values()) {
      const [page, , title, kind] = data.entries[one.entry];
      const covered = all ? one.covered / all : 1;
      one.score *= covered * covered * (KIND[kind] || 1) * data.pages[page][2] * (LISTS.has(title) ? 0.5 : 1);
      if (kind === "page" && phrase.length > 8 && index.asked[page].includes(phrase)) one.score *= 1.5;
      const name = kind === "name" ? title.slice(title.lastIndexOf(".") + 1) : title;
      one.named = named(about, kind, title);
      if (name === about || (kind !== "name" && name.toLowerCase() === about.toLowerCase())) one.score *= 2.5;
      else if (joined(name) === short) one.score *= kind === "name" ? 1.3 : 1.6;
    }
    return [...scores.values()].sort((a, b) => b.named - a.named || b.score - a.score || a.entry - b.entry);
  }
  // The same by page: each page once, at the place of its best entry, with the next best of its entries.
  function byPage(index, query, most = 4) {
    const pages = new Map();
    for (const hit of find(index, query)) {
      const page = index.data.entries[hit.entry][0];
      if (!pages.has(page)) pages.set(page, { page, hits: [] });
      const { hits } = pages.get(page);
      if (hits.length < most && (!hits.length || hit.score > 0.3 * hits[0].score)) hits.push(hit);
    }
    return [...pages.values()];
  }
  // About `room` letters of a text around what was asked for, cut between words, as pieces [text, whether asked for].
  function excerpt(text, asked, room = 230) {
    const wanted = new Set(asked);
    const words = [...text.matchAll(/[^ ]+/g)].map((match) => [match.index, match[0], terms(match[0]).some((term) => wanted.has(term))]);
    let best = 0, most = -1;
    for (let from = 0; from < words.length; from++) {
      if (!words[from][2] && from) continue;
      const seen = new Set();
      for (let k = from; k < words.length && words[k][0] < words[from][0] + room * 0.7; k++)
        if (words[k][2]) for (const term of terms(words[k][1])) if (wanted.has(term)) seen.add(term);
      if (seen.size > most) [best, most] = [from, seen.size];
    }
    if (!words.length) return [];
    let start = best;
    while (start > 0 && words[best][0] - words[start - 1][0] < room * 0.3) start--;
    if (words[best][0] < room * 0.5) start = 0;
    const pieces = start ? [["… ", false]] : [];
    let k = start;
    for (; k < words.length && words[k][0] + words[k][1].length - words[start][0] <= room; k++) pieces.push([words[k][1], words[k][2]], [" ", false]);
    if (k === start) pieces.push([words[k][1], words[k][2]]), k++;  // one formula longer than the room
    if (k < words.length) pieces.push(["…", false]);
    return pieces;
  }

  window.BookSearch = { build, find, byPage, excerpt, terms };
})();
