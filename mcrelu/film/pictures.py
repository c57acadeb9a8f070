"""All pictures of one network's training, written below one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mcrelu.experiments.base import Trajectory
from mcrelu.figures.style import PGF, look, publish, publish_as
from mcrelu.film.animation import FILMS, publish_film
from mcrelu.film.figures import function_figure, grid_of, losses_figure
from mcrelu.film.training import Frame, looked_at, network, sample, train, train_good
from mcrelu.problems.one_d import Problem
from mcrelu.store.files import Files

SHORT = 500  # steps of the picture of how training begins


class Scene(NamedTuple):
    """What is shown: the data, and a network on it."""

    data: str = "ex"  # or standard, ex-old
    width: int = 16
    kinks: str = "zero"
    steps: int = 50_000
    step_size: float = 0.01
    seed: int = 0


def publish_pictures(
    scene: Scene, files: Files, more: Sequence[str] = (), good: bool = False
) -> list[str]:
    """Train the network of a scene and write its pictures; returns the paths.

    Parameters
    ----------
    more : "gif", "mp4" and "pgf", as far as films and figures for LaTeX are wanted
    good : whether to train and show a network that learns the data as well

    Raises
    ------
    ResourceError
        If there is no program that makes MP4 files, or no LaTeX for PGF.
    """
    points = sample(scene.data, scene.seed)
    problem = network(points, scene.width, scene.kinks, scene.step_size, scene.seed)
    at = looked_at(scene.steps)
    frames = train(problem, np.union1d(at, np.arange(min(SHORT, scene.steps) + 1)))
    looked = set(at.tolist())
    shown = [frame for frame in frames if frame.step in looked]
    other = train_good(problem) if good else None
    paths = []
    with look():
        for name, figure in (
            ("function", function_figure(shown, problem, good=other)),
            ("function-kinks", function_figure(shown, problem, with_kinks=True)),
            ("loss-kinks", losses_figure(frames, problem)),
            ("loss-kinks-start", losses_figure(frames, problem, last=SHORT)),
        ):
            paths += publish(figure, files, name)
            if PGF in more:
                paths.append(publish_as(PGF, figure, files, f"{name}.{PGF}"))
        for suffix in FILMS:
            if suffix not in more:
                continue
            paths.append(publish_film(_trajectory(shown, problem), files, "training", suffix))
    return paths


def _trajectory(frames: Sequence[Frame], problem: Problem) -> Trajectory:
    x = grid_of(problem.points.x)
    return Trajectory(
        steps=np.array([frame.step for frame in frames]),
        kinks=np.array([frame.kinks for frame in frames]),
        x=x,
        values=np.array([frame.at(x) for frame in frames]),
        data=problem.points,
        shares=problem.p[0],
        losses={"training loss": np.array([frame.loss for frame in frames])},
    )
