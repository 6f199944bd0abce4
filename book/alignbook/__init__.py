"""The machine that runs notebooks: typed parameters, execution, cache, pairing, pages and the scorecard."""
