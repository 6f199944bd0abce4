"""Work on the tokens that are there: responses end early, and what pads them need not pass through a network."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Packing"]

_WORTH = 0.85  # gathering and spreading cost more than they save where fewer places than this are empty


class Packing:
    """Which of N places of each of R runs are wanted, as rows of one width.

    A run that wants fewer places than another gets some more, so that rows are equally long; what is computed for them
    is never read.

    Parameters
    ----------
    wanted : tensor (R, N)
        1 where a place is wanted, 0 elsewhere.
    """

    def __init__(self, wanted: Tensor) -> None:
        self._shape = wanted.shape
        most = max(1, int(wanted.sum(1).max()))
        self.place = torch.argsort(wanted, dim=1, descending=True, stable=True)[:, :most]
        """Which places the rows hold, (R, M), each once."""
        first = torch.arange(len(wanted), device=wanted.device) * wanted.shape[1]
        self._flat = (self.place + first[:, None]).flatten()

    @classmethod
    def worth_it(cls, wanted: Tensor) -> Packing | None:
        """Return a packing, or None where nearly every place of some run is wanted.

        Parameters
        ----------
        wanted : tensor (R, N)
            1 where a place is wanted, 0 elsewhere.
        """
        return cls(wanted) if float(wanted.sum(1).max()) < _WORTH * wanted.shape[1] else None

    def pack(self, every: Tensor) -> Tensor:
        """Return the wanted places.

        Parameters
        ----------
        every : tensor (R, N, …)
            All places.

        Returns
        -------
        tensor (R, M, …)
            M is the largest number that a run wants.
        """
        rows = every.flatten(0, 1).index_select(0, self._flat)
        return rows.view(*self.place.shape, *every.shape[2:])

    def spread(self, rows: Tensor) -> Tensor:
        """Put rows back in their places, with 0 in the others.

        Parameters
        ----------
        rows : tensor (R, M, …)
            As `pack` gives them.

        Returns
        -------
        tensor (R, N, …)
            All places.
        """
        every = rows.new_zeros(self._shape.numel(), *rows.shape[2:])
        return every.index_copy(0, self._flat, rows.flatten(0, 1)).view(*self._shape, *rows.shape[2:])
