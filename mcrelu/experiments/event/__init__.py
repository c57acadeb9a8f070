"""How often an initialisation satisfies the conditions of the paper's theorem."""

from __future__ import annotations

from mcrelu.experiments.event.schema import SCHEMA, SCHEMA_VERSION
from mcrelu.experiments.room import Room
from mcrelu.stats.intervals import CHOICE

EXPERIMENT = Room(
    package=__name__,
    name="event",
    title="P(an initialisation satisfies the conditions of the theorem)",
    note=(
        "Fractions of drawn networks and samples, none of which is trained, that satisfy each "
        f"condition, and all of them (docs/method.md 6); intervals are at 95 %. {CHOICE}"
    ),
    counted="are in the event",
    counted_setting={"condition": "joint"},
    schema=SCHEMA,
    schema_version=SCHEMA_VERSION,
    point_columns=("rhs_factor", "width"),
    abscissa="width",
    example={
        "version": 1,
        "experiment": "event",
        "seed": 20200212,
        "networks": 25,
        "cells": {"width": [16, 32]},
        "block_size": 10,
    },
)
