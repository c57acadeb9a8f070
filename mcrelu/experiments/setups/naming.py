"""What configurations are called and in which order they stand: as in the paper's Table L.1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mcrelu.distributions import family, inputs_of
from mcrelu.experiments.setups.paper import BIAS_INITS, OPTIMIZERS, PARAMETRIZATIONS

# As formulas of what may have a gain g, in what mathtext and LaTeX both know.
_FORMULAS = {
    "unif": "$U(g)$",
    "unif-pos": "$U_+(g)$",
    "unif-neg": "$U_-(g)$",
    "kink-unif": r"$U^\mathrm{k}(g)$",
    "kink-neg-unif": r"$U^\mathrm{k}_-(g)$",
    "kink-neg-point": r"$X^\mathrm{k}_-$",
}
_WORDS = {"zero": "zero", "pytorch": "PyTorch", "he+5": "He+5"}


class Biases(NamedTuple):
    """An initialisation of biases and its gain."""

    bias_init: str
    bias_gain: float

    @property
    def name(self) -> str:
        """As in specs, with the gain."""
        gain = "" if self.bias_gain == 1.0 else f" x {self.bias_gain:g}"
        return f"{self.bias_init}{gain}"

    @property
    def formula(self) -> str:
        """What they are called in figures: a text with formulas between dollar signs."""
        if self.bias_init in _FORMULAS:
            return _FORMULAS[self.bias_init].replace("(g)", f"({self.bias_gain:g})")
        gain = "" if self.bias_gain == 1.0 else rf" $\times\ {self.bias_gain:g}$"
        return f"{_WORDS.get(self.bias_init, self.bias_init)}{gain}"


class Configuration(NamedTuple):
    """A way to train, without its learning rate."""

    parametrization: str
    optimizer: str
    bias_init: str
    bias_gain: float
    width: int
    batch: int

    @property
    def biases(self) -> Biases:
        """Initialisation and gain."""
        return Biases(self.bias_init, self.bias_gain)

    def words(self) -> tuple[str, ...]:
        """Names by column."""
        return (
            PARAMETRIZATIONS[self.parametrization],
            OPTIMIZERS[self.optimizer],
            self.biases.name,
            str(self.width),
            str(self.batch),
        )


def configuration_of(row: Mapping[str, Any]) -> Configuration:
    """The configuration of a row."""
    return Configuration(*(row[name] for name in Configuration._fields))


def in_order(configurations: Iterable[Configuration]) -> list[Configuration]:
    """As the paper has them; others behind, by name."""
    return sorted(configurations, key=_place)


def data_sets(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The distributions of some rows, by family and number of inputs."""
    return sorted({row["data"] for row in rows}, key=lambda data: (family(data), inputs_of(data)))


def biases_in_order(configurations: Iterable[Configuration]) -> list[Biases]:
    """Their biases, each once, as the paper has them; others behind, by name."""
    return sorted({one.biases for one in configurations}, key=_place_of_biases)


def sizes(configurations: Iterable[Configuration]) -> dict[tuple[int, int], tuple[str, ...]]:
    """Names of the pairs of width and batch: of what differs between them."""
    pairs = {(one.width, one.batch) for one in configurations}
    forms = ("$n = {}$", "batch {}")
    differ = [len(set(values)) > 1 for values in zip(*pairs, strict=True)]
    return {
        pair: tuple(
            form.format(value)
            for form, value, named in zip(forms, pair, differ, strict=True)
            if named
        )
        for pair in pairs
    }


def _place(one: Configuration) -> tuple[Any, ...]:
    return (
        list(PARAMETRIZATIONS).index(one.parametrization), list(OPTIMIZERS).index(one.optimizer),
        *_place_of_biases(one.biases), one.width, one.batch,
    )  # fmt: skip


def _place_of_biases(biases: Biases) -> tuple[Any, ...]:
    known = list(BIAS_INITS)
    place = known.index(biases.bias_init) if biases.bias_init in known else len(known)
    return place, *biases
