"""Which instructions the compiler chose for the kernels: vectors (zmm, ymm) or one at a time.

``python -m benchmarks.vector_instructions [--json]``

Kernels are compiled anew, since numba shows no code that comes from its cache. Code counts, not
time: every kernel also has scalar instructions, for indices and for the case that arrays overlap.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

# Arithmetic on floats; of it, divisions and square roots; then integers and scattered loads.
KINDS = {
    "zmm": re.compile(r"v\w+p[sd]\b.*%zmm"),
    "ymm": re.compile(r"v\w+p[sd]\b.*%ymm"),
    "scalar": re.compile(r"v\w+s[sd]\b"),
    "zmm div": re.compile(r"v(div|sqrt)p[sd]\b.*%zmm"),
    "ymm div": re.compile(r"v(div|sqrt)p[sd]\b.*%ymm"),
    "scalar div": re.compile(r"v(div|sqrt)s[sd]\b"),
    "zmm int": re.compile(r"vp[a-z]+(q|d|b)\b.*%zmm"),
    "gather": re.compile(r"vgather"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NUMBA_CACHE_DIR"] = folder  # numba reads it when it is imported
        from benchmarks.interleaved import show

        rows = [{"kernel": name, **count(code)} for name, code in compiled()]
        show({"instructions in the kernels": rows}, options.json)


def compiled() -> Iterator[tuple[str, str]]:
    """Names and assembly of the kernels after a use of each."""
    import numpy as np

    from benchmarks.problems import paper_problem
    from mcrelu import normals, philox
    from mcrelu.engines.one_d import dense_kernels as kernels
    from mcrelu.engines.one_d import group_kernels
    from mcrelu.engines.one_d.dense import DenseEngine
    from mcrelu.engines.one_d.grouped import GroupedEngine
    from mcrelu.problems import neuron_sums
    from mcrelu.theory import matrices

    engine = DenseEngine()
    for optimizer in ("gd", "adam"):
        problem, minibatches = paper_problem(20, 16, optimizer)
        counts = None if optimizer == "gd" else minibatches.draw(np.arange(20), 0, 10)
        engine.moments(engine.advance(engine.init(problem), 10, counts))
    grouped = GroupedEngine()
    for optimizer in ("gd", "sgd"):
        problem, minibatches = paper_problem(20, 16, optimizer)
        counts = None if optimizer == "gd" else minibatches.draw(np.arange(20), 0, 10)
        grouped.advance(grouped.init(problem), 10, counts)
    yield "grouped: descend_lanes", assembly(group_kernels.descend_lanes)
    yield "grouped: minibatch_data", assembly(group_kernels.minibatch_data)
    yield "descend", assembly(kernels.descend)
    yield "adam", assembly(kernels.adam)
    yield "moments", assembly(kernels.moments)
    yield "neuron_sums", assembly(neuron_sums.with_neurons)
    yield "philox_words", assembly(philox.philox_words)
    yield "normals: box_muller", assembly(normals.box_muller)
    yield "minibatch_counts", assembly(philox.minibatch_counts)
    yield "eigh_4x4", assembly(matrices.eigh_4x4)
    yield from compiled_for_minibatches()


def compiled_for_minibatches() -> Iterator[tuple[str, str]]:
    """The same of the engines for minibatches."""
    from benchmarks.problems import MinibatchRun, setup_problem
    from mcrelu.engines.minibatch import descent_kernels, fused_kernels, piecewise_kernels
    from mcrelu.engines.minibatch.registry import get_engine

    cell, start = setup_problem("radial-1", "adam", networks=1)
    for name in ("piecewise", "fused"):
        run = MinibatchRun(get_engine(name), start.problem, start.networks)
        run.train(cell.validate_every)
        run.validate()
    for module in (piecewise_kernels, fused_kernels):
        engine = module.__name__.rsplit(".", 1)[1].removesuffix("_kernels")
        yield f"{engine}: train", assembly(module.train)
        yield f"{engine}: sum_of_squares", assembly(module.sum_of_squares)
    yield "minibatch: descend", assembly(descent_kernels.descend)


def assembly(kernel: Any) -> str:
    """Code of all compiled signatures of a kernel."""
    return "\n".join(kernel.inspect_asm().values())


def count(code: str) -> dict[str, int]:
    """How often each kind of instruction stands in the code."""
    found: Counter[str] = Counter()
    for line in code.splitlines():
        for kind, pattern in KINDS.items():
            found[kind] += bool(pattern.match(line.strip()))
    return {kind: found[kind] for kind in KINDS}


if __name__ == "__main__":
    main()
