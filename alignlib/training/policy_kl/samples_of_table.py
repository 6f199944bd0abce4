"""The log-probabilities of one table as samples: by sequence, by token, or the KLs that stand for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib._core.shown import decimals_of
from alignlib._core.special import exp_excess
from alignlib.tables import TableFile, holds_lists, load, require_column
from alignlib.training.policy_kl.padding import tokens_of_responses
from alignlib.training.policy_kl.response_columns import (
    log_probs,
    none_missing,
    not_negative,
    numbers_of,
    same_lengths,
    sizes_in_nats,
    token_counts,
    token_lists,
)
from alignlib.training.policy_kl.response_names import LENGTHS, PROMPTS, STEPS, first_of, known_pair
from alignlib.training.policy_kl.samples import KLSamples

__all__ = ["KLColumns", "as_written", "samples_of", "stored_in", "sure_tokens"]

_SUMS = ("exact_kl", "entropy")  # over the tokens of a response, as `alignlib.training.callback` writes them
# Of what log-probabilities betray of how they were computed.
_ENOUGH = 50  # values: fewer may be round by chance
_BITS = {"bfloat16": 8, "float16": 11}  # of the significand
_APART, _HALF = 1e-3, 0.02  # of two sums of divergences, nats a token and a share: either may be of half precision
# By how much log-probabilities may differ at an exact 0, in all and a token: one of two decimals was up to 0.005, where
# log-ratios scatter by 0.1, and those of half precision are off by a hundredth a token.
_UNLIKE, _UNLIKE_TOKEN = 0.5, 0.01
_HALF_OF_ZEROS = 0.05  # nats: sums that are all 0 show no decimal, and may have one; those by token tell all
_FEW, _MATTERS = 4, 0.02  # decimals, which numbers have by rounding alone, and a part of the largest: as of logs
_TINY = 1e-4  # nats, where log-ratios of half a nat do not belong
_PART = 0.05  # weight of the other hypothesis in each row
_SURE = np.log(1e6)  # evidence of all rows that refuses
_SURE_SHARE, _SURE_TOKENS, _DOUBT = 0.02, 20, 0.05


@dataclass(frozen=True)
class KLColumns:
    """Names of the columns, by default those that `alignlib sample` writes.

    Parameters
    ----------
    prompt : str
        What names the prompt.
    log_prob, base_log_prob : str
        Log-probabilities of responses under policy and base, in nats.
    n_tokens : str
        Tokens of each response.
    token_log_prob, base_token_log_prob : str
        Lists of log-probabilities of tokens.
    token_kl : str
        Lists of the exact KL at each token.
    kl : str
        A KL of each response, for tables without log-probabilities.
    kl_unit : str, optional
        Its unit: nats per ``"token"`` or ``"sequence"``.
    step : str
        Step of training.
    """

    prompt: str = "prompt_id"
    log_prob: str = "log_prob"
    base_log_prob: str = "base_log_prob"
    n_tokens: str = "n_tokens"
    token_log_prob: str = "token_log_prob"
    base_token_log_prob: str = "base_token_log_prob"
    token_kl: str = "token_kl"
    kl: str = "kl"
    kl_unit: str | None = None
    step: str = "step"


def samples_of(file: TableFile, names: KLColumns) -> KLSamples:
    """Read the log-probabilities of one table, or the KLs that stand for them.

    Parameters
    ----------
    file : TableFile
        The table.
    names : KLColumns
        Its columns.

    Raises
    ------
    InputError
        If a column is missing, or a cell is impossible.
    """
    have = set(file.names)
    by_token = {names.token_log_prob, names.base_token_log_prob} <= have
    by_sequence = {names.log_prob, names.base_log_prob} <= have
    if not (by_token or by_sequence):
        if names.kl not in have:
            return _refuse(file, names)
        given, pairs = _given(file, names), {names.log_prob, names.base_log_prob}
        pairs |= {"exact_kl", names.token_kl, names.token_log_prob, names.base_token_log_prob}
        left = sorted((pairs - {names.kl}) & have)
        said = [f"{left[0]!r} is not used: it is read beside log-probabilities of both models."] if left else []
        return replace(given, notes=(*given.notes, *said))
    wanted = [name for name in (names.n_tokens, *_SUMS) if name in have]
    wanted += [names.log_prob, names.base_log_prob] if by_sequence else []
    kl = names.token_kl if by_token and names.token_kl in have else None
    wanted += [names.token_log_prob, names.base_token_log_prob, *([kl] if kl else [])] if by_token else []
    left_out = [repr(names.kl)] if names.kl in have - {*wanted} else []
    left_out += ["kl_unit"] if names.kl_unit else []
    of = next((f"exact divergences {one!r}" for one in (kl, "exact_kl") if one in wanted), "log-probabilities")
    kl_too = [f"{one} is not used: the KL is that of the {of} of both models." for one in left_out]
    table = load(file, wanted, "one row per response")
    sequence, half = None, 0.0
    if by_sequence:
        ours, theirs = (
            log_probs(file, name, numbers_of(file, name, table), whose)
            for name, whose in ((names.log_prob, "policy"), (names.base_log_prob, "base"))
        )
        count = token_counts(file, names.n_tokens, table) if names.n_tokens in have else None
        sequence, half = KLSamples.from_sequences(ours, theirs, n_tokens=count), _half_of(ours) + _half_of(theirs)
        of_sums, surprise, rounded = _sums(file, table, ours, count)
        if of_sums is not None:
            n_tokens = np.ones(ours.size) if count is None else count
            rounded += _rounded(file, "exact_kl", of_sums, sequence.log_ratio, n_tokens)
        notes = (*kl_too, *stored_in(ours), *rounded)
        sequence = replace(sequence, notes=notes, exact_kl=of_sums, surprise=surprise)
    if not by_token:
        assert sequence is not None
        return sequence
    ours, offsets = token_lists(file, names.token_log_prob, table, padded=True)
    theirs, same = token_lists(file, names.base_token_log_prob, table, padded=True)
    same_lengths(file, names.token_log_prob, names.base_token_log_prob, offsets, same)
    exact = None
    if kl:
        exact, same = token_lists(file, kl, table, padded=True)
        same_lengths(file, names.token_log_prob, kl, offsets, same)
        sizes_in_nats(file, kl, exact, offsets)
    chosen, said = tokens_of_responses(file, names.token_log_prob, names.n_tokens, (ours, theirs), offsets)
    if chosen is not None:
        counts = np.add.reduceat(chosen.astype(np.int64), offsets[:-1])
        ours, theirs = ours[chosen], theirs[chosen]
        exact = None if exact is None else exact[chosen]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    for name, values in ((names.token_log_prob, ours), (names.base_token_log_prob, theirs), (kl, exact)):
        if name is not None and values is not None:
            none_missing(file, name, values, offsets)
    said = [*said, *(not_negative(file, kl, exact, offsets) if kl and exact is not None else [])]
    log_probs(file, names.token_log_prob, ours, "policy", offsets)
    log_probs(file, names.base_token_log_prob, theirs, "base", offsets)
    samples = KLSamples.from_flat(ours, theirs, offsets, exact)
    total = np.add.reduceat(ours, offsets[:-1])
    of_sums, surprise, rounded = _sums(file, table, total, samples.n_tokens)
    if exact is not None and of_sums is not None:
        _check_exact(file, str(kl), of_sums, exact, offsets)
    if exact is not None:
        rounded += _rounded(file, str(kl), exact, ours - theirs, np.ones(ours.size), offsets)
    elif of_sums is not None:
        rounded += _rounded(file, "exact_kl", of_sums, samples.log_ratio, np.diff(offsets))
    samples = replace(
        samples,
        notes=(*kl_too, *said, *rounded, *stored_in(ours), *sure_tokens(ours, theirs)),
        surprise=surprise,
        exact_kl=of_sums if exact is None else None,  # which token by token says more
    )
    if sequence is not None:
        apart = half + (_half_of(ours) + _half_of(theirs)) * np.diff(offsets)
        samples.check_sums(sequence.log_ratio, file.path, apart)
    return samples


def _sums(
    file: TableFile, table: pa.Table, log_prob: FloatArray, n_tokens: FloatArray | None
) -> tuple[FloatArray | None, FloatArray | None, list[str]]:
    """Return what else was summed over each response, exact divergences and surprise beyond the entropy, and notes."""
    held, notes = dict[str, FloatArray](), list[str]()
    for name in _SUMS:
        if name in table.column_names:
            held[name] = sizes_in_nats(file, name, numbers_of(file, name, table))
            notes += not_negative(file, name, held[name], of_tokens=n_tokens)
    entropy = held.get("entropy")
    return held.get("exact_kl"), None if entropy is None else -log_prob - entropy, notes


def _check_exact(file: TableFile, kl: str, of_sums: FloatArray, exact: FloatArray, offsets: IntArray) -> None:
    """Refuse exact divergences by response that are not the sums of those by token, but for rounding of either."""
    added, n_tokens = np.add.reduceat(exact, offsets[:-1]), np.diff(offsets)
    apart = (_APART + _half_of(exact)) * n_tokens + _HALF * np.abs(added)
    apart += _half_of(of_sums) if of_sums.any() else _HALF_OF_ZEROS
    bad = np.flatnonzero(np.abs(of_sums - added) > apart)
    if bad.size:
        raise InputError(
            f"column 'exact_kl' of {file.path} holds {of_sums[bad[0]]:g}, and {kl!r} adds up to {added[bad[0]]:g}, in "
            f"{file.where(bad[:5].tolist(), bad.size)}; leave out the one that is wrong, or sum the same tokens (end "
            "token in, padding out).",
            column="exact_kl",
            rows=bad.tolist(),
        )


def _half_of(values: FloatArray) -> float:
    """Return half of the last decimal of numbers that have few.

    >>> _half_of(np.array([0.0, 0.25])), _half_of(np.array([1.0 / 3.0]))
    (0.005, 0.0)
    """
    shown = decimals_of(np.abs(values), range(_FEW + 1))
    return 0.0 if shown is None else 0.5 * 10.0**-shown


def _rounded(
    file: TableFile,
    name: str,
    exact: FloatArray,
    log_ratio: FloatArray,
    n_tokens: FloatArray | IntArray,
    offsets: IntArray | None = None,
) -> list[str]:
    """Say so where exact divergences have few decimals, and refuse those near 0 where the models differ by more.

    At an exact 0 both give every token the same probability. A number d that was rounded was at most half of the last
    decimal more. Of a log-ratio x, exp(-x) - 1 + x is never negative, and d on average, over samples of the policy, and
    exp(x) - 1 - x over those of the base: the smaller of both, over d, is on average at most 1, so that by Markov's
    inequality the product over rows is as large as what is refused once in a million tables.
    """
    apart = np.abs(log_ratio) > _UNLIKE + _UNLIKE_TOKEN * n_tokens
    half = _half_of(exact)
    small = exact <= (0.0 if half else _TINY)
    most = np.maximum(np.maximum(exact, 0.0) + half, np.finfo(np.float64).tiny)
    with np.errstate(over="ignore"):
        size = np.where(apart, exp_excess(-np.abs(log_ratio)), 0.0) / most
    evidence = float(np.log1p(_PART * (size[small] - 1.0)).sum())
    bad = np.flatnonzero(apart & (small if evidence > _SURE else (exact == 0.0) & (half == 0.0)))
    if bad.size:
        rows = bad if offsets is None else np.unique(np.searchsorted(offsets, bad, "right") - 1)
        raise InputError(
            f"column {name!r} of {file.path} holds {exact[bad[0]]:g}, and the log-probabilities there differ "
            f"by {abs(log_ratio[bad[0]]):.3g} nats, in {file.where(rows[:5].tolist(), rows.size)}; at so small a one "
            "they are nearly the same, and what was all rounded to 0 tells nothing: compute it anew, or "
            "leave that column out, the log-probabilities are enough.",
            column=name,
            rows=rows.tolist(),
        )
    if half <= _MATTERS * np.abs(exact).max():
        return []
    shown = round(-np.log10(2.0 * half))
    said = (
        f"No number of {name!r} has more than {counted(shown, 'decimal')}. If they were rounded, each is known up to "
        f"{half:g} nats, and a 0 may be a little; without that column the log-probabilities are enough."
    )
    return [said]


def _given(file: TableFile, names: KLColumns) -> KLSamples:
    """Read a trainer's own KL of each response: a list over tokens, or a number per sequence or per token."""
    count = None
    have = set(file.names)
    wanted = [names.kl, *([names.n_tokens] if names.n_tokens in have else [])]
    table = load(file, wanted, "one row per response")
    if holds_lists(file, names.kl, table.column(names.kl)):
        values, offsets = token_lists(file, names.kl, table, padded=True)
        chosen, notes = tokens_of_responses(file, names.kl, names.n_tokens, (values,), offsets)
        counted = np.ones(values.size, dtype=bool) if chosen is None else chosen
        none_missing(file, names.kl, np.where(counted, values, 0.0), offsets)
        sizes_in_nats(file, names.kl, np.where(counted, values, 0.0), offsets)
        total = np.add.reduceat(np.where(counted, values, 0.0), offsets[:-1])
        sizes = np.add.reduceat(counted.astype(np.float64), offsets[:-1])
        told = _as_given(names, "summed over the tokens of a response")
        return KLSamples(total, None, sizes, given=True, notes=(told, *notes))
    values = sizes_in_nats(file, names.kl, numbers_of(file, names.kl, table))
    if names.n_tokens in have:
        count = token_counts(file, names.n_tokens, table)
    if names.kl_unit == "sequence":
        return KLSamples(
            values, None, count, given=True, notes=(_as_given(names, "in nats per sequence, as you said"),)
        )
    if names.kl_unit != "token":
        raise InputError(
            f"{file.path} has no log-probabilities of both models; say whether its {names.kl!r} is in nats per "
            "sequence or per token (kl_unit='sequence' or kl_unit='token').",
            argument="kl_unit",
        )
    if count is None:
        raise InputError(
            f"{file.path}: {names.kl!r} is in nats per token and no column says how many tokens a response has "
            "(n_tokens); name it.",
            argument="n_tokens",
        )
    product, apart = float((values * count).mean()), float(values.mean() * count.mean())
    said = _as_given(names, f"times {names.n_tokens!r}")
    said += f" The product of their means would be {apart:.4g}, where the mean of the products is {product:.4g}."
    return KLSamples(values * count, None, count, given=True, notes=(said,))


