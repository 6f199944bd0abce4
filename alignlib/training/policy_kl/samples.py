"""Sampled responses with their log-probabilities under policy and base, by sequence or by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib._core.errors import quoted
from alignlib._core.names import counted
from alignlib._core.same import SameFields
from alignlib._core.shown import span
from alignlib.training.policy_kl.sample_arrays import (
    OF_SUMS,
    as_log_probs,
    as_log_ratio,
    as_offsets,
    as_prompts,
    as_token_counts,
    as_token_values,
    flattened,
    same_offsets,
)

__all__ = ["KLSamples"]

_ROUNDING = 1e-3  # nats per token by which single precision and a fused head may disagree


@dataclass(frozen=True, eq=False)
class KLSamples(SameFields):
    """Responses y with what policy and base said of them, n of them with t tokens in all. What is not known is None.

    Parameters
    ----------
    log_ratio : array (n,)
        ``log policy(y|x) - log base(y|x)`` in nats.
    prompt : array of int (n,), optional
        Number of the prompt of each.
    n_tokens : array (n,), optional
        Its tokens.
    offsets : array of int (n + 1,), optional
        Token by token, response ``i`` owns ``offsets[i]:offsets[i + 1]``.
    token_log_ratio : array (t,), optional
        Log-ratio of each token, in nats, the responses one after another.
    token_kl : array (t,), optional
        Exact KL of the next-token laws at each prefix, in nats.
    notes : tuple of str
        Sentences on what was left out.
    exact_kl : array (n,), optional
        The sum of ``token_kl`` over a response, where only that was kept.
    surprise : array (n,), optional
        ``-log policy(y|x)`` less the policy's entropies along y, whose mean is 0 where the policy wrote y.
    given : bool
        That the log-ratios are a trainer's own KL of each response, by whatever estimator.

    Raises
    ------
    InputError
        If an array has another length, a value is not finite, or an exact divergence is negative.

    Examples
    --------
    >>> samples = KLSamples.from_sequences(policy=[-3.0, -2.5], base=[-3.5, -2.0], prompt=[0, 1])
    >>> samples.size, samples.log_ratio.tolist()
    (2, [0.5, -0.5])
    """

    log_ratio: FloatArray
    prompt: IntArray | None = None
    n_tokens: FloatArray | None = None
    offsets: IntArray | None = None
    token_log_ratio: FloatArray | None = None
    token_kl: FloatArray | None = None
    notes: tuple[str, ...] = ()
    exact_kl: FloatArray | None = None
    surprise: FloatArray | None = None
    given: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "log_ratio", as_log_ratio("log_ratio", self.log_ratio))
        n = self.size
        if self.prompt is not None:
            object.__setattr__(self, "prompt", as_prompts(self.prompt, n))
        if self.n_tokens is not None:
            object.__setattr__(self, "n_tokens", as_token_counts(self.n_tokens, n))
        if self.offsets is not None:
            object.__setattr__(self, "offsets", as_offsets(self.offsets, n))
        for name in ("token_log_ratio", "token_kl"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, as_token_values(name, getattr(self, name), self.offsets))
        for name in ("exact_kl", "surprise"):
            held = getattr(self, name)
            if held is not None:
                object.__setattr__(self, name, as_log_ratio(name, held))
                require(len(held) == n, f"{name} must have {n} entries; got {len(held)}.", name)
        for name, of_tokens in (("token_kl", None), ("exact_kl", self.n_tokens)):
            held = getattr(self, name)
            bad = np.zeros(0) if held is None else held[held < -OF_SUMS * (1.0 if of_tokens is None else of_tokens)]
            require(
                not bad.size,
                f"{name} holds exact divergences, which are not negative; got {bad.min(initial=0.0):g}, below what "
                f"single precision makes of 0, {OF_SUMS:g} a token (half precision leaves more). Compute them in "
                "float32, or leave them out: log-probabilities are enough.",
                name,
            )
        require(
            isinstance(self.notes, tuple) and all(isinstance(note, str) for note in self.notes),
            f"notes must be a tuple of sentences; got {quoted(self.notes)}.",
            "notes",
        )

    def __repr__(self) -> str:
        """Return the sizes and the ends of the log-ratio."""
        tokens = "" if self.token_log_ratio is None else f", {counted(self.token_log_ratio.size, 'token')}"
        return f"<KLSamples: {counted(self.size, 'response')}{tokens}, log_ratio {span(self.log_ratio)} nats>"

    @property
    def size(self) -> int:
        """Number of responses."""
        return len(self.log_ratio)

    def take(self, rows: IntArray) -> KLSamples:
        """Return some of the responses, by their positions.

        Parameters
        ----------
        rows : array of int
            Their positions, in the order wanted.

        Examples
        --------
        >>> samples = KLSamples.from_tokens([[-1.0, -0.5], [-2.0]], [[-1.5, -0.5], [-2.5]])
        >>> samples.take(np.array([1])).token_log_ratio.tolist()
        [0.5]
        """

        def some(values: FloatArray | None) -> FloatArray | None:
            return None if values is None else values[rows]

        offsets, tokens = self.offsets, np.zeros(0, dtype=np.int64)
        if self.offsets is not None:
            sizes = np.diff(self.offsets)[rows]
            offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
            tokens = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], sizes)
        return KLSamples(
            self.log_ratio[rows],
            None if self.prompt is None else np.unique(self.prompt[rows], return_inverse=True)[1].astype(np.int64),
            some(self.n_tokens),
            offsets,
            None if self.token_log_ratio is None else self.token_log_ratio[tokens],
            None if self.token_kl is None else self.token_kl[tokens],
            self.notes,
            some(self.exact_kl),
            some(self.surprise),
            self.given,
        )

    def sum_tokens(self, values: FloatArray) -> FloatArray:
        """Return the sum over the tokens of each response.

        Parameters
        ----------
        values : array (t,)
            One value a token.

        Returns
        -------
        array (n,)
            0 for a response without tokens.
        """
        assert self.offsets is not None
        total = np.add.reduceat(np.append(values, 0.0), self.offsets[:-1])
        return np.where(np.diff(self.offsets) > 0, total, 0.0)

    @classmethod
    def from_sequences(
        cls,
        policy: npt.ArrayLike,
        base: npt.ArrayLike,
        *,
        n_tokens: npt.ArrayLike | None = None,
        prompt: npt.ArrayLike | None = None,
    ) -> KLSamples:
        """Build from log-probabilities of whole responses.

        Parameters
        ----------
        policy, base : array (n,)
            ``log π(y|x)`` and ``log p(y|x)`` in nats.
        n_tokens : array (n,), optional
            Tokens of each response.
        prompt : array (n,), optional
            What names the prompt of each, numbers or text.

        Raises
        ------
        InputError
            If they are not equally long, or a log-probability is positive.

        Examples
        --------
        >>> KLSamples.from_sequences([-1.0, -2.0], [-1.5, -2.0]).log_ratio.tolist()
        [0.5, 0.0]
        """
        ours, theirs = as_log_probs("policy", policy), as_log_probs("base", base)
        require(ours.shape == theirs.shape, f"policy and base must be equally long; got {ours.size} and {theirs.size}.")
        count = None if n_tokens is None else as_token_counts(n_tokens, ours.size)
        return cls(ours - theirs, as_prompts(prompt, ours.size), count)

    @classmethod
    def from_tokens(
        cls,
        policy: Sequence[npt.ArrayLike],
        base: Sequence[npt.ArrayLike],
        *,
        token_kl: Sequence[npt.ArrayLike] | None = None,
        prompt: npt.ArrayLike | None = None,
    ) -> KLSamples:
        """Build from log-probabilities of tokens.

        Parameters
        ----------
        policy, base : sequence of array
            For each response ``log π`` and ``log p`` of each token given what stands before it, in nats.
        token_kl : sequence of array, optional
            The exact KL of the next-token laws at each prefix, in nats.
        prompt : array (n,), optional
            What names the prompt of each, numbers or text.

        Raises
        ------
        InputError
            If they are not equally long, a response has no token, or a log-probability is positive.

        Examples
        --------
        >>> samples = KLSamples.from_tokens([[-1.0, -0.5], [-2.0]], [[-1.5, -0.5], [-2.0]])
        >>> samples.log_ratio.tolist(), samples.n_tokens.tolist()
        ([0.5, 0.0], [2.0, 1.0])
        """
        flat, offsets = flattened("policy", policy)
        other, same = flattened("base", base)
        same_offsets("base", offsets, same)
        kl = None
        if token_kl is not None:
            kl, same = flattened("token_kl", token_kl)
            same_offsets("token_kl", offsets, same)
        return cls.from_flat(flat, other, offsets, kl, prompt)

    @classmethod
    def from_flat(
        cls,
        policy: FloatArray,
        base: FloatArray,
        offsets: IntArray,
        token_kl: FloatArray | None = None,
        prompt: npt.ArrayLike | None = None,
    ) -> KLSamples:
        """Build from log-probabilities of the tokens of all responses, one after another.

        Parameters
        ----------
        policy, base : array (t,)
            ``log π`` and ``log p`` of each token, in nats.
        offsets : array of int (n + 1,)
            Response ``i`` owns ``offsets[i]:offsets[i + 1]``.
        token_kl : array (t,), optional
            The exact KL of the next-token laws at each prefix, in nats.
        prompt : array (n,), optional
            What names the prompt of each, numbers or text.

        Raises
        ------
        InputError
            If a response has no token.
        """
        counts = np.diff(offsets).astype(np.float64)
        empty = np.flatnonzero(counts == 0)
        require(
            empty.size == 0,
            f"every response needs at least one token (the end token counts); {empty.size} have none, the first at "
            f"position {empty[0] if empty.size else 0}.",
        )
        ratio = as_log_probs("policy", policy) - as_log_probs("base", base)
        total = np.add.reduceat(ratio, offsets[:-1])
        return cls(total, as_prompts(prompt, counts.size), counts, offsets, ratio, token_kl)

    @classmethod
    def joined(cls, parts: Sequence[KLSamples], notes: tuple[str, ...] = ()) -> KLSamples:
        """Return the responses of several samples, which are known in the same detail, one after another.

        Their prompts are left out: they are numbered apart.

        Parameters
        ----------
        parts : sequence of KLSamples
            What is known of one only is left out.
        notes : tuple of str
            Sentences of the whole.
        """

        def every(name: str) -> FloatArray | None:
            values = [getattr(part, name) for part in parts]
            return None if any(value is None for value in values) else np.concatenate(values)

        offsets = None
        if all(part.offsets is not None for part in parts):
            sizes = [np.diff(part.offsets) for part in parts if part.offsets is not None]
            offsets = np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(np.int64)
        return cls(
            np.concatenate([part.log_ratio for part in parts]),
            None,
            every("n_tokens"),
            offsets,
            every("token_log_ratio"),
            every("token_kl"),
            notes,
            every("exact_kl"),
            every("surprise"),
            all(part.given for part in parts),
        )

    def check_sums(self, log_ratio: FloatArray, names: str, half: FloatArray | float = 0.0) -> None:
        """Make sure that log-ratios given by sequence are the sums of those given by token.

        Parameters
        ----------
        log_ratio : array (n,)
            Given by sequence, in nats.
        names : str
            What the message calls them.
        half : float or array (n,)
            What each may be off by as it was written, in nats.

        Raises
        ------
        InputError
            If one differs from the sum over its tokens by more than rounding.
        """
        assert self.n_tokens is not None
        apart = (np.abs(log_ratio - self.log_ratio) - half) / self.n_tokens
        worst = int(np.argmax(apart))
        require(
            bool(apart[worst] <= _ROUNDING),
            f"{names}: the log-ratio of response {worst + 1} (the first is 1) is {log_ratio[worst]:g} by sequence, but "
            f"its tokens add up to {self.log_ratio[worst]:g}; score both with the same mask (end token in, padding "
            "out).",
        )
