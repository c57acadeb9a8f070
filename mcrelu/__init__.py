"""mcrelu: Monte Carlo on Ray over the training of ReLU networks.

>>> import mcrelu
>>> run = mcrelu.run("jobs/sweeps/fig5-gd.yaml", settings={"networks": 1000})
>>> run.table(), run.compare("paper:fig5")
"""

from __future__ import annotations

from importlib.metadata import version

from mcrelu.api import Run, Sweep, UserError, compare_runs, plan, run

__version__ = version("mcrelu")

__all__ = ["Run", "Sweep", "UserError", "__version__", "compare_runs", "plan", "run"]