def _as_given(names: KLColumns, how: str) -> str:
    return (
        f"The KL of each response is {names.kl!r}, {how}: by the estimator of whoever wrote it, which no samples here "
        "check."
    )


def _refuse(file: TableFile, names: KLColumns) -> KLSamples:
    """Say which log-probabilities are missing."""
    if names.log_prob in file.names or names.token_log_prob in file.names:
        raise InputError(
            f"{file.path} has log-probabilities of the policy but none of the base ({names.base_log_prob!r}); sample "
            "with the base model, or name the column (base_log_prob)."
        )
    require_column(file, names.log_prob, "log_prob")
    raise InputError(f"{file.path} has no log-probabilities of the base ({names.base_log_prob!r}).")


def as_written(file: TableFile, names: KLColumns) -> tuple[KLColumns, list[str]]:
    """Return the names of columns as a trainer wrote them, where those by default are not there, and what was taken.

    Parameters
    ----------
    file : TableFile
        The table.
    names : KLColumns
        The columns asked for.

    Returns
    -------
    names : KLColumns
        Those that are there.
    taken : list of str
        What was taken for what.
    """
    have, told = set(file.names), []
    default = KLColumns()
    for field, known in (("prompt", PROMPTS), ("n_tokens", LENGTHS), ("step", STEPS)):
        found = first_of(known, have)
        if getattr(names, field) == getattr(default, field) and found is not None:
            names = replace(names, **{field: found})
    ours = {names.log_prob, names.token_log_prob}
    theirs = {names.base_log_prob, names.base_token_log_prob}
    pair = known_pair(have)
    if (
        not (ours & have and theirs & have)
        and pair is not None
        and names
        == replace(
            default, prompt=names.prompt, n_tokens=names.n_tokens, step=names.step, kl=names.kl, kl_unit=names.kl_unit
        )
    ):
        policy, base, who = pair
        told.append(f"Log-probabilities are taken from {policy!r} (policy) and {base!r} (base), names of {who}.")
        if holds_lists(file, policy, load(file, [policy], "one row per response").column(policy)):
            return replace(names, token_log_prob=policy, base_token_log_prob=base), told
        return replace(names, log_prob=policy, base_log_prob=base), told
    return names, told


