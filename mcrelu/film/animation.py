"""A film of a network's function moving over the data, as GIF or MP4."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.figure import Figure

from mcrelu.errors import ResourceError, UserError
from mcrelu.experiments.base import Replay, Trajectory
from mcrelu.figures.style import COLORS, COLUMN_WIDTH, look
from mcrelu.film.figures import draw_data, draw_regression
from mcrelu.store.files import Files

FILMS = ("gif", "mp4")
PER_SECOND = 12
DPI = 150


def publish_films(replay: Replay, wanted: Collection[str], files: Files, name: str) -> list[str]:
    """The films of a replay, of the kinds in FILMS that are wanted; returns the paths.

    Raises
    ------
    UserError
        If films are wanted and its network has no function of one input to be seen.
    ResourceError
        If there is no program that makes MP4 files.
    """
    if not wanted:
        return []
    if replay.trajectory is None:
        raise UserError(f"{min(wanted)}: only networks with one input that train can be filmed")
    with look():
        return [
            publish_film(replay.trajectory, files, name, kind) for kind in FILMS if kind in wanted
        ]


def publish_film(trajectory: Trajectory, files: Files, name: str, suffix: str) -> str:
    """Write <name>.gif or <name>.mp4, a picture per step that was looked at; returns its path.

    Raises
    ------
    ResourceError
        If there is no program that makes MP4 files.
    """
    figure, writer = Figure(figsize=(COLUMN_WIDTH, 0.8 * COLUMN_WIDTH)), _writer(suffix)
    figure.subplots_adjust(left=0.16, right=0.97, bottom=0.17, top=0.92)
    axes, y = figure.add_subplot(), trajectory.data.y
    draw_data(axes, trajectory.data)
    draw_regression(axes, trajectory.data, trajectory.shares)
    (line,) = axes.plot(trajectory.x, trajectory.values[0], color=COLORS[0], linewidth=1.3)
    (kinks,) = axes.plot([], [], linestyle="none", marker="|", markersize=7, color=COLORS[0])
    low, high = min(y.min(), 0.0), max(y.max(), 0.0)
    axes.set_ylim(1.15 * low - 0.1, 1.15 * high + 0.1)
    axes.set_xlim(trajectory.x[0], trajectory.x[-1])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"film.{suffix}"
        with writer.saving(figure, str(path), DPI):
            for step, values, bends in zip(
                trajectory.steps, trajectory.values, trajectory.kinks, strict=True
            ):
                line.set_ydata(values)
                # Between two places of the grid the function is drawn as a line, too.
                kinks.set_data(bends, np.interp(bends, trajectory.x, values))
                axes.set_title(f"step {step}", fontsize=8)
                writer.grab_frame()
        files.publish(f"{name}.{suffix}", path.read_bytes())
    return files.path(f"{name}.{suffix}")


def _writer(suffix: str) -> AbstractMovieWriter:
    if suffix == "gif":
        return PillowWriter(fps=PER_SECOND)
    _find_ffmpeg()
    # Heights and widths of this codec are even numbers.
    even = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"]
    return FFMpegWriter(fps=PER_SECOND, codec="libx264", extra_args=even)


def _find_ffmpeg() -> None:
    """Use the ffmpeg of imageio-ffmpeg where the system has none."""
    if FFMpegWriter.isAvailable():
        return
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError:
        raise ResourceError(
            "mp4: there is no ffmpeg; install it, or pip install 'mcrelu[video]', or write a GIF"
        ) from None
    mpl.rcParams["animation.ffmpeg_path"] = get_ffmpeg_exe()
