"""A table estimated once: the averaged curve of a reward, its cells and its bootstrap weights, and all that follows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray, as_number, require
from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib.divergences import KL, TOTAL_VARIATION, Divergence, check_budgets
from alignlib.estimation.bootstrap import FEWEST_PROMPTS, Cells, studentised_interval
from alignlib.estimation.curve import AveragedCurve
from alignlib.estimation.estimated_frontier import EstimatedFrontier, UnsupportedBudgetError
from alignlib.estimation.fit_checks import single_column
from alignlib.estimation.fixed_prompts import FEW_SAMPLES, DrawnLimits, fixed_prompts_half_width
from alignlib.estimation.gold import GoldEstimate, gold_of_rules, tilted_gold
from alignlib.estimation.per_prompt import PerPromptCurve
from alignlib.estimation.rule_values import attained, rules_along, upper_hull
from alignlib.estimation.rules import RuleEstimate, as_rules, evaluate_rules
from alignlib.estimation.sensitivity import Sensitivity, sensitivity
from alignlib.estimation.tails import TailShape
from alignlib.estimation.win_rate_curve import WinRateCurve
from alignlib.laws import Uniform, largest_win_rate
from alignlib.rules import BestOfN, Rule
from alignlib.tables import RewardTable

__all__ = ["Fit"]

_DEFAULT_POINTS = 40
_ANY_BUDGET = 1e9  # nats, with which all the mass is on the largest reward
_LARGEST_MEAN = 1e290
_SMALLER = (1.0 / 2.0, 1.0 / 4.0, 1.0 / 16.0)  # of a budget


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """One reward of a table, estimated once; made by `fit_frontier`.

    Nothing is estimated twice: every method reads the same ``curve``, with the same bootstrap ``weights`` of the
    ``cells`` of prompts.

    Attributes
    ----------
    table : RewardTable
        The samples.
    reward : str
        The column.
    budget : str
        ``"average"`` over prompts, or the same on every prompt, ``"per_prompt"``.
    level : float
        Coverage that the intervals aim at.
    bias_correction : bool
        Whether the bias of few samples is taken off.
    bounded : (float, float), optional
        Known ends of the reward.
    tail : TailShape
        What the largest rewards say about the tail.
    cells : Cells
        The units that are resampled.
    weights : array (n_boot + 1, cells)
        Their weights in each replicate.
    curve : object, optional
        Gain and spending of each cell along λ; None where there is no limit.
    supported_end : float
        The largest supported budget (in nats for KL), 0 where the samples support none.
    problem : InputError, optional
        Why there is no limit: `at` raises it, while `share` and `gold` still tell what is known without one.
    start : Generator
        The state of the source of randomness, for what is drawn later.
    of_each_prompt : callable
        What makes `per_prompt` of this fit.
    divergence : Divergence
        What budgets are measured in.
    win_rate : bool
        Whether the win rate over the base model by the reward is what counts, not the reward.
    """

    table: RewardTable
    reward: str
    budget: str
    level: float
    bias_correction: bool
    bounded: tuple[float, float] | None
    tail: TailShape
    cells: Cells = field(repr=False)
    weights: FloatArray = field(repr=False)
    curve: AveragedCurve | PerPromptCurve | None = field(repr=False)
    supported_end: float
    problem: InputError | None
    start: np.random.Generator = field(repr=False)
    of_each_prompt: Callable[[Fit], Fit] = field(repr=False)
    divergence: Divergence = KL
    win_rate: bool = False

    def __repr__(self) -> str:
        """Return the sizes and how far the limit is known."""
        end = f"no limit ({type(self.problem).__name__})"
        if self.problem is None:
            end = f"{self.budget} budget, supported up to {self.supported_end:.3g} nats"
        return f"<Fit of {self.reward!r}: {self.table.size_shown}, {end}>"

    @property
    def fixed_prompts(self) -> bool:
        """Whether statements and intervals are of these very prompts, too few to stand for others."""
        return self.cells.fixed_prompts

    @property
    def base_reward(self) -> float:
        """The mean reward of the base model; its win rate over itself, one half, where win rates count."""
        if self.win_rate:
            return 0.5
        return float(self.table.prompt_means(self.reward).mean())

    @property
    def base_interval(self) -> tuple[float, float]:
        """The interval of ``base_reward``, over prompts, or over the samples of a single one.

        Returns
        -------
        low, high : float
            In the unit of the reward.
        """
        if self.win_rate:
            return 0.5, 0.5
        if self.fixed_prompts:
            half = fixed_prompts_half_width(self.table, self.reward, self.level)
            return self.base_reward - half, self.base_reward + half
        means = self.cells.mean(self.table.prompt_means(self.reward))[:, None]
        low, high = studentised_interval(
            self.weights @ means, self.cells.standard_error(self.weights, means), self.level, len(self.cells.size)
        )
        return float(low[0]), float(high[0])

    @cached_property
    def unseen_top(self) -> int:
        """How many prompts show no response of the largest reward, where the limit may put mass on it all the same."""
        return int(self._without_top.sum())

    @cached_property
    def _without_top(self) -> BoolArray:
        if self.bounded is None or self.win_rate or math.isinf(self.divergence.slope_at_infinity):
            return np.zeros(self.table.n_prompts, dtype=bool)
        largest = self.table.prompt_maxima(self.reward)
        return np.asarray(largest < self.bounded[1])

    @property
    def _most_there_is(self) -> float:
        """The largest gain that known bounds of the reward leave, above a mean at the lower end of its interval."""
        if self.bounded is None or self.win_rate:
            return math.inf
        return self.bounded[1] - max(self.base_interval[0], self.bounded[0])

    @property
    def _most_presumed(self) -> float:
        """The most that prompts of `unseen_top` add to a limit: all that they could gain."""
        if self.bounded is None:
            return 0.0
        gaps = self.bounded[1] - self.table.prompt_means(self.reward)
        return float(np.where(self._without_top, gaps, 0.0).mean())

    def at(self, kl: npt.ArrayLike, *, strict: bool = True) -> EstimatedFrontier:
        """Return the largest gain within each budget, with its interval.

        Best-of-N and its mixtures with the base model are policies: the limit is nowhere below what they gain. Beyond
        ``supported_end`` the gain is a floor, its last supported value or theirs, and the interval is what monotony and
        concavity still guarantee. Where `unseen_top` is not 0 the gain is an upper limit, which presumes
        that every prompt has a response of the largest reward; its lower end allows for those prompts gaining nothing.

        Parameters
        ----------
        kl : float or array (k,)
            Budgets Δ >= 0 in the units of the fit's ``divergence`` (nats for KL).
        strict : bool
            Raise where no budget is supported; False returns what is still guaranteed.

        Raises
        ------
        UnsupportedBudgetError
            Where no budget is supported; it carries the largest that is.
        InputError
            For constant rewards, too few samples of a prompt, or a negative budget.

        Examples
        --------
        >>> from alignlib.estimation import fit_frontier
        >>> rows = np.random.default_rng(1).standard_normal((100, 64))
        >>> result = fit_frontier(rows).at(0.5)
        >>> bool(result.gain_low[0] < 1.0 < result.gain_high[0])
        True
        """
        found = self._at(kl, strict=strict)
        if self.table.n_prompts >= FEWEST_PROMPTS:
            return found
        # What holds at a smaller budget holds here; of few prompts an error may grow faster than the limit.
        lower = [self._at(part * found.spent, strict=False).gain_low for part in _SMALLER]
        return replace(found, gain_low=np.max([found.gain_low, *lower], axis=0))

    def _at(self, kl: npt.ArrayLike, *, strict: bool) -> EstimatedFrontier:
        curve, end = self._known(), self.supported_end
        name, unit = ("kl", "nats") if self.divergence == KL else ("budgets", f"of {self.divergence.called}")
        budgets = check_budgets(kl, self.divergence)
        supported = budgets <= end * (1.0 + 1e-12)
        if strict and self.bias_correction and not supported.any():
            raise UnsupportedBudgetError(
                f"{name} must not exceed the largest supported budget, {end:.3g} {unit} for these samples of "
                f"{self.reward!r}; got {budgets.min():.3g}. Ask for less, or draw more samples per prompt.",
                end,
            )
        held = np.minimum(budgets, end) if self.bias_correction else budgets
        # Budgets beyond the end share a point of the curve; where bounds leave no end, it is what no budget exceeds.
        ever = isinstance(curve, AveragedCurve) and curve.cell_reached is not None
        last = end if math.isfinite(end) else _ANY_BUDGET if ever else 1.0
        distinct, place = np.unique(np.append(held, last), return_inverse=True)
        points = curve.at(self._mean_of(distinct), self.weights, self.level).take(place)
        with np.errstate(divide="ignore", over="ignore"):
            price = points.slope[:-1] * np.minimum(self.divergence.mean_slope(held), _LARGEST_MEAN)
            lam = np.where(held > 0.0, 1.0 / price, 0.0)
        beyond = np.where(budgets > held, self._mean_of(budgets) - self._mean_of(held), 0.0)
        rise = points.slope[-1] * np.ones_like(beyond)
        rise = np.multiply(rise, beyond, where=(rise > 0.0) & (beyond > 0.0), out=np.zeros_like(beyond))
        gain, low, high = points.gain[:-1], points.low[:-1], points.high[:-1] + rise
        if self._drawn is not None and isinstance(curve, AveragedCurve):
            lowest, highest = self._drawn.ends(held, self.level)
            plug_in = curve.gains(self.weights[:1], held, curve.cell_plug_in)[0][0]
            low = np.minimum(low, lowest)
            high = np.maximum(high, highest + np.maximum(gain - plug_in, 0.0) + rise)
        low = np.maximum(low, 0.0)  # of the base itself
        if isinstance(curve, WinRateCurve):  # ties only lower the curve
            free = self.divergence == KL
            most = largest_win_rate(budgets) - 0.5 if free else curve.most(self._mean_of(budgets))
            gain, low, high = (np.minimum(part, most) for part in (gain, low, high))
        if ever:
            high = np.minimum(high, points.high[-1])
        if self.bounded is not None and not self.win_rate:
            most = self.bounded[1] - self.base_reward
            gain, low = np.minimum(gain, most), np.minimum(low, most)
        if self.unseen_top:
            low = np.maximum(low - self._most_presumed, 0.0)
        least = np.interp(self._mean_of(budgets), *self._attained)
        gain, high = np.maximum(gain, least), np.maximum(np.minimum(high, self._most_there_is), np.maximum(gain, least))
        return EstimatedFrontier(
            spent=budgets,
            gain=gain,
            lam=lam,
            base_reward=self.base_reward,
            gain_low=low,
            gain_high=high,
            supported=supported,
            level=self.level,
            supported_end=end,
            ess=points.ess[:-1],
            largest_weight=points.largest_weight[:-1],
            budget=self.budget,
            n_prompts=self.table.n_prompts,
            fixed_prompts=self.fixed_prompts,
            tail=self.tail,
            divergence=self.divergence,
            unseen_top=self.unseen_top,
        )

    @cached_property
    def _drawn(self) -> DrawnLimits | None:
        """Limits under drawn weights of the samples, where the prompts are fixed and show few of them."""
        few = int(self.table.n_samples.sum()) < FEW_SAMPLES and self.table.all_held
        plain = self.divergence == KL and not self.win_rate and self.bias_correction
        if not (few and plain and self.fixed_prompts and isinstance(self.curve, AveragedCurve)):
            return None
        rewards = self.table.column(self.reward)
        return DrawnLimits([rewards[where] for where, _ in self.cells.of_each], self.curve.lam)

    @cached_property
    def _attained(self) -> tuple[FloatArray, FloatArray]:
        """Budgets, as means of f, and gains that best-of-N and its mixtures with the base attain; none of a plug-in."""
        # Of bins, powers of two are asked for by shares too, and what is between them costs as much as the curve.
        rules = rules_along(int(self.table.n_samples.min()), halves=self.table.all_held)
        if not rules or not self.bias_correction or self.curve is None:
            return np.zeros(1), np.zeros(1)
        spent, gain = attained(self.table, self.reward, rules, self.divergence, win_rate=self.win_rate)
        if isinstance(self.curve, PerPromptCurve):  # what they spend on any prompt, with ties or without
            spent = np.array([rule.spent_formula(KL) for rule in rules], dtype=np.float64)
        return upper_hull(spent, gain)

    @cached_property
    def frontier(self) -> EstimatedFrontier:
        """The frontier on a grid of budgets over the supported range, denser near 0 where it rises like √Δ."""
        self._known()
        if self.supported_end == 0.0 and not self.bias_correction:
            raise self._unsupported()
        shown = min(self.supported_end, float(np.log(self.table.n_samples).mean()), _furthest(self))
        return self.at(np.linspace(0.0, 1.0, _DEFAULT_POINTS) ** 2 * shown)

    @cached_property
    def per_prompt(self) -> Fit:
        """The fit of the same reward for the same KL on every prompt; it asks more of the samples.

        Tail, cells and their weights are those of this fit.
        """
        return self.of_each_prompt(self)

    def sensitivity(self, kl: float | None = None) -> Sensitivity | None:
        """Say what the limit at a budget assumes: which prompts carry it, and what one larger sample would change.

        Parameters
        ----------
        kl : float, optional
            The budget in nats; by default the largest that is supported.

        Returns
        -------
        Sensitivity or None
            None where no limit is known, where the reward has known bounds, or where all weight is on largest samples.

        Raises
        ------
        InputError
            If ``kl`` is not positive, or not supported.

        Examples
        --------
        >>> from alignlib.estimation import fit_frontier
        >>> fit = fit_frontier(np.random.default_rng(1).standard_normal((100, 64)))
        >>> fit.sensitivity(0.5).prompts_that_count > 50
        True
        """
        if self.problem is not None or not 0.0 < self.supported_end < math.inf:
            return None
        if self.divergence != KL or self.win_rate:
            return None
        budget = self.supported_end if kl is None else min(as_number("kl", kl, 0.0), self.supported_end)
        lam = float(self.at(budget).lam[0]) if budget > 0.0 else 0.0
        if not 0.0 < lam < math.inf or not isinstance(self.curve, AveragedCurve):
            return None
        return sensitivity(
            self.table, self.reward, budget, lam, fixed_prompts=self.fixed_prompts, discrete=self.tail.discrete
        )

    def share(self, rules: Rule | Sequence[Rule] | None = None, picked_by: str | None = None) -> RuleEstimate:
        """Estimate what rules spend and gain, and their share of what any policy gains at equal average KL.

        In total variation there is no share: it is a mean of absolute values, which few samples or ties overstate, so
        that samples do not show the limit at what a rule spends. Where the limit presumes a response of the largest
        reward (`unseen_top`), the share is at least ``share_low``, and no more is known.

        Parameters
        ----------
        rules : Rule or list of Rule, optional
            Such as ``BestOfN(8)``; by default best-of-N for the powers of two up to the fewest samples of a prompt.
        picked_by : str, optional
            The column that picks, where it is not the fit's own, in which gain and limit are measured. Ties of it are
            broken at random, that is, averaged.

        Raises
        ------
        InputError
            Where a rule draws more than the samples of a prompt, or the fit is one for the same KL on every prompt.

        Examples
        --------
        >>> from alignlib.estimation import fit_frontier
        >>> rows = np.random.default_rng(0).standard_normal((100, 64))
        >>> result = fit_frontier(rows).share([BestOfN(2), BestOfN(4)])
        >>> result.spent.round(4).tolist(), bool((result.share_low < [0.9077, 0.9125]).all())
        ([0.1931, 0.6363], True)

        Source: B24 (KL formula as an upper bound); the estimator of the reward is a U-statistic.
        """
        require(
            not isinstance(self.curve, PerPromptCurve),
            "share compares at equal average KL; fit with budget='average', not 'per_prompt'.",
        )
        found = evaluate_rules(
            self.table,
            self.reward if picked_by is None else single_column(self.table, picked_by),
            self.reward,
            [BestOfN(2.0**k) for k in range(int(self.table.n_samples.min()).bit_length())]
            if rules is None
            else as_rules(rules),
            self.cells,
            self.weights,
            self.curve if isinstance(self.curve, AveragedCurve) and self.divergence != TOTAL_VARIATION else None,
            self.supported_end,
            self.level,
            divergence=self.divergence,
            win_rate=self.win_rate,
        )
        found = replace(found, gain_high=np.maximum(np.minimum(found.gain_high, self._most_there_is), found.gain))
        if self._drawn is not None and picked_by is None and found.share_low is not None:
            assert found.share_high is not None
            assert found.supported is not None
            low, high = self._drawn.share_ends(found.rules, found.spent, self.level)
            low, high = np.fmin(found.share_low, low), np.minimum(np.fmax(found.share_high, high), 1.0)
            found = replace(found, share_low=np.where(found.supported, low, found.share_low), share_high=high)
        if picked_by is None or picked_by == self.reward:  # the best of N responses is no worse than one
            best = np.array([isinstance(rule, BestOfN) for rule in found.rules])
            found = replace(found, gain_low=np.where(best, np.maximum(found.gain_low, 0.0), found.gain_low))
        if self.unseen_top and found.share is not None:
            k = len(found.rules)
            found = replace(found, share_high=np.ones(k), supported=np.zeros(k, dtype=bool))
        return found

    def gold(self, column: str, rules: Sequence[Rule] | None = None) -> GoldEstimate:
        """Predict another reward as rules pick by the fit's own, a proxy; without bias for best of a whole N.

        Parameters
        ----------
        column : str
            The reward that counts.
        rules : list of Rule, optional
            One rule along its growing parameter, such as ``BestOfN.along([1, 2, 4])``; by default best-of-N for about
            fifty of the whole numbers up to the fewest samples of a prompt (half of that where prompts are fixed). Ties
            of the proxy are averaged.

        Raises
        ------
        InputError
            For a proxy or gold that does not vary, or that are one.

        Examples
        --------
        >>> from alignlib.estimation import fit_frontier
        >>> from alignlib.tables import example_table
        >>> table = example_table(100, 32, 0.7, np.random.default_rng(1))
        >>> result = fit_frontier(table, "reward").gold("gold", [BestOfN(1), BestOfN(4), BestOfN(16)])
        >>> result.hedge.parameter, bool(result.gold_gain[0] == 0.0)
        (16.0, True)

        Source: a U-statistic; B24 for the KL.
        """
        self._require_plain("gold")
        chosen = None if rules is None else as_rules(rules)
        return gold_of_rules(self.table, self.reward, column, chosen, self.cells, self.weights, self.level)

    def tilted_gold(self, column: str, lam: npt.ArrayLike | None = None) -> GoldEstimate:
        """Predict another reward along the tilt by the fit's own: ``Cov_p(r, e^{λr̂}) / E_p e^{λr̂}``, over prompts.

        Biases of O(1/n) and O(1/n²) are removed within each prompt; the interval is widened by the bias that may be
        left. A λ is supported while that is at most a quarter of the standard error, or 0.5 % of the value, and the
        proxy's own curve is supported.

        Parameters
        ----------
        column : str
            The reward that counts.
        lam : array (k,), optional
            Increasing λ > 0; by default a geometric grid up to where the samples give out.

        Raises
        ------
        InputError
            For a proxy or gold that does not vary, too few samples, or a λ out of its range.

        Examples
        --------
        >>> from alignlib.estimation import fit_frontier
        >>> from alignlib.tables import example_table
        >>> table = example_table(150, 64, 0.7, np.random.default_rng(0))
        >>> result = fit_frontier(table, "reward").tilted_gold("gold", [0.2, 0.4])
        >>> bool((result.gold_low < [0.2 * 1.377, 0.4 * 1.377]).all())
        True

        Source: P26 (covariance form); bias correction, interval and support are derived here.
        """
        self._require_plain("tilted_gold")
        most = 0.0
        if isinstance(self.curve, AveragedCurve):
            rate = self.tail.gold_rate(int(self.table.n_samples.min()))
            most = min(self.curve.supported_lam, float(self.curve.lam[-1]), rate)
        return tilted_gold(self.table, self.reward, column, lam, self.cells, self.weights, most, self.level)

    def _require_plain(self, what: str) -> None:
        require(
            self.divergence == KL and not self.win_rate,
            f"{what} is known for the reward itself and KL; fit without divergence and win_rate.",
            "divergence",
        )

    def _mean_of(self, budgets: FloatArray) -> FloatArray:
        # Rényi's grow like exponentials: past the largest of these everything is at its limit.
        return np.minimum(self.divergence.mean_of(budgets), _LARGEST_MEAN)

    def _known(self) -> AveragedCurve | PerPromptCurve:
        if self.problem is not None:
            raise self.problem
        assert self.curve is not None
        if self.supported_end == 0.0 and self.bias_correction:
            raise self._unsupported()
        return self.curve

    def _unsupported(self) -> UnsupportedBudgetError:
        fewest, prompts = int(self.table.n_samples.min()), self.table.n_prompts
        what = "KL budget" if self.divergence == KL else f"budget of {self.divergence.called}"
        return UnsupportedBudgetError(
            f"The samples of {self.reward!r} support no {what}: {counted(fewest, 'sample')} of a prompt and "
            f"{counted(prompts, 'prompt')} are too few for its tail, or one prompt has nearly all of the KL. "
            "Draw more samples per prompt, or from more prompts.",
            0.0,
        )


def _furthest(fit: Fit) -> float:
    """Return where the frontier of a fit ends at the latest: all that can be spent, of a divergence that ends."""
    return math.inf if fit.divergence == KL else Uniform().max_spent(fit.divergence)