def stored_in(log_prob: FloatArray) -> list[str]:
    """Say where every value is one that half precision has: what rounding it there makes of a KL.

    Parameters
    ----------
    log_prob : array
        Log-probabilities in nats.

    Examples
    --------
    >>> stored_in(-np.arange(1.0, 100.0) / 7.0), len(stored_in(-np.arange(1.0, 100.0) / 64.0))
    ([], 1)
    """
    values = log_prob[(log_prob != 0.0) & np.isfinite(log_prob)]
    if values.size < _ENOUGH or np.unique(values).size < _ENOUGH // 2 or (values == np.round(values)).all():
        return []
    for name, bits in _BITS.items():
        mantissa, exponent = np.frexp(values)
        scaled = np.ldexp(mantissa, bits)
        if (scaled == np.round(scaled)).all():
            half = np.ldexp(0.5, exponent - bits)  # the most that rounding moves a value
            spread = float(np.sqrt(2.0 * np.mean(half**2) / 3.0))
            said = (
                f"Every log-probability is one that {name} has ({bits} bits): rounding alone moves a log-ratio by "
                f"about {spread:.2g} nats for each number that was stored, which a response adds up over its tokens. "
                "Score in float32, and store it so."
            )
            return [said]
    return []


def sure_tokens(policy: FloatArray, base: FloatArray) -> list[str]:
    """Say where the policy is certain of many tokens of which the base is not: as with top-k or top-p.

    Parameters
    ----------
    policy, base : array (tokens,)
        Log-probabilities in nats.

    Examples
    --------
    >>> len(sure_tokens(np.zeros(100), np.full(100, -0.5))), sure_tokens(np.full(100, -0.1), np.full(100, -0.5))
    (1, [])
    """
    sure = (policy == 0.0) & (base < -_DOUBT)
    share = float(sure.mean()) if sure.size else 0.0
    if share < _SURE_SHARE or int(sure.sum()) < _SURE_TOKENS:
        return []
    said = (
        f"The policy gives probability 1 exactly to {100.0 * share:.3g} % of the tokens, of which the base is not "
        "sure: its log-probabilities look like those of a law cut by top-k or top-p, and the KL is that of this law, "
        "not of the model itself."
    )
    return [said]
