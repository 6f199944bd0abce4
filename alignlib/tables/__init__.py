"""Tables of a reader's own: rewards and ratings from files of any format, arrays or data frames.

`RewardTable` holds the rewards of sampled responses (`CountedSamples` those of a prompt that has too many to be
held), `RaterTable` what raters said, `AnswerTable` which responses are right and what they answer (`PromptAnswers`,
prompt by prompt), and `example_table` and `example_scores` make rewards up; `against_opponent` counts wins over the
responses of a fixed opponent.

Rooms that read other kinds of tables open them with `open_table_file` (`open_pieces`: piece by piece, whose samples
`read_samples` gives; `is_table_name` knows which files are tables, of a folder those that `data_files` and
`wrong_shards` leave, else a `FolderError`; `files_in`, `walked`, `is_file`, `check_no_log` and `check_no_log_above` are
what lists them), which gives a `TableFile` of named columns
(`require_column`; what commands ask of several: `combines`, `expand`, `is_pattern`, `split_names`), `load` some and
read their cells as `numbers`, `identifiers` or `list_cells` (where a column `holds_lists`); `plain_cells` puts aside
how they were stored, and `with_reward` joins gold on few rows to the rewards of all. What is wrong with a file is said
in one sentence (`check_file`, `check_alone`, `not_utf8`, `short`; `without_repeats` knows tables written twice), and
JSON beside tables is parsed within bounds (`check_depth`, `parse_json`). Formats lie in `formats`, one file each.
"""

from __future__ import annotations

from alignlib._core.doors import guard
from alignlib.tables.answer_table import AnswerTable, PromptAnswers
from alignlib.tables.as_identifiers import identifiers
from alignlib.tables.as_numbers import numbers
from alignlib.tables.cell_types import is_list, plain_cells
from alignlib.tables.columns import combines, expand, is_pattern, require_column, split_names
from alignlib.tables.counted_samples import CountedBins, CountedFurther, CountedGroups, CountedSamples
from alignlib.tables.data_files import FolderError, data_files, wrong_shards
from alignlib.tables.example_table import example_scores, example_table
from alignlib.tables.folder_files import check_no_log, check_no_log_above, check_packed, files_in, is_file, walked
from alignlib.tables.joined import with_reward
from alignlib.tables.json_text import check_depth, parse_json
from alignlib.tables.layouts import read_samples
from alignlib.tables.list_cells import holds_lists, list_cells
from alignlib.tables.memory_limit import check_fits
from alignlib.tables.opponent import against_opponent
from alignlib.tables.parquet_sizes import check_alone
from alignlib.tables.pieces import open_pieces, row_groups
from alignlib.tables.rater_table import RaterTable
from alignlib.tables.reading import check_file, is_table_name, open_table_file, tables_in
from alignlib.tables.repeats import without_repeats
from alignlib.tables.reward_range import LARGEST_REWARD, check_range
from alignlib.tables.rewards import MemberTables, RewardTable
from alignlib.tables.table_file import EXACT_INTEGERS, TableFile, load, not_utf8, short, too_large
from alignlib.tables.text_encoding import as_text
from alignlib.tables.unfinished import LEFT_OUT

__all__ = [
    "EXACT_INTEGERS",
    "LARGEST_REWARD",
    "LEFT_OUT",
    "AnswerTable",
    "CountedBins",
    "CountedFurther",
    "CountedGroups",
    "CountedSamples",
    "FolderError",
    "MemberTables",
    "PromptAnswers",
    "RaterTable",
    "RewardTable",
    "TableFile",
    "against_opponent",
    "as_text",
    "check_alone",
    "check_depth",
    "check_file",
    "check_fits",
    "check_no_log",
    "check_no_log_above",
    "check_packed",
    "check_range",
    "combines",
    "data_files",
    "example_scores",
    "example_table",
    "expand",
    "files_in",
    "holds_lists",
    "identifiers",
    "is_file",
    "is_list",
    "is_pattern",
    "is_table_name",
    "list_cells",
    "load",
    "not_utf8",
    "numbers",
    "open_pieces",
    "open_table_file",
    "parse_json",
    "plain_cells",
    "read_samples",
    "require_column",
    "row_groups",
    "short",
    "split_names",
    "tables_in",
    "too_large",
    "walked",
    "with_reward",
    "without_repeats",
    "wrong_shards",
]

guard(globals())
