"""Does training ever move a kink across a data point? Two-layer networks in one dimension."""

from __future__ import annotations

from mcrelu.experiments.crossing.paper import PAPER, Setting
from mcrelu.experiments.crossing.schema import SCHEMA, SCHEMA_VERSION
from mcrelu.experiments.room import Room
from mcrelu.stats.intervals import CHOICE

EXPERIMENT = Room(
    package=__name__,
    name="crossing",
    title="P(a kink may cross a data point)",
    note=(
        "Estimates count networks not proved (or believed, with early stopping) to keep their "
        "kinks away from the data; intervals are at 95 %, and confidence sequences where the sweep "
        f"asks for a relative width. {CHOICE}"
    ),
    counted="may have crossed",
    schema=SCHEMA,
    schema_version=SCHEMA_VERSION,
    point_columns=(*Setting._fields, "width"),
    abscissa="width",
    paper=PAPER,
    example={
        "version": 1,
        "experiment": "crossing",
        "seed": 20200212,
        "networks": 25,
        "cells": {"width": [4, 8]},
        "stop": ["crossing", "sufficient"],
        "block_size": 10,
    },
)
