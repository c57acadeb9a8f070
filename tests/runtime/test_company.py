"""Runs that write one output share the blocks; exact counts on scripted runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_sweeps import inventory_of, output, sweep

from mcrelu.runtime.company import Company
from mcrelu.runtime.task import BlockDone
from mcrelu.runtime.work import Work, work_of
from mcrelu.store.inventory import extent_text
from mcrelu.store.manifest import Entry, ManifestWriter
from mcrelu.store.output import Output
from mcrelu.store.shards import Published
from mcrelu.sweep.cell import Block
from mcrelu.sweep.sweep import Sweep

FIXED = sweep(networks=1000, cells={"width": [4, 8]})  # 200 blocks
ADAPTIVE = sweep(networks=10**5, cells={"width": [4, 8]}, stop={"relative_width": 0.4})


def event(block: Block) -> int:
    """How many networks of a block are in the event."""
    return 1 + block.index % 3


class Run:
    """A run that does a block at a time, and looks at the others' now and then."""

    def __init__(self, shared: Output, wanted: Sweep, joined: bool) -> None:
        there = inventory_of(wanted)
        self.work: Work = work_of(wanted, there)
        self._manifest = ManifestWriter(shared.files)
        self.company = Company(self.work, self._manifest, there.cells, joined)
        self.did: list[tuple[str, int]] = []
        self.over = False

    def step(self) -> None:
        block = self.company.next()
        if block is None:
            self.over = True
            return
        self.did.append((block.cell.id, block.index))
        summary = {"k": event(block)}
        done = BlockDone(block, 1.0, Published(100, "0123456789abcdef"), summary)
        self._manifest.add(done.entry)
        self._manifest.flush()
        self.work.take(done)


def together(folder: Path, wanted: Sweep, joined: int, every: int) -> list[Run]:
    """Some runs that joined one, all of the same speed; they look after so many blocks."""
    shared = output(folder, wanted)
    runs = [Run(shared, wanted, joined=k > 0) for k in range(1 + joined)]
    rounds = 0
    while not all(run.over for run in runs):
        rounds += 1
        for run in runs:
            run.step()
            if rounds % every == 0:
                run.company.look()
    return runs


def alone(folder: Path, wanted: Sweep) -> Run:
    return together(folder, wanted, joined=0, every=1)[0]


@pytest.mark.parametrize("wanted", [FIXED, ADAPTIVE], ids=["fixed", "relative width"])
def test_two_meet_once(wanted: Sweep, tmp_path: Path) -> None:
    only = alone(tmp_path / "alone", wanted)
    runs = together(tmp_path / "both", wanted, joined=1, every=5)
    done = {block for run in runs for block in run.did}
    assert done >= set(only.did)
    for run in runs:
        assert len(run.did) < 0.75 * len(only.did)
        assert run.work.tally.blocks_done == run.work.tally.blocks
        assert run.work.reached()
        assert run.work.tally.forecast.fraction == 1.0


def test_what_they_do_twice_is_around_where_they_meet(tmp_path: Path) -> None:
    one, other = together(tmp_path, FIXED, joined=1, every=5)
    assert len(set(one.did) & set(other.did)) <= 2 * 5
    assert len(set(one.did) | set(other.did)) == 200


@pytest.mark.parametrize("every", [1, 30])
def test_the_less_they_look_the_more_is_done_twice(every: int, tmp_path: Path) -> None:
    runs = together(tmp_path, FIXED, joined=1, every=every)
    twice = sum(len(run.did) for run in runs) - 200
    assert twice <= 2 if every == 1 else twice >= 10


def test_one_that_never_looks_does_all(tmp_path: Path) -> None:
    """The negative control."""
    runs = together(tmp_path, FIXED, joined=1, every=10**9)
    assert [len(run.did) for run in runs] == [200, 200]


def test_fewer_networks_of_a_block_are_not_the_block(tmp_path: Path) -> None:
    """Another run may have been given fewer networks, so that its last block is shorter."""
    shorter, longer = sweep(networks=15), sweep(networks=40)
    shared = output(tmp_path, longer)
    few, many = Run(shared, shorter, joined=False), Run(shared, longer, joined=True)
    for _ in range(2):
        few.step()
    many.company.look()
    while not many.over:
        many.step()
    assert sorted(index for _, index in many.did) == [1, 2, 3]


WRONG: list[dict[str, int]] = [{}, {"k": -1}, {"k": 11}, {"networks": 3}]


@pytest.mark.parametrize("summary", WRONG, ids=str)
def test_counts_that_cannot_be_are_passed_over(summary: dict[str, int], tmp_path: Path) -> None:
    """Who else writes into the output may be another program, or no program of ours."""
    wanted = sweep(networks=30)
    shared = output(tmp_path, wanted)
    run = Run(shared, wanted, joined=False)
    (cell,) = wanted.cells
    stranger = ManifestWriter(shared.files)
    for index in range(3):
        extent = extent_text(cell.extent())
        stranger.add(Entry(cell.id, index, 10, extent, 100, "0123456789abcdef", summary))
    stranger.flush()
    run.company.look()
    while not run.over:
        run.step()
    assert len(run.did) == 3
    assert run.work.tally.blocks_done == 3


def test_what_is_done_or_unknown_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments that others merged have all entries again, those of this run among them."""
    run = alone(tmp_path, FIXED)
    shared = output(tmp_path, FIXED)
    late = Run(shared, FIXED, joined=True)
    late.did = [(block.cell.id, block.index) for block in iter(late.company.next, None)]
    monkeypatch.setattr("mcrelu.store.manifest.MOST_SEGMENTS", 2)
    stranger = ManifestWriter(shared.files)
    for cell, block in (("0" * 16, 3), (run.did[0][0], 10**6)):
        stranger.add(Entry(cell, block, 10, "{}", 100, "0123456789abcdef", {"k": 1}))
    stranger.flush()
    late.company.look()
    assert len(late.did) == 200
    assert not late.company._found
