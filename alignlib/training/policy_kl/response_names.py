"""What trainers call the columns of their responses: log-probabilities of policy and base, masks, lengths, prompts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

__all__ = [
    "ADVANTAGES",
    "LENGTHS",
    "MASKS",
    "OPENED",
    "PROCESSES",
    "PROMPTS",
    "REWARDS",
    "RUNS",
    "SPLITS",
    "STEPS",
    "TEXTS",
    "first_of",
    "known_pair",
]

# Of the policy that sampled, and of the base; by token or summed, as the cells tell.
_PAIRS = (
    ("per_token_logps", "ref_per_token_logps", "trl"),
    ("old_per_token_logps", "ref_per_token_logps", "trl"),
    ("old_log_probs", "ref_log_prob", "verl"),
    ("old_log_probs", "ref_log_probs", "verl"),
    ("action_log_probs", "base_action_log_probs", "OpenRLHF or SkyRL"),
    ("prev_logprobs", "reference_policy_logprobs", "NeMo-RL"),
    ("log_probs", "ref_log_probs", "slime"),
    ("logprobs", "ref_logprobs", "a trainer"),
    ("logps", "ref_logps", "a trainer"),
)
MASKS = ("completion_mask", "response_mask", "action_mask", "token_mask", "loss_mask", "loss_masks")
LENGTHS = ("n_tokens", "num_tokens", "response_length", "completion_length", "length", "response_lengths")
PROMPTS = ("prompt_id", "uid", "prompt", "input", "question", "problem")
REWARDS = ("reward", "score", "total_reward")
STEPS = ("step", "global_step", "training_step", "iteration")
ADVANTAGES = ("advantage", "advantages")
SPLITS = ("split",)
RUNS = ("run", "run_name", "run_id")
PROCESSES = (
    "rank", "global_rank", "local_rank", "dp_rank", "world_rank", "process", "process_id", "process_index",
    "process_rank", "worker", "worker_id", "host", "node", "replica",
)  # fmt: skip
OPENED = "opened_again"  # of `Rollouts`: how often its file had been opened again when a row was written
TEXTS = ("response", "completion", "output", "sample_id", "response_id")  # a row with one of these is a response


def known_pair(names: Collection[str]) -> tuple[str, str, str] | None:
    """Return the columns of policy and base that a trainer wrote, and which trainer, if both are there.

    Parameters
    ----------
    names : collection of str
        Columns of a table.

    Returns
    -------
    (str, str, str) or None
        Policy, base, trainer.

    Examples
    --------
    >>> known_pair(["step", "old_log_probs", "ref_log_prob"])
    ('old_log_probs', 'ref_log_prob', 'verl')
    """
    return next((pair for pair in _PAIRS if pair[0] in names and pair[1] in names), None)


def first_of(wanted: Sequence[str], names: Collection[str]) -> str | None:
    """Return the first of some names that is there.

    Parameters
    ----------
    wanted : sequence of str
        Names, the best first.
    names : collection of str
        Columns of a table.

    Examples
    --------
    >>> first_of(LENGTHS, ["step", "response_length"])
    'response_length'
    """
    return next((name for name in wanted if name in names), None)
