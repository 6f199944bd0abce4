// How far a table's samples support its frontier: the rule of alignlib.estimation (support and tails), at one λ.
(function () {
  "use strict";
  const Explorer = (window.Explorer = window.Explorer || {});
  const SIZES = [3, 4, 6, 8, 12, 16, 32, 64, 128, 256, 1024].map(Math.log);
  const GAUSSIAN = [0.914, 0.94, 0.958, 0.966, 0.942, 0.925, 0.89, 0.866, 0.853, 0.847, 0.841];

  const knownKl = (n) => 0.25 * Math.log(n) * (1 - 3 / Math.max(n - 1, 2) ** 2);
  const leastPrompts = (count) => Math.min(3, 0.6 * count);

  // Whether prompts are so few that all is said of these very prompts, whose samples show them.
  function fewPrompts(table) {
    let fewest = Infinity;
    for (let x = 0; x < table.count; x++) fewest = Math.min(fewest, table.start[x + 1] - table.start[x]);
    return table.count === 1 || (table.count < 20 && fewest >= 16);
  }

  function gaussianRatio(n) {
    const x = Math.log(n);
    if (x <= SIZES[0]) return GAUSSIAN[0];
    for (let k = 1; k < SIZES.length; k++)
      if (x <= SIZES[k]) return GAUSSIAN[k - 1] + ((GAUSSIAN[k] - GAUSSIAN[k - 1]) * (x - SIZES[k - 1])) / (SIZES[k] - SIZES[k - 1]);
    return GAUSSIAN[GAUSSIAN.length - 1];
  }

  // The scale of the exponential tail that must be reckoned with, 0 for a lighter one.
  function tailScale(table) {
    const found = [];
    for (let x = 0; x < table.count; x++) {
      const from = table.start[x], n = table.start[x + 1] - from, k = Math.max(2, Math.floor(n / 4));
      if (n <= k) continue;
      let untied = true;
      for (let i = from; i < from + k; i++) untied = untied && table.reward[i] > table.reward[i + 1];
      let spread = 0;
      const middle = table.reward[from + Math.floor(n / 2)], top = Math.ceil(n / 16);
      for (let i = from + top; i < from + n; i++) spread += Math.abs(table.reward[i] - middle);
      if (!untied || !(spread > 0)) continue;
      let sum = 0, squares = 0;
      for (let i = from; i < from + k; i++) sum += table.reward[i] - table.reward[from + k];
      for (let i = from; i < from + k; i++) squares += ((table.reward[i] - table.reward[from + k]) / sum) ** 2;
      found.push({ mean: sum / k, k, statistic: squares, gaussian: gaussianRatio(n) });
    }
    if (!found.length || 2 * found.length < table.count) return 0;
    const average = (f) => found.reduce((sum, one) => sum + f(one), 0) / found.length;
    const kMean = average((one) => one.k), gaussian = average((one) => one.gaussian);
    // Of few prompts a tail looks light by chance: more standard errors are added.
    const ratioHigh = average((one) => (one.statistic * (one.k + 1)) / 2)
      + (table.count > 1 && fewPrompts(table) ? 2.5 : 1) * Math.sqrt((kMean - 1) / ((kMean + 2) * (kMean + 3)) / found.length);
    const loudest = found.reduce((most, one) => Math.max(most, one.mean), 0);
    let up = 0, down = 0;
    for (const { mean, k } of found) {
      const share = mean / loudest, moments = (k * k) / ((k + 1) * (k + 2));
      up += share ** 4 * (k / (k + 3)) * moments;
      down += share ** 3 * moments;
    }
    const way = ((ratioHigh - gaussian) / (1 - gaussian) - 0.25) / (0.6 - 0.25);
    return loudest * (up / down) * Math.min(Math.max(way, 0), 1);
  }

  // How far λ stretches the samples: up to 1 it is supported.
  function strain(table, lam, scale) {
    const known = (table.known = table.known || Float64Array.from({ length: table.count }, (_, x) => knownKl(table.start[x + 1] - table.start[x])));
    const { sum, squared, ofKnown } = Explorer.tilted(table, lam, known);
    const spent = sum === 0 ? 0 : ofKnown / sum, fixed = fewPrompts(table);
    const shared = sum === 0 || fixed ? 0 : (squared / sum ** 2) * leastPrompts(table.count);
    return Math.max(spent, shared, (fixed ? 2.5 : 2) * lam * scale);
  }

  // The largest supported λ: the strain rises with λ but for its second part, so a scan finds where it first passes 1.
  function supportedLam(table, scale) {
    const first = 1e-3 / table.sd, factor = 1.25;
    if (!(table.sd > 0)) return 0;
    let lam = first;
    if (strain(table, lam, scale) > 1) return 0;
    while (strain(table, lam * factor, scale) <= 1) {
      lam *= factor;
      if (lam > 1e9 * first) return Infinity;
    }
    let low = lam, high = lam * factor;
    for (let step = 0; step < 40; step++) {
      const middle = Math.sqrt(low * high);
      if (strain(table, middle, scale) <= 1) low = middle; else high = middle;
    }
    return low;
  }

  Object.assign(Explorer, { knownKl, tailScale, strain, supportedLam });
})();
