"""How many networks of a cell make a block where the spec does not say it."""

from __future__ import annotations

from mcrelu.experiments.crossing.cell import CrossingCell
from mcrelu.experiments.crossing.keras_training import KERAS, NETWORKS_PER_BLOCK
from mcrelu.experiments.crossing.stopping import Sufficient
from mcrelu.theory.criterion import Form

# A block should take seconds, fill lanes well while its last networks run, and fit in memory.
MOST_NETWORKS_PER_BLOCK = 1000
FEWEST_NETWORKS_PER_BLOCK = 32
MOST_NEURONS_PER_BLOCK = 2**22
MOST_COUNTS_PER_BLOCK = 2**28
# With the modewise form most networks take little more than their draws. Neurons of those that
# cross are kept, so there may be many neurons only where few networks cross.
MOST_NETWORKS_PER_MODEWISE_BLOCK = 10_000
MOST_NEURONS_IF_FEW_CROSS = 2**30


def default_block_size(cell: CrossingCell) -> int:
    """Networks per block where the spec does not say it."""
    if cell.engine == KERAS:
        return NETWORKS_PER_BLOCK
    networks, neurons = MOST_NETWORKS_PER_BLOCK, MOST_NEURONS_PER_BLOCK
    if cell.engine == "grouped" and Sufficient(Form.MODEWISE) in cell.criteria:
        networks = MOST_NETWORKS_PER_MODEWISE_BLOCK
        neurons = MOST_NEURONS_IF_FEW_CROSS if cell.rarely_crosses else neurons
    if cell.optimizer != "gd":  # minibatches of a window are in memory together
        networks = min(networks, MOST_COUNTS_PER_BLOCK // (cell.distinct * cell.checks.interval))
    return max(FEWEST_NETWORKS_PER_BLOCK, min(networks, neurons // cell.width))
