"""A film of a network's function moving over the data, as GIF or MP4."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.figure import Figure

from mcrelu.errors import ResourceError
from mcrelu.figures.style import COLORS, COLUMN_WIDTH
from mcrelu.film.figures import draw_data, draw_regression, grid_of, kinks_of, values
from mcrelu.film.training import Frame
from mcrelu.problems.one_d import Problem
from mcrelu.store.files import Files

FILMS = ("gif", "mp4")
PER_SECOND = 12
DPI = 150


def publish_film(
    frames: Sequence[Frame], problem: Problem, files: Files, name: str, suffix: str
) -> str:
    """Write <name>.gif or <name>.mp4; returns its path.

    Raises
    ------
    ResourceError
        If there is no program that makes MP4 files.
    """
    figure, writer = Figure(figsize=(COLUMN_WIDTH, 0.8 * COLUMN_WIDTH)), _writer(suffix)
    figure.subplots_adjust(left=0.16, right=0.97, bottom=0.17, top=0.92)
    axes, grid = figure.add_subplot(), grid_of(problem.points)
    draw_data(axes, problem.points)
    draw_regression(axes, problem.points)
    (line,) = axes.plot(grid, values(frames[0], grid), color=COLORS[0], linewidth=1.3)
    (kinks,) = axes.plot([], [], linestyle="none", marker="|", markersize=7, color=COLORS[0])
    low = min(problem.points.y.min(), 0.0)
    high = max(problem.points.y.max(), 0.0)
    axes.set_ylim(1.15 * low - 0.1, 1.15 * high + 0.1)
    axes.set_xlim(grid[0], grid[-1])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"film.{suffix}"
        with writer.saving(figure, str(path), DPI):
            for frame in frames:
                bends = kinks_of(frame)
                line.set_ydata(values(frame, grid))
                kinks.set_data(bends, values(frame, bends))
                axes.set_title(f"step {frame.step}", fontsize=8)
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
