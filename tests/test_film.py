"""Pictures and films: what they show is what plain numpy computes."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from PIL import Image

import mcrelu
from mcrelu.cli import cli
from mcrelu.errors import UserError
from mcrelu.experiments.base import Replay
from mcrelu.film import training
from mcrelu.film.animation import publish_films
from mcrelu.film.figures import function_figure, losses_figure
from mcrelu.film.kinks import KINKS
from mcrelu.film.pictures import Scene, publish_pictures
from mcrelu.film.training import (
    affine_loss,
    looked_at,
    network,
    regression_line,
    sample,
    train,
    train_good,
)
from mcrelu.problems.one_d import Problem
from mcrelu.store.files import Files
from mcrelu.types import Floats


def plainly(problem: Problem, steps: int) -> list[Floats]:
    """a, b, w and c (3 n + 1,) after every step, in numpy."""
    x, y = problem.points
    p, h = problem.p[0], problem.step_size[0]
    a, b, c, w = (part[0].copy() for part in problem.weights.rows(np.array([0])))
    found = []
    for _ in range(steps + 1):
        found.append(np.concatenate([a, b, w, [c]]))
        z = np.outer(x, a) + b
        e = p * (c + np.maximum(z, 0.0) @ w - y)
        seen = (z >= 0.0) * e[:, None]
        da, db, dw = w * (x @ seen), w * seen.sum(axis=0), np.maximum(z, 0.0).T @ e
        a, b, w, c = a - h * da, b - h * db, w - h * dw, c - h * e.sum()
    return found


@pytest.mark.parametrize("kinks", list(KINKS))
@pytest.mark.parametrize("data", ["ex", "standard"])
def test_frames_are_gradient_descent(data: str, kinks: str) -> None:
    problem = network(sample(data, 3), 7, kinks, 0.02, seed=5)
    expected = plainly(problem, 300)
    x, y = problem.points
    for frame in train(problem, looked_at(300)):
        theta = expected[frame.step]
        got = frame.weights
        np.testing.assert_allclose(
            np.concatenate([got.a[0], got.b[0], got.w[0], got.c]), theta, rtol=1e-7, atol=1e-10
        )
        outputs = theta[-1] + np.maximum(np.outer(x, theta[:7]) + theta[7:14], 0) @ theta[14:21]
        np.testing.assert_allclose(frame.at(x), outputs, rtol=1e-7, atol=1e-9)
        assert frame.loss == pytest.approx(0.5 * problem.p[0] @ (outputs - y) ** 2, rel=1e-7)


def test_intercepts_of_both_sides_are_taken_away() -> None:
    x, y = sample("ex", 1)
    assert len(x) == 256
    for side in (x > 0, x < 0):
        _, intercept = regression_line(x[side], y[side])
        assert intercept == pytest.approx(0.0, abs=1e-12)
    assert sample("ex", 1).x.tolist() == x.tolist()
    assert sample("ex", 2).x.tolist() != x.tolist()


def test_the_affine_optimum_is_the_least() -> None:
    problem = network(sample("ex", 1), 4, "zero", 0.01, 0)
    x, y = problem.points
    residual = np.empty_like(y)
    for side in (x > 0, x < 0):
        design = np.stack([x[side], np.ones(side.sum())], axis=1)
        best = np.linalg.lstsq(design, y[side], rcond=None)[0]
        residual[side] = design @ best - y[side]
    assert affine_loss(problem) == pytest.approx(0.5 * (residual**2).mean(), rel=1e-10)


def test_kinks_start_where_they_shall() -> None:
    points = sample("ex", 1)
    for name in KINKS:
        problem = network(points, 50, name, 0.01, 2)
        (start,) = train(problem, np.array([0]))
        kinks = start.kinks
        reach = np.abs(points.x).max()
        if name == "zero":
            assert (kinks == 0.0).all()
        elif name == "equidistant":
            np.testing.assert_allclose(np.diff(kinks), np.ptp(points.x) / 49, rtol=1e-9)
        elif name == "places":
            places = {round(float(kink / reach), 9) + 0.0 for kink in kinks}
            assert places == {-0.5, -0.25, 0.0, 0.25, 0.5}
        else:
            assert all(np.abs(points.x - kink).min() < 1e-12 for kink in kinks)
            assert len(set(kinks.tolist())) > 10


def test_steps_that_are_looked_at() -> None:
    assert looked_at(0).tolist() == [0]
    assert looked_at(1).tolist() == [0, 1]
    steps = looked_at(1000).tolist()
    assert steps[:4] == [0, 1, 2, 3]
    assert steps[-1] == 1000
    assert set(steps[:-1]) == {int(1.1**k) - 1 for k in range(100) if int(1.1**k) - 1 < 1000}


def test_the_gradient_of_the_good_network() -> None:
    rng = np.random.default_rng(0)
    theta, (x, y), n = rng.standard_normal(16), sample("standard", 0), 5
    p = rng.dirichlet(np.ones(6))

    def loss(at: Floats) -> float:
        return 0.5 * float(p @ (training._outputs(at, n, x) - y) ** 2)

    gradient = training._gradient(theta, n, x, y, p)
    for k in range(16):
        step = np.zeros(16)
        step[k] = 1e-6
        numeric = (loss(theta + step) - loss(theta - step)) / 2e-6
        assert gradient[k] == pytest.approx(numeric, rel=1e-5, abs=1e-8)


def test_a_good_network_learns_what_others_do_not() -> None:
    problem = network(sample("ex", 0), 16, "zero", 0.01, 0)
    poor, good = train(problem, np.array([2000]))[0], train_good(problem, 20_000)
    assert poor.loss > 0.9 * affine_loss(problem)
    assert good.loss < 0.2 * affine_loss(problem)


def test_kinks_are_held_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = network(sample("ex", 0), 16, "zero", 0.01, 0)
    held = train_good(problem, training.HELD_STEPS).kinks
    assert held == pytest.approx(np.linspace(problem.points.x.min(), problem.points.x.max(), 16))
    monkeypatch.setattr(training, "HELD_STEPS", 0)
    assert np.abs(train_good(problem, 1000).kinks - held).max() > 0.01


def test_pictures_show_the_frames() -> None:
    problem = network(sample("ex", 0), 8, "zero", 0.01, 0)
    frames = train(problem, looked_at(200))
    axes = function_figure(frames, problem, with_kinks=True).axes[0]
    curves = [line for line in axes.lines if len(np.asarray(line.get_xdata())) == 600]
    assert len(curves) == len(frames) + 1
    np.testing.assert_allclose(
        np.asarray(curves[0].get_ydata()), frames[0].at(np.asarray(curves[0].get_xdata()))
    )
    left, right = losses_figure(frames, problem).axes
    assert len(right.lines) == 8
    excess = [frame.loss - affine_loss(problem) for frame in frames]
    np.testing.assert_allclose(
        np.asarray(left.lines[0].get_ydata()), [one for one in excess if one > 0.0]
    )
    short = losses_figure(frames, problem, last=50).axes[0]
    assert short.get_xlim()[1] == max(frame.step for frame in frames if frame.step <= 50)
    assert short.get_xscale() == "linear"


def test_a_gif_has_a_picture_of_every_frame(tmp_path: Path) -> None:
    paths = publish_pictures(Scene(data="standard", steps=30), Files.at(tmp_path), ["gif"])
    assert all(Path(path).stat().st_size > 1000 for path in paths)
    with Image.open(tmp_path / "training.gif") as film:
        assert film.n_frames == len(looked_at(30))  # type: ignore[attr-defined]
        pictures = []
        for k in range(film.n_frames):  # type: ignore[attr-defined]
            film.seek(k)
            pictures.append(np.asarray(film.convert("L")).astype(int))
    assert all((one != other).any() for one, other in itertools.pairwise(pictures))


def test_an_mp4(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    publish_pictures(Scene(data="standard", steps=10), Files.at(tmp_path), ["mp4"])
    assert (tmp_path / "training.mp4").read_bytes()[4:8] == b"ftyp"


def test_without_ffmpeg_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcrelu.film.animation.FFMpegWriter.isAvailable", lambda: False)
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    scene = ["--data", "standard", "--steps", "5", "--mp4", "--to", str(tmp_path)]
    result = CliRunner().invoke(cli, ["film", *scene])
    assert "there is no ffmpeg" in str(result.exception)


def test_the_command_says_what_it_wrote(tmp_path: Path) -> None:
    scene = ["--data", "standard", "--width", "4", "--steps", "20", "--kinks", "points"]
    result = CliRunner().invoke(cli, ["film", *scene, "--to", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    written = {Path(path).name for path in json.loads(result.output)["figures"]}
    assert written == {path.name for path in tmp_path.iterdir()}
    assert {"function.png", "loss-kinks.pdf", "loss-kinks-start.svg"} <= written


@pytest.mark.slow
def test_figures_for_latex_compile(tmp_path: Path) -> None:
    latex = shutil.which("pdflatex")
    if latex is None:
        pytest.skip("there is no LaTeX")
    paths = publish_pictures(Scene(data="standard", steps=30), Files.at(tmp_path), ["pgf"])
    names = [Path(path).name for path in paths if path.endswith(".pgf")]
    assert len(names) == 4
    body = "\n\n".join(rf"\input{{{name}}}" for name in names)
    document = (
        rf"\documentclass{{article}}\usepackage{{pgf}}\begin{{document}}{body}\end{{document}}"
    )
    (tmp_path / "all.tex").write_text(document)
    made = subprocess.run(
        [latex, "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout.decode()


def test_without_latex_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    scene = ["--data", "standard", "--steps", "5", "--pgf", "--to", str(tmp_path)]
    result = CliRunner().invoke(cli, ["film", *scene])
    assert "no LaTeX was found" in str(result.exception)


def test_a_replay_is_filmed_and_what_has_no_film_is_refused(tmp_path: Path) -> None:
    spec = {
        "version": 1, "seed": 1, "networks": 2, "experiment": "crossing", "cells": {"width": [4]},
        "stop": ["crossing"], "checks": {"interval": 10, "maximum": 2}, "engine": "dense",
    }  # fmt: skip
    mcrelu.run(spec, out=tmp_path / "run", executor="serial", progress=False)
    command = ["replay", str(tmp_path / "run"), "width=4", "1", "--to", str(tmp_path / "to")]
    result = CliRunner().invoke(cli, [*command, "--gif", "--json"])
    assert result.exit_code == 0, result.output
    (film,) = [Path(path) for path in json.loads(result.output)["figures"] if "gif" in path]
    with Image.open(film) as pictures:
        assert pictures.n_frames > 5  # type: ignore[attr-defined]

    nothing = Replay(pa.table({}), [], [])
    assert publish_films(nothing, [], Files.at(tmp_path), "x") == []
    with pytest.raises(UserError, match="gif: only networks with one input"):
        publish_films(nothing, ["gif"], Files.at(tmp_path), "x")
