"""Responses as a table holds them, a row each: with step, prompt, reward and who wrote them, where it tells."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib._core.same import SameFields
from alignlib.training.policy_kl.samples import KLSamples

__all__ = ["Responses"]


@dataclass(frozen=True, eq=False)
class Responses(SameFields):
    """Rows of a table, a response each; None where the table does not tell.

    Attributes
    ----------
    samples : KLSamples
        What policy and base said of them.
    prompt : Array (n,), optional
        Name of the prompt.
    step : array (n,), optional
        Step of training.
    reward, advantage : array (n,), optional
        Of each response.
    split : Array (n,), optional
        Split of the data.
    notes : tuple of str
        Sentences on how it was read.
    opened : array (n,), optional
        How often the file had been opened again when the row was written.
    cut : array of bool (n,), optional
        Whether the response was cut at the largest length.
    process : array of int (n,), optional
        Which of several processes wrote the row.
    run : Array (n,), optional
        Name of the run, of a table of several.
    path : str
        The file.
    """

    samples: KLSamples
    prompt: pa.Array | None
    step: FloatArray | None
    reward: FloatArray | None
    split: pa.Array | None
    notes: tuple[str, ...]
    advantage: FloatArray | None = None
    opened: FloatArray | None = None
    cut: BoolArray | None = None
    process: IntArray | None = None
    run: pa.Array | None = None
    path: str = ""

    def take(self, rows: IntArray) -> Responses:
        """Return some of the rows, by their positions.

        Parameters
        ----------
        rows : array of int
            Their positions, in the order wanted.
        """
        return Responses(
            self.samples.take(rows),
            None if self.prompt is None else self.prompt.take(pa.array(rows)),
            None if self.step is None else self.step[rows],
            None if self.reward is None else self.reward[rows],
            None if self.split is None else self.split.take(pa.array(rows)),
            self.notes,
            None if self.advantage is None else self.advantage[rows],
            None if self.opened is None else self.opened[rows],
            None if self.cut is None else self.cut[rows],
            None if self.process is None else self.process[rows],
            None if self.run is None else self.run.take(pa.array(rows)),
            self.path,
        )
