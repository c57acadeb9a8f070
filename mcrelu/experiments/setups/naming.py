"""What configurations are called and in which order they stand: as in the paper's Table L.1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mcrelu.distributions import family, inputs_of
from mcrelu.experiments.setups.paper import BIAS_INITS, OPTIMIZERS, PARAMETRIZATIONS


class Configuration(NamedTuple):
    """A way to train, without its learning rate."""

    parametrization: str
    optimizer: str
    bias_init: str
    bias_gain: float
    width: int
    batch: int

    @property
    def biases(self) -> str:
        """Initialisation and gain."""
        gain = "" if self.bias_gain == 1.0 else f" x {self.bias_gain:g}"
        return f"{self.bias_init}{gain}"

    def words(self) -> tuple[str, ...]:
        """Names by column."""
        return (
            PARAMETRIZATIONS[self.parametrization],
            OPTIMIZERS[self.optimizer],
            self.biases,
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


def _place(one: Configuration) -> tuple[Any, ...]:
    known = list(BIAS_INITS)
    place = known.index(one.bias_init) if one.bias_init in known else len(known)
    return (
        list(PARAMETRIZATIONS).index(one.parametrization), list(OPTIMIZERS).index(one.optimizer),
        place, one.bias_init, one.bias_gain, one.width, one.batch,
    )  # fmt: skip
