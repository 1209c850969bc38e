"""Figures of merit agree with scikit-learn, with definitions and with print."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score, roc_curve

from featad.metrics import (
    auroc,
    average_precision,
    bootstrap_interval,
    delong_test,
    f1_max,
    tpr_at_fpr,
)
from featad.metrics.scores import bootstrap_counts

METRICS = [auroc, average_precision, f1_max, tpr_at_fpr]

# Albumin, total protein, K-G score and outcome of 43 patients: DeLong, DeLong and
# Clarke-Pearson (1988), as printed in the SAS/STAT guide (PROC LOGISTIC, example
# "Comparing Receiver Operating Characteristic Curves").
PATIENTS = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0
2.5 5.7 8 0  1.6 5.6 5 1  3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1
4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1
3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1
3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1
3.6 6.6 5 1
"""


@pytest.fixture(params=[None, 1], ids=["distinct", "tied"])
def scored(request):
    """Return 200 labels and scores, without and with ties."""
    rng = np.random.default_rng(3)
    y = np.where(rng.random(200) < 0.3, -1, 1)
    score = rng.normal(size=200) + (y == -1)
    return y, score if request.param is None else score.round(request.param)


def test_auroc_is_scikit_learns(scored):
    y, score = scored
    assert auroc(y, score) == pytest.approx(roc_auc_score(y == -1, score), abs=1e-12)


def test_average_precision_is_scikit_learns(scored):
    y, score = scored
    expected = average_precision_score(y == -1, score)
    assert average_precision(y, score) == pytest.approx(expected, abs=1e-12)


def test_f1_max_is_the_best_over_every_threshold(scored):
    y, score = scored
    best = max(f1_score(y == -1, score >= threshold) for threshold in score)
    assert f1_max(y, score) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("fpr", [0.0, 0.01, 0.05, 0.3, 1.0])
def test_tpr_at_fpr_is_the_best_admissible_point_of_the_roc_curve(scored, fpr):
    y, score = scored
    false_alarms, found, _ = roc_curve(y == -1, score, drop_intermediate=False)
    expected = found[false_alarms <= fpr].max()
    assert tpr_at_fpr(y, score, fpr=fpr) == pytest.approx(expected, abs=1e-12)


def test_a_rate_that_is_a_whole_number_of_normals_is_met():
    y = np.array([1] * 100 + [-1] * 2)
    score = np.r_[np.arange(100), 92.5, 200]  # seven normal samples above the first
    assert tpr_at_fpr(y, score, fpr=0.07) == 1.0


@pytest.mark.parametrize("metric", METRICS)
def test_a_perfect_ranking_gives_one(metric):
    assert metric([1, 1, 1, -1, -1], [0.1, 0.2, 0.3, 0.4, 0.5]) == 1.0


def test_constant_scores_are_chance():
    y, score = [1, 1, 1, -1], np.zeros(4)
    assert [metric(y, score) for metric in METRICS] == [0.5, 0.25, 0.4, 0.0]


@pytest.mark.parametrize("metric", [*METRICS, partial(bootstrap_interval, auroc)])
@pytest.mark.parametrize(
    ("y", "score", "message"),
    [
        ([1, 1, 1], [0.1, 0.2, 0.3], "-1"),
        ([0, 1, 1], [0.1, 0.2, 0.3], r"np\.where\(y == 1, -1, 1\)"),
        ([1, -1, 1], [0.1, np.nan, 0.3], "1 NaN or infinite values among 3"),
        ([1, -1, 1], [0.1, np.inf, 0.3], "isfinite"),
        ([1, -1, 1], [0.1, 0.3], "3"),
        ([1, -1, 1], [[0.1], [0.2], [0.3]], r"shape \(n_samples,\), got .*\(3, 1\)"),
    ],
)
def test_wrong_labels_and_scores_are_refused(metric, y, score, message):
    with pytest.raises(ValueError, match=message):
        metric(y, score)


def test_a_rate_outside_zero_to_one_is_refused():
    with pytest.raises(ValueError, match=r"fpr should be in \[0, 1\], got 5"):
        tpr_at_fpr([1, -1], [0.0, 1.0], fpr=5)


@pytest.mark.parametrize("metric", METRICS)
def test_drawing_at_once_is_drawing_one_by_one(scored, metric):
    at_once = bootstrap_interval(metric, *scored, n_bootstrap=50)
    one_by_one = bootstrap_interval(partial(metric), *scored, n_bootstrap=50)
    assert at_once == pytest.approx(one_by_one, abs=1e-12)


def test_draws_keep_the_number_of_each_label(scored):
    y, _ = scored
    (counts,) = bootstrap_counts(y, 30, 0)
    assert counts.shape == (30, 200)
    np.testing.assert_array_equal(counts[:, y == -1].sum(axis=1), (y == -1).sum())
    np.testing.assert_array_equal(counts.sum(axis=1), 200)


