"""Comparisons against statsmodels, and the published numbers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportions_ztest

from mcrelu.errors import UserError
from mcrelu.experiments.base import Count, Mean, experiment
from mcrelu.experiments.crossing.paper import PAPER, Setting
from mcrelu.experiments.star.paper import PAPER as STAR_PAPER
from mcrelu.stats.comparison import compare, holm_rejections, p_values, welch, z_scores
from mcrelu.types import Floats

GD = Setting(0.0, "gd", "he", "inv_lambda_max", "crossing+sufficient")


@pytest.mark.parametrize("seed", range(5))
def test_z_test_equals_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n1, n2 = rng.integers(10, 1000, size=(2, 6)).astype(float)
    k1, k2 = rng.binomial(n1.astype(int), 0.3), rng.binomial(n2.astype(int), 0.4)
    z = z_scores(k1, n1, k2, n2)
    for k in range(6):
        theirs = proportions_ztest([k1[k], k2[k]], [n1[k], n2[k]])
        assert (z[k], p_values(z)[k]) == pytest.approx(theirs, rel=1e-9)


def test_equal_certainties_do_not_differ() -> None:
    z = z_scores(
        np.array([0.0, 5.0]), np.array([5.0, 5.0]), np.array([0.0, 9.0]), np.array([9.0, 9.0])
    )
    assert z.tolist() == [0.0, 0.0]


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
