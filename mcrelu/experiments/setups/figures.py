"""The figures of the setups experiment, from its tables."""

from __future__ import annotations

from mcrelu.experiments.base import Drawing, Tables
from mcrelu.experiments.setups.kink_distances import DRAWING as KINK_DISTANCES
from mcrelu.experiments.setups.kink_distances import inputs_shown
from mcrelu.experiments.setups.kink_figure import kink_figure
from mcrelu.experiments.setups.latex import NAME, setups_tex
from mcrelu.experiments.setups.learned import DRAWING as LEARNED
from mcrelu.experiments.setups.learned import learned, shown_rows
from mcrelu.experiments.setups.learned_figure import learned_figure
from mcrelu.experiments.setups.relative import by_optimizer, over_inputs
from mcrelu.experiments.setups.relative_figure import by_optimizer_figure, over_inputs_figure
from mcrelu.experiments.setups.rmse_figure import rmse_figure
from mcrelu.experiments.setups.sections import DRAWING
from mcrelu.experiments.setups.tables import BEST


def drawings(tables: Tables) -> list[Drawing]:
    """The figures that the tables have something for; none if no block is complete yet."""
    best = tables[BEST].to_pylist()
    if not best:
        return []
    found = [Drawing(DRAWING, rmse_figure(best), {NAME: setups_tex(best)})]
    found += [Drawing(one.drawing, over_inputs_figure(one)) for one in over_inputs(best)]
    found += [Drawing(one.drawing, by_optimizer_figure(one)) for one in by_optimizer(best)]
    shown = shown_rows(best)
    found += [Drawing(LEARNED, learned_figure([learned(row) for row in shown]))] if shown else []
    inputs = inputs_shown(best)
    return [*found, Drawing(KINK_DISTANCES, kink_figure(inputs))] if inputs else found
