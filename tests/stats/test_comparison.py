"""Comparisons against statsmodels, and the published numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportions_ztest

from mcrelu.errors import UserError
from mcrelu.experiments.base import Count, Mean, experiment
from mcrelu.experiments.crossing.paper import PAPER, Setting
from mcrelu.experiments.star.paper import PAPER as STAR_PAPER
from mcrelu.stats.comparison import (
    LEVEL,
    compare,
    fisher,
    holm_rejections,
    mcnemar,
    paired_t,
    welch,
)
from mcrelu.types import Floats

GD = Setting(0.0, "gd", "he", "inv_lambda_max", "crossing+sufficient")


def enumerated(one: Count, other: Count) -> float:
    """Fisher's two-sided p-value from binomial coefficients: all tables at most as likely."""
    both, n = one.k + other.k, one.n + other.n
    ways = [math.comb(one.n, k) * math.comb(other.n, both - k) for k in range(both + 1)]
    return sum(some for some in ways if some <= ways[one.k]) / math.comb(n, both)


@pytest.mark.parametrize("seed", range(20))
def test_fisher_equals_enumeration_and_its_statistic_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n1, n2 = (int(n) for n in rng.integers(5, 200, size=2))
    one, other = Count(int(rng.binomial(n1, 0.3)), n1), Count(int(rng.binomial(n2, 0.4)), n2)
    z, p = fisher(one, other)
    assert p == pytest.approx(enumerated(one, other), rel=1e-9)
    expected = proportions_ztest([one.k, other.k], [one.n, other.n])
    assert z == pytest.approx(expected[0], rel=1e-9)
    # Negative control: the p-value of the normal approximation is another.
    assert p != pytest.approx(expected[1], rel=1e-3)


def test_fisher_agrees_with_the_z_test_where_there_are_many() -> None:
    z, p = fisher(Count(360_000, 1_000_000), Count(361_500, 1_000_000))
    assert p == pytest.approx(2.0 * scipy.stats.norm.sf(abs(z)), rel=0.01)


def test_equal_certainties_do_not_differ() -> None:
    assert fisher(Count(0, 5), Count(0, 9)) == fisher(Count(5, 5), Count(9, 9)) == (0.0, 1.0)


def false_alarms(runs: int, networks: int, test: Callable[[Count, Count], float]) -> float:
    """How often any of 14 points of equal laws differs, as in Figure 8: seven widths, two events.

    Probabilities are those at which the normal approximation is worst.
    """
    p = np.array([0.003, 0.005, 0.008, 0.01, 0.015, 0.02, 0.03] * 2)
    k = np.random.default_rng(3).binomial([[[networks]], [[1000]]], p, size=(2, runs, len(p)))
    p_of = cache(lambda ours, theirs: test(Count(ours, networks), Count(theirs, 1000)))
    return float(np.mean([holm_rejections(row).any() for row in np.vectorize(p_of)(*k)]))


def test_small_samples_raise_no_more_false_alarms_than_the_level() -> None:
    runs, networks = 1000, 30
    allowed = LEVEL + 3.0 * math.sqrt(LEVEL * (1.0 - LEVEL) / runs)
    assert false_alarms(runs, networks, lambda a, b: fisher(a, b)[1]) <= allowed

    def approximate(one: Count, other: Count) -> float:
        return float(2.0 * scipy.stats.norm.sf(abs(fisher(one, other)[0])))

    assert false_alarms(runs, networks, approximate) > 5 * LEVEL  # the test it was


# --------------------------------------------------------------------- the same networks


@pytest.mark.parametrize("seed", range(5))
def test_mcnemar_equals_statsmodels(seed: int) -> None:
    ours, theirs = np.random.default_rng(seed).random((2, 80)) < [[0.3], [0.45]]
    table = [[(ours & theirs).sum(), (ours & ~theirs).sum()],
             [(~ours & theirs).sum(), (~ours & ~theirs).sum()]]  # fmt: skip
    expected = statsmodels_mcnemar(table, exact=True)
    z, p = mcnemar(ours, theirs)
    assert p == pytest.approx(expected.pvalue, rel=1e-9)
    assert math.copysign(1.0, z) == np.sign(ours.mean() - theirs.mean())


@pytest.mark.parametrize("seed", range(5))
def test_paired_t_equals_scipy(seed: int) -> None:
    ours, theirs = np.random.default_rng(seed).normal([[0.5], [0.0]], size=(2, 12))
    expected = scipy.stats.ttest_rel(ours, theirs)
    assert paired_t(ours - theirs) == pytest.approx(tuple(expected), rel=1e-9)


