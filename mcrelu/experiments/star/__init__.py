"""Does training leave the affine regime? Networks in R^d."""

from __future__ import annotations

from mcrelu.experiments.room import Room
from mcrelu.experiments.star.paper import PAPER, Setting
from mcrelu.experiments.star.schema import SCHEMA, SCHEMA_VERSION
from mcrelu.stats.intervals import CHOICE

EXPERIMENT = Room(
    package=__name__,
    name="star",
    title="How often training leaves the affine regime",
    note=(
        "Fractions of networks whose activation pattern on the data changed at any epoch, and "
        "whose loss fell below that of the best function that is affine on every ray; intervals "
        f"are at 95 %. {CHOICE}"
    ),
    counted="changed a pattern",
    counted_setting={"event": "kink"},
    schema=SCHEMA,
    schema_version=SCHEMA_VERSION,
    point_columns=(*(name for name in Setting._fields if name != "event"), "width"),
    abscissa="width",
    paper=PAPER,
    example={
        "version": 1,
        "experiment": "star",
        "seed": 20200212,
        "networks": 5,
        "epochs": 3000,
        "cells": {"width": [6, 9], "data": ["star-3"]},
        "block_size": 2,
    },
)
