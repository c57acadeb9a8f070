"""How long the live page takes over an output of very many blocks.

    python -m benchmarks.live_page --blocks 100000 --folder /somewhere/with/room

makes up an output that seems to be written by this process: a manifest as a driver writes it, and
no shards, which the page does not read while a sweep runs. Then it times the server's first look at
it, an answer, and, if there is a Chromium, how long a browser takes until the curve is painted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from mcrelu.runtime.heartbeat import RUNNING, now, this_run
from mcrelu.store.files import Files
from mcrelu.store.inventory import extent_text
from mcrelu.store.manifest import Entry
from mcrelu.store.output import STATUS, Output
from mcrelu.sweep.sweep import Sweep

WIDTHS = [4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048]
ROWS = 100  # networks per block
SEGMENTS = 40  # of the manifest


def main() -> None:
    """Make up an output, then time the page over it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=100_000, help="in ten cells")
    parser.add_argument("--folder", type=Path, default=Path("results/live-page"))
    given = parser.parse_args()
    make_up(given.folder, given.blocks)
    command = [sys.executable, "-m", "mcrelu", "serve", str(given.folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            measure(server.stdout.readline().strip(), given.folder.name)
        finally:
            server.terminate()
    shutil.rmtree(given.folder)


def make_up(folder: Path, blocks: int) -> None:
    """An output with nine tenths of its blocks in its manifest, and a run that goes on."""
    per_cell = blocks // len(WIDTHS)
    sweep = Sweep.of({
        "version": 1, "experiment": "crossing", "seed": 1, "networks": per_cell * ROWS,
        "cells": {"width": WIDTHS}, "stop": ["crossing", "sufficient"], "block_size": ROWS,
    })  # fmt: skip
    output = Output.claim(Files.at(folder), sweep)
    output.take()
    rng = np.random.default_rng(1)
    every = max(1, blocks // SEGMENTS)
    for cell, width in zip(output.cells, WIDTHS, strict=True):
        counts = rng.binomial(ROWS, width**-0.5, int(0.9 * per_cell))
        for index, k in enumerate(counts.tolist()):
            entry = Entry(cell.id, index, ROWS, extent_text(cell.extent), 4000, "0" * 16, {"k": k})
            output.manifest.add(entry)
            if index % every == every - 1:
                output.manifest.flush()
        output.manifest.flush()
    output.publish_json(STATUS, {"state": RUNNING, "run": this_run(), "updated": now()})


def measure(address: str, key: str) -> None:
    """Say how long everything takes."""
    started = time.perf_counter()
    while not answer(address, key).get("panels"):
        time.sleep(0.02)
    print(f"first look {time.perf_counter() - started:.2f} s after the server listened")
    started = time.perf_counter()
    body = json.dumps(answer(address, key))
    print(f"an answer {time.perf_counter() - started:.3f} s, {len(body) / 2**10:.0f} KiB")
    chromium = shutil.which("chromium")
    if chromium is not None:
        paint(address, chromium)


def answer(address: str, key: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{address}api/outputs/{key}") as stream:  # noqa: S310 - our own
        found: dict[str, Any] = json.load(stream)
    return found


def paint(address: str, chromium: str) -> None:
    """Time a browser, three times."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        for _ in range(3):
            page = browser.new_context().new_page()
            started = time.perf_counter()
            page.goto(address)
            page.locator(".point").first.wait_for()
            print(f"curve painted after {time.perf_counter() - started:.2f} s")
        browser.close()


if __name__ == "__main__":
    main()
