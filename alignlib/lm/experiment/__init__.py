"""Training on the enumerable models: the grid of runs, its table, and what the chapters read from it.

Without torch: `grid` says what is trained, `results` reads the table of all runs, `standing` and `comparison` hold it
against the limit and best-of-N, `allocation` and `fixed_points` say where KL is wasted. With torch: `runner` trains,
`table` assembles the table, `check` compares it with code that runs now.
"""
