"""Which initialisations, parametrisations and optimisers train well? Training configurations."""

from __future__ import annotations

from mcrelu.experiments.room import Room
from mcrelu.experiments.setups.paper import PAPER
from mcrelu.experiments.setups.schema import SCHEMA, SCHEMA_VERSION
from mcrelu.experiments.setups.search import GROUP

EXPERIMENT = Room(
    package=__name__,
    name="setups",
    title="How well two-layer networks train",
    note=(
        "Mean RMSE over networks, each with data of its own, in units of the targets, with "
        "standard errors. The learning rate is the one with the least mean validation RMSE; the "
        "test RMSE is that of the epoch with the least validation RMSE."
    ),
    schema=SCHEMA,
    schema_version=SCHEMA_VERSION,
    point_columns=(*GROUP, "learning_rate", "inputs"),
    abscissa="inputs",
    paper=PAPER,
    example={
        "version": 1,
        "experiment": "setups",
        "seed": 20200212,
        "networks": 5,
        "epochs": 6,
        "validate_every": 2,
        "train_points": 16,
        "cells": {
            "data": ["ex", "radial-2"],
            "parametrization": ["he"],
            "optimizer": ["adam"],
            "width": [16],
            "batch": [8],
        },
        "search": {"coarse": [-1, 1], "fine": [-1, 1]},
        "block_size": 2,
    },
)
