"""From rows to estimates, intervals, fits and comparisons."""
