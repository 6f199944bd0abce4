"""Speed and memory against what a user would pick otherwise, as ratios within one run."""
