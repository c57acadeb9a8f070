"""mcrelu: Monte Carlo on Ray over the training of ReLU networks.

>>> import mcrelu
>>> sweep = mcrelu.Sweep.from_yaml("jobs/sweeps/fig5-gd.yaml")
>>> run = mcrelu.run(sweep, out="results/fig5-gd")
>>> run.table(), run.compare("paper:fig5")
"""

from __future__ import annotations

from mcrelu.api import Run, Sweep, UserError, compare_runs, run

__all__ = ["Run", "Sweep", "UserError", "compare_runs", "run"]