def test_pairs_without_a_difference_or_without_an_error() -> None:
    assert mcnemar(np.array([True, False]), np.array([True, False])) == (0.0, 1.0)
    assert paired_t(np.zeros(3)) == (0.0, 1.0)
    assert paired_t(np.array([0.5])) == (0.0, 1.0)
    assert paired_t(np.full(3, -0.5)) == (-np.inf, 0.0)


def test_a_small_shift_of_the_same_networks_is_found() -> None:
    """Of 1000 networks, 20 cross on one side alone: far less than what other networks vary by."""
    ours = np.arange(1000) < 320
    theirs = np.arange(1000) < 300
    counts = {(GD, 16): Count(320, 1000)}, {(GD, 16): Count(300, 1000)}
    independent, paired = compare(*counts), compare(*counts, paired={(GD, 16): (ours, theirs)})
    assert independent["agrees"].to_pylist() == [True]
    assert paired["agrees"].to_pylist() == [False]
    assert [one["test"].to_pylist() for one in (independent, paired)] == [["Fisher"], ["McNemar"]]
    assert paired["z"].to_pylist() == pytest.approx([20 / math.sqrt(20)])


def test_pairs_are_compared_over_those_in_common() -> None:
    paired = {(GD, 16): (np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.0, 3.0]))}
    table = compare({(GD, 16): Mean(9.0, 1.0, 5)}, {(GD, 16): Mean(8.0, 1.0, 3)}, paired=paired)
    (row,) = table.drop_columns(list(GD._fields)).to_pylist()
    assert (row["networks"], row["other_networks"], row["test"]) == (3, 3, "paired t")
    assert row["estimate"] == pytest.approx(7.0 / 3.0)


# ------------------------------------------------------------------------------ means


@pytest.mark.parametrize("seed", range(20))
def test_welch_equals_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n1, n2 = (int(n) for n in rng.integers(2, 200, 2))
    (m1, s1, s2), away = rng.exponential(size=3), 2.0 * rng.normal()
    m2 = m1 + away * np.hypot(s1 / np.sqrt(n1), s2 / np.sqrt(n2))
    theirs = scipy.stats.ttest_ind_from_stats(m1, s1, n1, m2, s2, n2, equal_var=False)
    found = welch(Mean(m1, s1 / np.sqrt(n1), n1), Mean(m2, s2 / np.sqrt(n2), n2))
    assert found == pytest.approx(tuple(theirs), rel=1e-9)
    # Negative control: the test with pooled variances is another.
    pooled = scipy.stats.ttest_ind_from_stats(m1, s1, n1, m2, s2, n2, equal_var=True)
    assert found[1] != pytest.approx(pooled.pvalue, rel=1e-6, abs=0.0)


def test_welch_where_one_side_has_no_error() -> None:
    """Then it is the test of a mean against a constant, and nothing is divided by zero."""
    one = Mean(1.0, 0.1, 10)
    expected = (2.0, 2 * scipy.stats.t.sf(2.0, 9))
    assert welch(one, Mean(0.8, 0.0, 1)) == pytest.approx(expected, rel=1e-9)
    assert welch(Mean(0.8, 0.0, 100), one) == pytest.approx((-2.0, expected[1]), rel=1e-9)


def test_welch_where_neither_side_has_an_error() -> None:
    assert welch(Mean(0.5, 0.0, 5), Mean(0.5, 0.0, 1)) == (0.0, 1.0)
    assert welch(Mean(0.5, 0.0, 5), Mean(0.4, 0.0, 1)) == (np.inf, 0.0)
    assert welch(Mean(0.4, 0.0, 5), Mean(0.5, 0.0, 1)) == (-np.inf, 0.0)


def mean_of(values: Floats) -> Mean:
    n = len(values)
    return Mean(float(values.mean()), float(values.std(ddof=1) / np.sqrt(n)), n)


def p_of_equal_means(number: int) -> tuple[Floats, Floats]:
    """Of Welch's test, and of the one that pools variances: few points have the larger one."""
    rng = np.random.default_rng(2)
    ours, pooled = [], []
    for _ in range(number):
        one, other = rng.normal(size=8) * 3.0, rng.normal(size=40)
        ours.append(welch(mean_of(one), mean_of(other))[1])
        pooled.append(scipy.stats.ttest_ind(one, other).pvalue)
    return np.array(ours), np.array(pooled)


