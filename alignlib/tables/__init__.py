"""Tables of a reader's own: rewards and ratings from files of any format, arrays or data frames.

`RewardTable` holds the rewards of sampled responses, `RaterTable` what raters said. Rooms that read other kinds of
tables open them with `open_table_file` (or `open_frame`), a `TableFile` of named columns, and read cells with
`numbers`, `texts`, `identifiers`. `example_table` makes rewards up.
"""
