"""Comparisons against statsmodels, and the published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportions_ztest

from mcrelu.errors import UserError
from mcrelu.experiments.base import Count, experiment
from mcrelu.experiments.crossing.paper import PAPER, Setting
from mcrelu.experiments.star.paper import PAPER as STAR_PAPER
from mcrelu.stats.comparison import compare, holm_rejections, p_values, z_scores

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
