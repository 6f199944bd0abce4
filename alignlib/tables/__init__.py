"""Reading a reader's table of rewards: file formats, long and wide layouts, columns, checks."""
