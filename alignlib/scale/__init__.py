"""Tables of any size: the same fit from samples that are read once, in parts, by one process or many.

**The five nouns stay.** A `Summary` is a kind of *table*: `SummaryTable` offers what a `RewardTable` offers, and
`alignlib.estimation.fit_frontier` makes a *fit* of it that gives the same numbers. It differs in three ways.

* *Prompts stand in the order of their keys*, numbers of 64 bits made from their names. So the table is the same however
  its rows were spread, and the pools of prompts that intervals resample are dealt by key: no partition changes an
  interval.
* *Samples are loaded a piece at a time.* A piece holds the prompts of one range of keys. Every pass of the estimator is
  a function of blocks of prompts whose results add up (`RewardTable.each`), done here or by the workers of Dask
  (`engine_for`), and added in the order of the pieces: who did it changes no bit.
* *Beyond 16,384 samples of a prompt there are bins* in place of samples: count, sum, sum of squares, least and largest
  reward of each, and of gold its sum, that of its squares, its ends and its product with the reward. Sums are of whole
  numbers, in steps of 2⁻²⁴ of a bin, so that merging is exact. Gold and the members of an ensemble have bins of their
  own, those of members with the products of each two, and of fewer than twenty prompts groups of rows have, which tell
  the errors of these very prompts. What combines members needs one scale for all, and so a read more: it is kept, and
  merged only where parts took one scale.
  The law of the samples then lies between two known ones (`log_partition_bounds`, `gain_bounds`, `kl_bounds`), and
  intervals, those of best-of-N too, are wider by what lies between them, 10⁻⁷ of a nat with the usual 1,024 bins.

How it comes about: `list_parts` finds the files; each is read by record batches and summarised, and its prompts are
written to disk by ranges of keys, one file a part, renamed when whole: that is the checkpoint. Then the pieces of each
range are merged, which joins prompts that were split over parts. `open_parts` does both and returns the table.
`write_summary` keeps it as one Parquet file that `read_summary` reads back bit for bit, and `sql` is the statement that
makes the bins in a warehouse, from which no row need be exported.
"""

from __future__ import annotations

from alignlib._core.doors import guard
from alignlib.scale.answers import checked_answers
from alignlib.scale.bins import Bins, check_width, width_for
from alignlib.scale.bounds import log_partition_bounds
from alignlib.scale.engine import Engine, engine_for
from alignlib.scale.gain_bounds import best_of_n_bounds, gain_bounds, kl_bounds
from alignlib.scale.heads import Head
from alignlib.scale.kept import Kept
from alignlib.scale.keys import keys_of
from alignlib.scale.opening import open_parts, table_of, with_at_least
from alignlib.scale.parts import is_many, list_parts
from alignlib.scale.reading_parts import CorruptPartError, Question, first_file
from alignlib.scale.summary import EXACT_UP_TO, Summary
from alignlib.scale.summary_file import is_summary, read_kept, read_summary, sql, write_summary
from alignlib.scale.summary_table import SummaryTable

__all__ = [
    "EXACT_UP_TO",
    "Bins",
    "CorruptPartError",
    "Engine",
    "Head",
    "Kept",
    "Question",
    "Summary",
    "SummaryTable",
    "best_of_n_bounds",
    "check_width",
    "checked_answers",
    "engine_for",
    "first_file",
    "gain_bounds",
    "is_many",
    "is_summary",
    "keys_of",
    "kl_bounds",
    "list_parts",
    "log_partition_bounds",
    "open_parts",
    "read_kept",
    "read_summary",
    "sql",
    "table_of",
    "width_for",
    "with_at_least",
    "write_summary",
]

guard(globals())
