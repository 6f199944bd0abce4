"""Tables of a reader's own: rewards and ratings from files of any format, arrays or data frames.

`RewardTable` holds the rewards of sampled responses, `RaterTable` what raters said, and `example_table` and
`example_scores` make rewards up. Rooms that read other kinds of tables open them with `open_table_file`, which gives a
`TableFile` of named columns (`require_column`), `load` some and read their cells as `numbers` or `identifiers`; what
is wrong with a file is said in one sentence (`not_utf8`, `short`). Formats lie in `formats`, one file each.
"""

from __future__ import annotations

from alignlib.tables.columns import identifiers, is_list, numbers, require_column
from alignlib.tables.example_table import example_scores, example_table
from alignlib.tables.rater_table import RaterTable
from alignlib.tables.reading import open_table_file
from alignlib.tables.rewards import RewardTable
from alignlib.tables.table_file import TableFile, load, not_utf8, short

__all__ = [
    "RaterTable",
    "RewardTable",
    "TableFile",
    "example_scores",
    "example_table",
    "identifiers",
    "is_list",
    "load",
    "not_utf8",
    "numbers",
    "open_table_file",
    "require_column",
    "short",
]