def test_draws_in_parts_are_as_many_as_asked_for(scored, monkeypatch):
    monkeypatch.setattr("featad.metrics.scores._DRAWS_AT_ONCE", 1000)
    parts = list(bootstrap_counts(scored[0], 12, 0))
    assert [len(part) for part in parts] == [5, 5, 2]


def test_the_interval_repeats_under_one_seed_and_leaves_the_global_seed(scored):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = bootstrap_interval(auroc, *scored, n_bootstrap=100, random_state=7)
    assert first == bootstrap_interval(auroc, *scored, n_bootstrap=100, random_state=7)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_a_wider_confidence_gives_a_wider_interval(scored):
    low, high = bootstrap_interval(auroc, *scored, confidence=0.5)
    wide_low, wide_high = bootstrap_interval(auroc, *scored, confidence=0.99)
    assert wide_low < low < auroc(*scored) < high < wide_high


def test_the_interval_covers_the_true_auroc_as_often_as_it_says():
    rng = np.random.default_rng(0)
    y = np.repeat([1, -1], 60)
    true = 0.7602  # of two unit normals one apart: Phi(1 / sqrt(2))
    covered = 0
    for _ in range(200):
        score = rng.normal(size=120) + (y == -1)
        low, high = bootstrap_interval(auroc, y, score, n_bootstrap=200)
        covered += low <= true <= high
    assert 0.90 <= covered / 200 <= 0.99


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"confidence": 95}, r"confidence should be in \(0, 1\), got 95"),
        ({"n_bootstrap": 0}, "n_bootstrap should be at least 1, got 0"),
    ],
)
def test_wrong_bootstrap_parameters_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(auroc, [1, -1], [0.0, 1.0], **wrong)


def test_delong_reproduces_the_published_example():
    albumin, protein, kg, outcome = np.array(PATIENTS.split(), float).reshape(-1, 4).T
    y = np.where(outcome == 1, -1, 1)
    result = delong_test(y, protein, 10 - kg)
    assert round(result.auroc_a, 4) == 0.6478
    assert round(result.auroc_b, 4) == 0.7258
    assert round(result.difference, 4) == -0.0780
    assert tuple(np.round(result.interval, 4)) == (-0.2830, 0.1271)
    assert round(result.p_value, 4) == 0.4561
    assert round(delong_test(y, albumin, 10 - kg).p_value, 4) == 0.9102


def test_delong_areas_are_the_auroc(scored):
    y, score = scored
    other = np.random.default_rng(0).normal(size=200).round(1)
    result = delong_test(y, score, other)
    assert result.auroc_a == pytest.approx(auroc(y, score), abs=1e-12)
    assert result.auroc_b == pytest.approx(auroc(y, other), abs=1e-12)
    assert result.difference == pytest.approx(result.auroc_a - result.auroc_b)


def test_delong_interval_is_that_of_the_definition(scored):
    y, score = scored
    other = (score + np.random.default_rng(0).normal(size=200)).round(1)
    kernels = []  # psi(anomaly, normal) for every pair, as in the paper
    for s in (score, other):
        pairs = s[y == -1][:, None] - s[y == 1][None, :]
        kernels.append((np.sign(pairs) + 1) / 2)
    of_anomalies = np.cov([k.mean(axis=1) for k in kernels]) / (y == -1).sum()
    of_normals = np.cov([k.mean(axis=0) for k in kernels]) / (y == 1).sum()
    contrast = np.array([1, -1])
    error = np.sqrt(contrast @ (of_anomalies + of_normals) @ contrast)
    low, high = delong_test(y, score, other).interval
    assert (high - low) / 2 == pytest.approx(1.959964 * error, rel=1e-6)


def test_delong_p_values_are_uniform_when_both_systems_are_equally_good():
    rng = np.random.default_rng(0)
    y = np.repeat([1, -1], [80, 60])
    p_values = []
    for _ in range(400):
        common = rng.normal(size=140) + 1.5 * (y == -1)
        a, b = common + rng.normal(size=(2, 140))
        p_values.append(delong_test(y, a, b).p_value)
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.09


def test_delong_is_symmetric(scored):
    y, score = scored
    other = score[::-1]
    one, two = delong_test(y, score, other), delong_test(y, other, score)
    assert one.p_value == pytest.approx(two.p_value)
    assert one.interval == pytest.approx((-two.interval[1], -two.interval[0]))


def test_the_same_ranking_has_p_value_one(scored):
    y, score = scored
    result = delong_test(y, score, np.exp(score))
    assert (result.difference, result.p_value) == (0.0, 1.0)


def test_delong_with_one_anomaly_is_refused():
    with pytest.raises(ValueError, match="3 normal and 1 anomalous"):
        delong_test([1, 1, 1, -1], [0, 1, 2, 3], [0, 1, 2, 3])


def test_delong_names_the_scores_that_are_wrong():
    with pytest.raises(ValueError, match="score_b should be finite"):
        delong_test([1, 1, -1, -1], [0, 1, 2, 3], [0, 1, 2, np.nan])
