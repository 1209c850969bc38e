"""Figures from a table of scores: differences, intervals, chance, what is refused."""

import numpy as np
import pandas as pd
import pytest

from featad.figures import compare_scores
from featad.metrics import auroc, average_precision, delong_test, f1_max

RNG = np.random.default_rng(0)
Y = np.repeat([1, -1], [40, 20])
GOOD, POOR = (RNG.normal(size=60) + shift * (Y == -1) for shift in (2.5, 0.7))


def _table(system, score, y=Y, fold=1, start=0):
    sample = np.arange(start, start + len(y))
    frame = {"system": system, "fold": fold, "sample": sample, "label": y}
    return pd.DataFrame(frame | {"anomaly_score": score})


@pytest.fixture
def scores():
    """Return scores of a good and of a poor system, one fold."""
    return pd.concat([_table("poor", POOR), _table("good", GOOD)], ignore_index=True)


@pytest.fixture
def folds():
    """Return the same in two folds: normal samples tested once, anomalies twice."""
    normal = [np.arange(20), np.arange(20, 40)]
    parts = []
    for name, score in (("poor", POOR), ("good", GOOD)):
        for fold, half in enumerate(normal, start=1):
            chosen = np.r_[half, np.arange(40, 60)]
            part = _table(name, score[chosen], Y[chosen], fold)
            parts.append(part.assign(sample=chosen))
    return pd.concat(parts, ignore_index=True)


def test_the_best_system_is_the_reference_unless_one_is_named(scores):
    table = compare_scores(scores)
    assert table.index.tolist() == ["good", "poor"]
    assert table.loc["good", "difference"] == 0
    assert table.loc["poor", "difference"] == auroc(Y, POOR) - auroc(Y, GOOD)
    other = compare_scores(scores, reference="poor")
    assert other.loc["good", "difference"] == -table.loc["poor", "difference"]
    assert np.isnan(other.loc["poor", "p_bootstrap"])


def test_a_clear_difference_has_an_interval_off_zero_and_a_small_p_value(folds):
    row = compare_scores(folds, reference="poor").loc["good"]
    assert 0 < row["difference_low"] < row["difference"] < row["difference_high"]
    assert row["p_bootstrap"] < 0.01


def test_systems_with_the_same_ranks_do_not_differ(scores):
    twin = scores[scores["system"] == "good"].assign(
        system="twin", anomaly_score=np.exp(GOOD)
    )
    row = compare_scores(pd.concat([scores, twin]), reference="good").loc["twin"]
    assert row["p_bootstrap"] == 1
    assert tuple(row[["difference_low", "difference_high"]]) == (0, 0)


def test_on_one_fold_the_bootstrap_agrees_with_delong(scores):
    row = compare_scores(scores, n_bootstrap=4000).loc["poor"]
    delong = delong_test(Y, POOR, GOOD)
    assert row["p_delong"] == pytest.approx(delong.p_value)
    found = row[["difference_low", "difference_high"]]
    assert tuple(found) == pytest.approx(delong.interval, abs=0.02)


@pytest.mark.slow
def test_the_p_value_is_uniform_where_systems_are_equally_good():
    rng = np.random.default_rng(1)
    values = []
    for _ in range(60):
        both = rng.normal(size=(2, 60)) + (Y == -1)
        table = pd.concat([_table("a", both[0]), _table("b", both[1])])
        row = compare_scores(table, reference="a", n_bootstrap=200).loc["b"]
        values.append(row["p_bootstrap"])
    assert np.mean(np.array(values) < 0.05) < 0.14  # 5 %, 3 standard deviations
    assert 0.38 < np.mean(values) < 0.62


def test_chance_is_what_equal_scores_give(scores):
    row = compare_scores(scores).iloc[0]
    same = np.zeros(60)
    assert row["average_precision_chance"] == pytest.approx(average_precision(Y, same))
    assert row["f1_max_chance"] == pytest.approx(f1_max(Y, same))


def test_samples_of_a_group_are_drawn_together(scores):
    copies = [scores.assign(sample=scores["sample"] + start) for start in (0, 60)]
    bursts = pd.concat(copies)
    bursts = bursts.assign(group=bursts["sample"] % 60)  # every sample comes twice
    once, twice = compare_scores(scores), compare_scores(bursts)
    for column in ("auroc", "auroc_low", "difference_high", "p_bootstrap"):
        assert twice.loc["poor", column] == pytest.approx(once.loc["poor", column])
    assert twice["p_delong"].isna().all()
    apart = compare_scores(bursts.drop(columns="group"))
    assert apart.loc["poor", "auroc_low"] > twice.loc["poor", "auroc_low"]


def test_one_anomaly_gives_no_interval_and_a_sentence():
    y = np.repeat([1, -1], [50, 1])
    table = pd.concat([_table(name, np.arange(51.0), y) for name in "ab"])
    with pytest.warns(UserWarning, match="only one anomalous test sample") as caught:
        row = compare_scores(table).loc["b"]
    assert len(caught) == 1
    assert row["auroc"] == 1
    empty = ["auroc_low", "auroc_high", "difference_low", "p_bootstrap", "p_delong"]
    assert row[empty].isna().all()


def test_a_file_of_scores_gives_the_same_figures(folds, tmp_path):
    paths = [f"{sample}.png" for sample in folds["sample"]]
    file = tmp_path / "scores.csv"
    folds.drop(columns="sample").assign(path=paths).to_csv(file, index=False)
    pd.testing.assert_frame_equal(
        compare_scores(pd.read_csv(file)), compare_scores(folds)
    )


def test_the_order_of_rows_does_not_matter_to_figures(folds):
    mixed = compare_scores(folds.sample(frac=1, random_state=0), n_bootstrap=5)
    figures = ["auroc", "average_precision", "difference"]
    expected = compare_scores(folds, n_bootstrap=5)
    pd.testing.assert_frame_equal(mixed[figures], expected[figures])


def _without_a_row(scores):
    return scores.iloc[1:]


def _twice(scores):
    return pd.concat([scores, scores])


def _other_label(scores):
    return scores.assign(label=scores["label"].where(scores.index != 3, -1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.drop(columns="fold"), "has no column 'fold'"),
        (lambda s: s.drop(columns="sample"), "has no column 'sample'"),
        (_without_a_row, "the rows of 'good' are not those of 'poor'"),
        (_twice, "All systems need one score for each sample"),
        (_other_label, "sample 3 has several labels"),
        (lambda s: s.assign(anomaly_score=np.nan), "has missing values"),
        (lambda s: s.assign(anomaly_score=np.inf), "should be finite"),
        (lambda s: s.assign(label=(s["label"] == 1).astype(int)), "np.where"),
    ],
)
def test_a_wrong_table_is_refused(change, message, scores):
    with pytest.raises(ValueError, match=message):
        compare_scores(change(scores))
