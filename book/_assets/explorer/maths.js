// The mathematics of the explorer: reward laws and tables tilted, their frontier, best-of-N, and older bounds.
// A law is an object with at(λ) → {kl, gain}; the tests compare every number here with the library's.
(function () {
  "use strict";
  const Explorer = (window.Explorer = window.Explorer || {});

  // The largest λ that is tried: products of it with rewards, of which 1/first is the size, are still numbers.
  const farthest = (first) => Math.min(1e290 * first, 1e300);

  // e^x - 1 - x, by its series where the difference would lose digits.
  function expExcess(x) {
    if (x > 0.5 || x < -0.5) return Math.expm1(x) - x;
    let term = (x * x) / 2, sum = term;
    for (let k = 3; k < 22 && Math.abs(term) > 1e-18 * sum; k++) sum += term *= x / k;
    return sum;
  }

  // x - log(1 + x).
  function log1pExcess(x) {
    if (x > 0.1 || x < -0.1) return x - Math.log1p(x);
    let power = x * x, sum = power / 2;
    for (let k = 3; k < 24 && Math.abs(power) > 1e-18 * sum; k++) sum += (power *= -x) / k;
    return sum;
  }

  // Of two success rates, in nats.
  function binaryKl(q, p) {
    const part = (a, b) => (a === 0 ? 0 : a * Math.log(a / b));
    return Math.max(part(q, p) + part(1 - q, 1 - p), 0);
  }

  // The x >= 0 with f(x) = target for a rising f with f(0) = 0; `first` is a guess. f behaves like a square of x, so the
  // secant runs on √f; a bracket holds it. Infinity where the target lies beyond what numbers reach.
  function solve(f, target, first, most = Infinity) {
    if (target <= 0) return 0;
    const goal = Math.sqrt(target), g = (x) => Math.sqrt(f(x)) - goal;
    let low = 0, atLow = -goal, high = Math.min(first, most), atHigh = g(high);
    for (let step = 0, factor = 2; atHigh < 0; step++) {
      if (high >= most) return high;
      if (high > farthest(first)) return Infinity;
      low = high; atLow = atHigh;
      high = Math.min(high * factor, most, 2 * farthest(first));
      if (step > 8) factor *= factor;  // far ends lie hundreds of doublings away
      atHigh = g(high);
    }
    while (high > 8 * low && low > 0) {
      const x = Math.sqrt(low) * Math.sqrt(high), y = g(x);
      if (y < 0) { low = x; atLow = y; } else { high = x; atHigh = y; }
    }
    let side = 0;
    for (let step = 0; step < 200 && high - low > 1e-15 * high; step++) {
      const cut = (atHigh * low - atLow * high) / (atHigh - atLow);
      const x = cut > low && cut < high && step % 4 !== 3 ? cut : 0.5 * (low + high);
      const y = g(x);
      if (Math.abs(y) <= 1e-15 * goal) return x;
      if (y < 0) { low = x; atLow = y; if (side === -1) atHigh /= 2; side = -1; }
      else { high = x; atHigh = y; if (side === 1) atLow /= 2; side = 1; }
    }
    return 0.5 * (low + high);
  }

  // Normal distribution function: its series around 0, a continued fraction in the tail.
  function normalCdf(x) {
    const z = Math.abs(x), density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
    let tail;
    if (z < 3) {
      let term = z, sum = z;
      for (let k = 1; term > 1e-17 * sum; k++) sum += term *= (z * z) / (2 * k + 1);
      tail = 0.5 - density * sum;
    } else {
      let fraction = z;
      for (let k = 80; k > 0; k--) fraction = z + k / fraction;
      tail = density / fraction;
    }
    return x < 0 ? tail : 1 - tail;
  }

  // Mean of the largest of n standard normal draws: the trapezoidal rule, whose error falls exponentially here.
  function largestNormal(n) {
    const h = 1 / 32;
    let sum = 0;
    if (n === 1) return 0;
    for (let k = -40 * 8; k <= 40 * 8; k++) {
      const x = k * h;
      sum += (x * n * Math.exp((-x * x) / 2) * normalCdf(x) ** (n - 1)) / Math.sqrt(2 * Math.PI);
    }
    return sum * h;
  }

  const withoutTies = (n) => Math.log(n) - (n - 1) / n;
  const subGaussian = (kl, sd) => sd * Math.sqrt(2 * kl);

  // Bennett's bound for a reward at most `high` above its mean.
  function bennett(kl, sd, high) {
    const v = sd * sd, b = high;
    const h = (x) => (1 + x) * Math.log1p(x) - x;
    const x = solve((y) => (y < 1e-3 ? (y * y) / 2 - y ** 3 / 6 + y ** 4 / 12 : h(y)), (kl * b * b) / v, 1);
    return (v / b) * x;
  }

  // How much a standard normal draw exceeds x on average, (X - x)+, and its square.
  function excessOfNormal(x) {
    const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI), beyond = normalCdf(-x);
    return { beyond, mean: density - x * beyond, square: (1 + x * x) * beyond - x * density };
  }

  // In χ² the ratio of the optimum to the base is max(0, a(X - x)), of mean 1: here of a standard normal reward.
  function normalChi2(a) {
    let x = -1 / a;
    if (a < 1 / 40) return { kl: a * a, gain: a };  // nothing is dropped: a normal tail beyond 40 is 0 in numbers
    for (let step = 0; step < 100; step++) {  // the mean falls and is convex in x, and is too large where this begins
      const { mean, beyond } = excessOfNormal(x), next = x + (mean - 1 / a) / beyond;
      if (!(next > x + 1e-15 * Math.abs(x))) break;
      x = next;
    }
    if (x > 0) {
      const { beyond, mean, square } = excessOfNormal(x);
      return { kl: square / mean ** 2 - 1, gain: beyond / mean };
    }
    const { beyond, mean, square } = excessOfNormal(-x), held = mean - x;  // without cancellation near the base
    return { kl: (1 - square + 2 * x * mean - mean * mean) / held ** 2, gain: (1 - beyond) / held };
  }

  // In squared Hellinger, of a uniform reward on [0, 1]: 1 - asinh(λ)/λ, and what that buys.
  function uniformHellinger(lam) {
    if (lam > 0.5) {
      const arc = Math.asinh(lam);
      return { kl: 1 - arc / lam, gain: (Math.hypot(1, 1 / lam) - arc / lam / lam) / 2 };
    }
    let power = 1, kl = 0, gain = lam / 3;
    for (let k = 1; k < 40; k++) {  // binomial coefficients of -1/2
      power *= (-(2 * k - 1) / (2 * k)) * lam * lam;
      kl -= power / (2 * k + 1);
      gain += (power * lam) / (2 * k + 3);
    }
    return { kl, gain };
  }

  const scaled = (unit, at) => (lam) => { const { kl, gain } = at(lam * unit); return { kl, gain: unit * gain }; };

  // `others`: along the limits in other divergences, where these are finite; at a λ that is 1/β there too.
  const laws = {
    gaussian: {
      title: "Gaussian", parameter: { name: "sd", label: "Standard deviation σ", value: 1, least: 1e-3, most: 1000 },
      make(sd) {
        return {
          maxKl: Infinity, firstLam: 1 / sd,
          at: (lam) => ({ kl: (lam * sd) ** 2 / 2, gain: lam * sd * sd }),
          others: { chi2: scaled(sd, (lam) => normalChi2(lam / 2)) },
          bestOf: (n) => ({ kl: withoutTies(n), gain: sd * largestNormal(n) }),
          bounds: [],
        };
      },
    },
    exponential: {
      title: "Exponential", parameter: { name: "mean", label: "Mean reward", value: 1, least: 1e-3, most: 1000 },
      make(mean) {
        return {
          maxKl: Infinity, firstLam: 0.5 / mean, mostLam: (1 - 1e-12) / mean,
          at(lam) {
            const rise = (lam * mean) / (1 - lam * mean);  // of the mean, in units of it
            return { kl: log1pExcess(rise), gain: mean * rise };
          },
          // From λ = 2 on the worst are dropped, those below log(λ/2).
          others: { chi2: scaled(mean, (lam) => (lam <= 2 ? { kl: (lam * lam) / 4, gain: lam / 2 } : { kl: lam - 1, gain: 1 + Math.log(lam / 2) })) },
          bestOf(n) {
            let sum = 0;
            for (let k = n; k > 1; k--) sum += 1 / k;
            return { kl: withoutTies(n), gain: mean * sum };
          },
          bounds: [{ title: "sub-gamma bound", at: (kl) => subGaussian(kl, mean) + mean * kl }],
        };
      },
    },
    uniform: {
      title: "Uniform", parameter: { name: "width", label: "Width of the range", value: 1, least: 1e-3, most: 1000 },
      make(width) {
        function at(lam) {
          const x = lam * width, y = x / 2, q = y * y;
          if (y < 0.3) {  // of log(sinh y / y)
            const log = q * (1 / 6 - q * (1 / 180 - q * (1 / 2835 - q * (1 / 37800 - q * (1 / 467775 - (q * 691) / 3831077250)))));
            const slope = y * (1 / 3 - q * (1 / 45 - q * (2 / 945 - q * (1 / 4725 - q * (2 / 93555 - (q * 1382) / 638512875)))));
            return { kl: Math.max(y * slope - log, 0), gain: (width * slope) / 2 };
          }
          const mean = 0.5 / Math.tanh(y) - 1 / x;
          return { kl: x / Math.expm1(x) - 1 + Math.log(x) - Math.log1p(-Math.exp(-x)), gain: width * mean };
        }
        return {
          maxKl: Infinity, maxGain: width / 2, firstLam: 5 / width, at,
          others: {
            // Of a uniform law either KL buys the same at the same λ: ratio and rank change places.
            reverse_kl: at,
            hellinger: scaled(width, uniformHellinger),
            chi2: scaled(width, (lam) => {  // from λ = 4 on only the best are kept, a share of √(4/λ)
              const kept = Math.sqrt(4 / lam);
              return lam <= 4 ? { kl: (lam * lam) / 48, gain: lam / 24 } : { kl: 4 / (3 * kept) - 1, gain: 0.5 - kept / 3 };
            }),
          },
          bestOf: (n) => ({ kl: withoutTies(n), gain: (width * (n - 1)) / (2 * (n + 1)) }),
          bounds: [
            { title: "Hoeffding's bound", at: (kl) => subGaussian(kl, width / 2) },
            { title: "Bennett's bound", at: (kl) => bennett(kl, width / Math.sqrt(12), width / 2) },
          ],
        };
      },
    },
    bernoulli: {
      title: "0/1", parameter: { name: "success", label: "Success rate", value: 0.1, least: 1e-6, most: 0.999999 },
      make(p) {
        return {
          maxKl: -Math.log(p), maxGain: 1 - p, firstLam: 1,
          table: { count: 1, start: [0, 2], reward: [1, 0], above: [1 - p, -p], mass: [p, 1 - p], gold: null },
          at(lam) {
            const least = Math.exp(-lam), gain = Math.min((-p * (1 - p) * Math.expm1(-lam)) / (p + (1 - p) * least), 1 - p);
            if (lam > 40) return { kl: binaryKl(1 / (1 + ((1 - p) / p) * least), p), gain };
            return { kl: Math.max(lam * gain - Math.log1p(p * expExcess(lam * (1 - p)) + (1 - p) * expExcess(-lam * p)), 0), gain };
          },
          bestOf(n) {
            const logMiss = Math.log1p(-p), gain = -(1 - p) * Math.expm1((n - 1) * logMiss);
            return { kl: binaryKl(p + gain, p), gain, logLeft: n * logMiss };  // of no success in n draws
          },
          bounds: [
            { title: "Hoeffding's bound", at: (kl) => subGaussian(kl, 0.5) },
            { title: "Bennett's bound", at: (kl) => bennett(kl, Math.sqrt(p * (1 - p)), 1 - p) },
          ],
        };
      },
    },
  };

  // e to this power times the largest reward or gold that is read, summed over a table, is still a number.
  const MOST_EXPONENT = 300;

  // What a table's own law does under the tilt e^{λr}, prompt by prompt, averaged: KL, gain, gold, and what its support asks.
  // Rewards and gold are taken above their means: what a mean is added to has fewer digits.
  function tilted(table, lam, known = null) {
    let kl = 0, gain = 0, gold = 0, squared = 0, ofKnown = 0;
    for (let x = 0; x < table.count; x++) {
      const from = table.start[x], to = table.start[x + 1], top = table.above[from], steep = lam * top > MOST_EXPONENT;
      let excess = 0, rise = 0, total = 0, held = 0;
      for (let i = from; i < to; i++) {
        // Of a steep tilt the weights, below that of the best; of another what they gain, for the means are 0.
        const e = steep ? table.above[i] - top : table.above[i], t = lam * e;
        const beyond = steep ? 0 : t > 0.05 || t < -0.05 ? Math.exp(t) - 1 - t : expExcess(t);  // digits enough
        const weight = steep ? Math.exp(t) : beyond + t;
        total += weight;
        rise += weight * e;
        excess += beyond;
        if (table.gold) held += weight * table.goldAbove[i];
      }
      const size = to - from, all = steep ? total : size + total, up = rise / all;
      const spent = Math.max(lam * up - (steep ? Math.log(all / size) : Math.log1p(excess / size)), 0);
      kl += spent;
      gain += steep ? top + up : up;
      gold += held / all;
      squared += spent * spent;
      if (known) ofKnown += (spent * spent) / known[x];
    }
    const p = table.count;
    return { kl: kl / p, gain: gain / p, gold: settled(gold / p, table), sum: kl, squared, ofKnown };
  }

  // Of gold a change that is smaller than the rounding of its values is none.
  const settled = (gold, table) => (Math.abs(gold) <= 1e-15 * table.goldSize ? 0 : gold);

  // The other divergences: the optimum's ratio to the base is a function of λ(r - ν). With s = λ(r_top - r) >= 0 there is
  // one unknown u a prompt, which makes the mean ratio 1. `level` finds it; rewards lie from the largest down.
  const divergences = {
    kl: { title: "KL", unit: "nats", f: (t) => (t === 0 ? 1 : t * Math.log(t) - (t - 1)), untied: withoutTies },
    chi2: {
      title: "χ²", unit: "", slope: 0.5, untied: (n) => (n - 1) ** 2 / (2 * n - 1), ratio: (u, s) => Math.max(u - s / 2, 0), f: (t) => (t - 1) ** 2, maxOf: (share) => 1 / share - 1,
      level(table, from, to, lam) {
        // The responses that keep mass are the best ones: one more while its ratio is not negative.
        const each = 1 / (to - from), top = table.reward[from];
        let held = 0, sum = 1, u = Infinity;
        for (let i = from; i < to; i++) {
          const s = lam * (top - table.reward[i]), mass = table.mass ? table.mass[i] : each;
          if (s / 2 >= u) break;
          held += mass;
          sum += (mass * s) / 2;
          u = sum / held;
        }
        return u;
      },
    },
    reverse_kl: {
      title: "reverse KL", unit: "nats", slope: 1, untied: (n) => n - 1 - Math.log(n), ratio: (u, s) => 1 / (u + s), f: (t, log = Math.log(t)) => (t < 0.9 ? t - 1 - log : log1pExcess(t - 1)), maxOf: () => Infinity,
      level: (table, from, to, lam, share, guess) => powerLevel(table, from, to, lam, 1, 1, share, guess),
    },
    hellinger: {
      title: "squared Hellinger", unit: "", slope: 4, untied: (n) => (Math.sqrt(n) - 1) ** 2 / (n + 1), ratio: (u, s) => 0.25 / (u + s) ** 2, f: (t) => 0.5 * (Math.sqrt(t) - 1) ** 2,
      maxOf: (share) => 1 - Math.sqrt(share),
      level: (table, from, to, lam, share, guess) => powerLevel(table, from, to, lam, 0.5, 2, Math.sqrt(share) / 2, guess),
    },
  };

  // The u at which the mean of (c / (u + s))^power is 1, by Newton's steps: the mean falls and is convex in u, so that a
  // step from either side ends where it is too large, and from there none goes too far. `least` is at or below the root.
  function powerLevel(table, from, to, lam, c, power, least, guess) {
    const reward = table.reward, all = table.mass, each = 1 / (to - from), top = reward[from];
    let u = guess > least ? guess : least;
    for (let step = 0; step < 200; step++) {
      let sum = -1, slope = 0;
      for (let i = from; i < to; i++) {
        const t = c / (u + lam * (top - reward[i])), mass = all ? all[i] : each;
        if (power === 1) { sum += mass * t; slope -= mass * t * t; } else { sum += mass * t * t; slope -= 2 * mass * t * t * t; }
      }
      const next = Math.max(u - (sum * c) / slope, least), moved = Math.abs(next - u);
      u = next;
      if (!(moved > 1e-9 * u)) break;  // the next step would be its square
    }
    return u;
  }

  // Near the base the ratio is 1 + slope·λ(r - mean): there a ratio less 1 would have lost its digits.
  const NEAR = 1e-8;
  const SETTLED = 2;  // points of gold on the chords of a piece, and of what it is half of
  const MOST_TERMS = 3e6;  // responses × points of a curve: each of a large table takes its time

  function optimum(table, lam, divergence) {
    // Where the last λ left off is a good place to begin.
    const kept = (table.levels = table.levels || new Map());
    if (!kept.has(divergence)) kept.set(divergence, new Float64Array(table.count));
    const levels = kept.get(divergence);
    let spent = 0, gain = 0, gold = 0;
    for (let x = 0; x < table.count; x++) {
      const from = table.start[x], to = table.start[x + 1], top = table.reward[from];
      const each = 1 / (to - from), near = lam * (top - table.reward[to - 1]) < NEAR;
      let share = 0, u = 0;
      for (let i = from; i < to && table.reward[i] === top; i++) share += table.mass ? table.mass[i] : each;
      if (!near) u = levels[x] = divergence.level(table, from, to, lam, share, levels[x]);
      for (let i = from; i < to; i++) {
        const mass = table.mass ? table.mass[i] : each, first = divergence.slope * lam * table.above[i];
        const ratio = near ? 1 : divergence.ratio(u, lam * (top - table.reward[i])), moved = mass * (near ? first : ratio - 1);
        spent += near ? (moved * first) / (2 * divergence.slope) : mass * divergence.f(ratio);
        gain += moved * table.above[i];
        if (table.gold) gold += moved * table.goldAbove[i];
      }
    }
    return { kl: spent / table.count, gain: gain / table.count, gold: settled(gold / table.count, table) };
  }

  // The largest of any policy: all mass on each prompt's best responses.
  function exhausted(table, divergence) {
    let spent = 0, gain = 0, gold = 0;
    for (let x = 0; x < table.count; x++) {
      const from = table.start[x], to = table.start[x + 1];
      let share = 0;
      for (let i = from; i < to && table.reward[i] === table.reward[from]; i++) share += table.mass ? table.mass[i] : 1 / (to - from);
      spent += share > 1 - 1e-15 ? 0 : divergence.maxOf ? divergence.maxOf(share) : -Math.log(share);
      gain += table.above[from];
      if (table.gold) gold += table.goldOfTies[from];
    }
    return { kl: spent / table.count, gain: gain / table.count, gold: settled(gold / table.count, table) };
  }

  // The divergences in which a source has a limit: with rewards that have no largest one, those that charge a bounded price
  // for mass far from the base let any budget buy any gain.
  const offered = (source) => Object.keys(divergences).filter((name) => name === "kl" || source.table || source.others[name]);

  // Along the limit by λ, and where it ends.
  const along = (source, name) => (name === "kl" ? source.at : source.table ? (lam) => optimum(source.table, lam, divergences[name]) : source.others[name]);

  function endOf(source, name) {
    if (source.table) return exhausted(source.table, divergences[name]);
    return { kl: name === "kl" ? source.maxKl : divergences[name].maxOf(0), gain: source.maxGain };
  }

  // The frontier of a source up to a budget, as [budget, gain, gold]: from a few λ on, evenly where they are small and by
  // their logarithms where they run over many sizes, to as many as leave no long straight piece, nor gold off its chords.
  function curveUpTo(source, top, name = "kl", points = 64) {
    const kept = (source.curves = source.curves || new Map()), key = `${name} ${top}`;
    if (kept.has(key)) return kept.get(key);
    const end = endOf(source, name), at = along(source, name);
    const last = frontierAt(source, Math.min(top, end.kl * (1 - 1e-6)), name), curve = [[0, 0, 0]];
    const most = Math.asinh(Math.min(last.lam, farthest(source.firstLam)) / source.firstLam), first = points / 4;
    const here = (way) => { const { kl, gain, gold } = at(source.firstLam * Math.sinh(way)); return [kl, gain, gold ?? 0]; };
    const few = Array.from({ length: first }, (_, k) => [(most * (k + 1)) / first, here((most * (k + 1)) / first)]);
    let range = 0;
    const size = (from, to) => Math.max((to[0] - from[0]) / top, (to[1] - from[1]) / last.gain);
    const split = ([low, from], [high, to, near]) => {
      const long = size(from, to) > 2 / points;
      if (!long && !range) return null;
      const middle = 0.5 * (low + high), between = here(middle);
      // Gold may turn between two points, however near they are; one between them may lie on their chord by chance, but
      // hardly one in a half, too: a piece is settled by two.
      const straight = from[2] + (to[2] - from[2]) * ((between[0] - from[0]) / (to[0] - from[0]) || 0);
      return { knot: [middle, between], near: long || Math.abs(between[2] - straight) >= range / points ? 0 : near + 1 };
    };
    // Halved all at once, the longest where not all can be: of a large table each point takes its time.
    let knots = [[0, curve[0], SETTLED], ...few.map(([way, one]) => [way, one, 0])];
    let left = Math.max(points / 2, Math.min(16 * points, MOST_TERMS / (source.table ? source.table.reward.length : 1)));
    for (let halvings = 12; halvings && left > 0; halvings--) {
      const finer = [knots[0]], golds = knots.map((knot) => knot[1][2]);
      range = Math.max(...golds) - Math.min(...golds);  // of all that is known by then
      const sizes = knots.slice(1).map((knot, k) => (knot[2] >= SETTLED ? -1 : size(knots[k][1], knot[1]))).sort((one, other) => other - one);
      const least = sizes[Math.min(Math.floor(left), sizes.length) - 1];
      for (let k = 1; k < knots.length; k++) {
        const [high, to, near] = knots[k];
        const found = near >= SETTLED || left <= 0 || size(knots[k - 1][1], to) < least ? null : split(knots[k - 1], knots[k]);
        if (found) { left--; finer.push([...found.knot, found.near]); }
        finer.push([high, to, found ? found.near : range ? near : SETTLED]);
      }
      if (finer.length === knots.length) break;
      knots = finer;
    }
    curve.push(...knots.slice(1).map(([, one]) => one));
    if (top >= end.kl) curve.push([end.kl, end.gain, end.gold ?? 0], [top, end.gain, end.gold ?? 0]);
    else if (last.lam === Infinity) curve.push([top, end.gain, end.gold ?? 0]);
    kept.set(key, curve);
    return curve;
  }

  // A point of the frontier of a law or table: the budget, what it buys, and λ = 1/β, infinite where all reward is gained.
  // Some charge for the last of it without end: a λ `above` the largest number is needed for all but what rounding hides.
  function frontierAt(source, budget, name = "kl") {
    const at = along(source, name), end = endOf(source, name);
    if (budget >= end.kl) return { lam: Infinity, ...end };
    const lam = solve((x) => at(x).kl, budget, source.firstLam, name === "kl" ? source.mostLam : Infinity);
    return lam === Infinity ? { lam, ...end, kl: budget, above: farthest(source.firstLam) } : { lam, ...at(lam) };
  }

  function bestOfTable(table, n, name = "kl") {
    const kept = (table.best = table.best || new Map()), key = `${name} ${n}`;
    if (!kept.has(key)) kept.set(key, bestOfPrompts(table, n, divergences[name]));
    return kept.get(key);
  }

  // Best-of-n of a source, with what it spends of a divergence; of two outcomes it is a law on them.
  function bestOf(source, n, name = "kl") {
    const best = source.bestOf(n, name);
    if (name === "kl" || (source.table && !source.table.mass)) return best;
    if (!source.table) return { ...best, kl: divergences[name].untied(n) };
    const [p, miss] = source.table.mass, f = divergences[name].f, left = best.logLeft - Math.log1p(-p);
    return { ...best, kl: p * f((p + best.gain) / p) + miss * f(Math.exp(left), left) };
  }

  // Best-of-n of the table's own law: of the samples at or below a level, F of a prompt's, the best of n lies there with F^n.
  function bestOfPrompts(table, n, divergence) {
    let kl = 0, gain = 0, gold = 0;
    if (n === 1) return { kl, gain, gold };
    for (let x = 0; x < table.count; x++) {
      const from = table.start[x], to = table.start[x + 1], m = to - from;
      for (let i = from, j; i < to; i = j) {
        for (j = i + 1; j < to && table.reward[j] === table.reward[i]; j++);
        // With logarithms: the worst level may keep less mass than a number can hold.
        const here = -Math.expm1(n * Math.log1p(-(j - i) / (to - i))), share = (j - i) / m;
        const mass = ((to - i) / m) ** n * here, log = n * Math.log((to - i) / m) + Math.log(here / share);
        kl += divergence === divergences.kl ? mass * log : share * divergence.f(mass / share, log);
        gain += mass * table.above[i];
        if (table.gold) gold += mass * table.goldOfTies[i];
      }
    }
    return { kl: kl / table.count, gain: gain / table.count, gold: settled(gold / table.count, table) };
  }

  Object.assign(Explorer, {
    laws, divergences, farthest, solve, tilted, optimum, exhausted, offered, along, endOf, frontierAt, curveUpTo, bestOf, bestOfTable, withoutTies, normalCdf, largestNormal,
    subGaussian, bennett, expExcess, log1pExcess, binaryKl,
  });
})();