def test_welch_keeps_its_level() -> None:
    """As far as an approximation does; the test that pools rejects several times as often."""
    ours, pooled = p_of_equal_means(5000)
    for level in (0.05, 0.01):
        error = np.sqrt(level * (1 - level) / 5000)
        assert np.mean(ours < level) == pytest.approx(level, abs=4 * error + 0.1 * level)
        assert np.mean(pooled < level) > 3 * level


def test_means_are_compared_by_welch_and_holm() -> None:
    """A family of 40, of which one differs and one would by itself only."""
    settings = [GD._replace(offset=float(k)) for k in range(40)]
    theirs = {(one, 16): Mean(1.0, 0.1, 100) for one in settings}
    ours = theirs | {(settings[3], 16): Mean(2.0, 0.1, 50), (settings[5], 16): Mean(1.4, 0.1, 50)}
    table = compare(ours, theirs)
    agrees = table["agrees"].to_pylist()
    assert [k for k, same in enumerate(agrees) if not same] == [3]
    z, p = welch(ours[settings[5], 16], theirs[settings[5], 16])
    assert (table["z"].to_pylist()[5], table["p"].to_pylist()[5]) == (z, p)
    assert p < 0.01
    few = {point: ours[point] for point in [(settings[5], 16)]}
    assert compare(few, theirs)["agrees"].to_pylist() == [False]


def test_means_over_no_networks_are_not_compared() -> None:
    with pytest.raises(UserError, match="no setting and inputs with a result on both sides"):
        compare({(GD, 16): Mean(0.0, 0.0, 0)}, {(GD, 16): Mean(1.0, 0.1, 5)}, "inputs")


# ------------------------------------------------------------------------------- Holm


@pytest.mark.parametrize("seed", range(20))
def test_holm_equals_statsmodels(seed: int) -> None:
    p = np.random.default_rng(seed).random(8) ** 6
    expected = multipletests(p, alpha=0.01, method="holm")[0]
    assert holm_rejections(p).tolist() == expected.tolist()


def test_holm_keeps_its_level() -> None:
    """Of many comparisons of equal laws, about 1 % find any difference; at 5 points each."""
    rng = np.random.default_rng(1)
    p = rng.random((20_000, 5))
    found = np.mean([holm_rejections(row).any() for row in p])
    assert found == pytest.approx(0.01, abs=3 * np.sqrt(0.01 / 20_000))


def test_all_published_points_are_there() -> None:
    """Figure 8 has two series of seven widths, each of them at four steps."""
    papers = (PAPER, STAR_PAPER)
    found = {figure: paper.estimates(figure) for paper in papers for figure in paper.figures}
    sizes = {figure: len(values) for figure, values in found.items()}
    assert sizes == {"fig5": 32, "fig6": 16, "fig8": 2 * 7 * 4}
    assert found["fig5"][GD, 16].counts == Count(3611, 10_000)
    assert found["fig6"][GD._replace(offset=0.1), 2048].estimate == 0.6152


@pytest.mark.parametrize(("name", "size"), [("crossing", 32 + 16), ("star", 2 * 7 * 4)])
def test_the_paper_without_a_figure_is_all_of_it(name: str, size: int) -> None:
    one = experiment(name)
    by_figure = [one.published(figure) for figure in one.figures_of_paper]
    every = one.published(None)
    assert every == {key: count for part in by_figure for key, count in part.items()}
    assert len(every) == sum(map(len, by_figure)) == size


def test_a_figure_of_the_other_experiment_is_one_line() -> None:
    with pytest.raises(UserError, match=r"paper:fig8: no such figure .*; use fig5 or fig6"):
        PAPER.points("fig8")


def test_compare_matches_by_setting_and_width() -> None:
    ours = {(GD, 16): Count(3600, 10_000), (GD, 17): Count(1, 2), (GD, 32): Count(3000, 10_000)}
    comparison = compare(ours, PAPER.points("fig5"))
    assert comparison["width"].to_pylist() == [16, 32]
    assert comparison["agrees"].to_pylist() == [True, False]


def test_cells_without_networks_are_not_compared() -> None:
    with pytest.raises(UserError, match="nothing to compare"):
        compare({(GD, 16): Count(0, 0)}, PAPER.points("fig5"))
