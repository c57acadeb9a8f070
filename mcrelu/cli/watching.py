"""The commands that show a network while it trains."""

from __future__ import annotations

from typing import Any

import click

from mcrelu.cli.printing import emit, json_option, out_argument
from mcrelu.experiments.base import Section
from mcrelu.figures.plot import draw_replay
from mcrelu.film.animation import publish_films
from mcrelu.film.kinks import KINKS
from mcrelu.film.pictures import Scene, publish_pictures
from mcrelu.runtime.replay import replay
from mcrelu.store.choosing import chosen_cell
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.terminal import facts_table, section_table


@click.command("replay")
@out_argument
@click.argument("cell")
@click.argument("network", type=click.IntRange(0))
@click.option("--to", "place", help="Folder of its pictures [default: OUT/replays].")
@click.option("--gif", "films", flag_value="gif", multiple=True, help="Write a film as GIF.")
@click.option("--mp4", "films", flag_value="mp4", multiple=True, help="Write a film as MP4.")
@json_option
def replay_command(
    out: str, cell: str, network: int, place: str | None, films: tuple[str, ...], as_json: bool
) -> None:
    """Do one NETWORK of a CELL of OUT again, and say what happened when.

    CELL is the beginning of the cell's id, or parameters that only it has: width=16,optimizer=gd.
    NETWORK is the network's index in the cell. Exit code 6 if the row of the replay is not, bit
    for bit, that of the output.
    """
    output = Output.open(Files.at(out))
    chosen = chosen_cell(output, cell)
    found = replay(output, chosen, network)
    files = output.files if place is None else Files.at(place)
    name = f"{chosen.id}-{network}"
    name = f"replays/{name}" if place is None else name
    paths = [*draw_replay(found, name, files), *publish_films(found, films, files, name)]
    value = {"cell": chosen.id, "row": found.row.to_pylist()[0], "figures": paths}
    title = f"{chosen.label}, network {network}"
    written = facts_table("Written", [("figure", path) for path in paths])
    shown = [Section(title), *found.sections]
    emit(as_json, value, *map(section_table, shown), *([written] if paths else []))


@click.command("film")
@click.option("--data", default="ex", type=click.Choice(["ex", "ex-old", "standard"]))
@click.option("--width", default=16, type=click.IntRange(2, 4096), help="Hidden neurons.")
@click.option("--kinks", default="zero", type=click.Choice(list(KINKS)), help="At the start.")
@click.option("--steps", default=50_000, type=click.IntRange(1, 10**7))
@click.option("--step-size", default=0.01, type=click.FloatRange(0, min_open=True))
@click.option("--seed", default=0, type=click.IntRange(0))
@click.option("--good", is_flag=True, help="Show a network that Adam trained well, too; a minute.")
@click.option("--gif", "more", flag_value="gif", multiple=True, help="Write a film as GIF.")
@click.option("--mp4", "more", flag_value="mp4", multiple=True, help="Write a film as MP4.")
@click.option("--pgf", "more", flag_value="pgf", multiple=True, help="Write figures as PGF, too.")
@click.option("--to", "place", default="results/film", help="Folder or URI of the pictures.")
@json_option
def film_command(
    more: tuple[str, ...], good: bool, place: str, as_json: bool, **scene: Any
) -> None:
    """Train one network by gradient descent, and show how its function and its kinks move."""
    paths = publish_pictures(Scene(**scene), Files.at(place), more, good)
    emit(as_json, {"figures": paths}, facts_table("Pictures", [("", path) for path in paths]))
