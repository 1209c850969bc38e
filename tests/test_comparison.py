"""The table of systems: what each figure means, what is shared, what fails how."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import IsolationForest
from sklearn.model_selection import ShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler
from sklearn.svm import OneClassSVM

from featad.comparison import compare, compare_scores
from featad.detectors import KMeansDistance, Mahalanobis
from featad.errors import FeatadError, ImageReadError
from featad.images import ImageReader
from featad.metrics import auroc, bootstrap_interval, delong_test
from featad.model_selection import OneClassKFold, anomaly_roc_auc

COLUMNS = [
    "auroc",
    "auroc_low",
    "auroc_high",
    "average_precision",
    "f1_max",
    "tpr_at_fpr_1",
    "average_precision_chance",
    "f1_max_chance",
    "fit_seconds",
    "images_per_second",
    "model_mb",
    "difference",
    "difference_low",
    "difference_high",
    "p_bootstrap",
    "p_delong",
]
FIGURES = [name for name in COLUMNS if "second" not in name]


class Counting(TransformerMixin, BaseEstimator):
    """Pass samples on and note how many there were: a head that learns nothing."""

    seen: list = []  # of the class: clones share it

    def __init__(self, factor=1.0):
        self.factor = factor

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        self.seen.append(len(X))
        return np.asarray(X) * self.factor

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags


@pytest.fixture
def y():
    """Return 40 normal and 15 anomalous labels, mixed."""
    return np.random.default_rng(0).permutation(np.repeat([1, -1], [40, 15]))


@pytest.fixture
def X(y):
    """Return a table whose anomalies lie apart, some of them near."""
    rng = np.random.default_rng(1)
    return rng.normal(size=(55, 3)) + 1.2 * (y == -1)[:, None]


@pytest.fixture
def systems():
    """Return three systems on tables."""
    return {
        "svm": make_pipeline(StandardScaler(), OneClassSVM(nu=0.1)),
        "mahalanobis": Mahalanobis(),
        "forest": IsolationForest(n_estimators=10, random_state=0),
    }


@pytest.fixture
def halves(y):
    """Return one split: half of the normal samples train, the rest are tested."""
    normal = np.flatnonzero(y == 1)
    return [(normal[:20], np.setdiff1d(np.arange(55), normal[:20]))]


def test_one_row_a_system_best_first(systems, X, y):
    table = compare(systems, X, y, n_bootstrap=20)
    assert list(table.columns) == COLUMNS
    assert table.index.name == "system"
    assert set(table.index) == set(systems)
    assert table["auroc"].is_monotonic_decreasing


def test_figures_are_the_means_over_the_folds(systems, X, y):
    cv = OneClassKFold(4, random_state=3)
    table = compare(systems, X, y, cv=cv, n_bootstrap=20)
    for name, system in systems.items():
        by_fold = cross_val_score(system, X, y, cv=cv, scoring=anomaly_roc_auc)
        assert table.loc[name, "auroc"] == pytest.approx(by_fold.mean(), abs=1e-12)


def test_on_one_split_interval_and_p_value_are_those_of_the_metrics(
    systems, X, y, halves
):
    table = compare(systems, X, y, cv=halves, random_state=5)
    ((train, test),) = halves
    scores = {n: -s.fit(X[train]).score_samples(X[test]) for n, s in systems.items()}
    best = table.index[0]
    for name, score in scores.items():
        interval = bootstrap_interval(auroc, y[test], score, random_state=5)
        found = table.loc[name, ["auroc_low", "auroc_high"]]
        assert tuple(found) == pytest.approx(interval, abs=1e-12)
        if name != best:
            p_value = delong_test(y[test], scores[best], score).p_value
            assert table.loc[name, "p_delong"] == pytest.approx(p_value)
    assert np.isnan(table.loc[best, "p_delong"])


def test_with_several_folds_there_is_a_bootstrap_p_value_in_place_of_delongs(
    systems, X, y
):
    table = compare(systems, X, y, cv=2, n_bootstrap=20)
    assert table["p_delong"].isna().all()
    assert table["p_bootstrap"][1:].between(2 / 21, 1).all()


def test_scores_of_all_folds_are_returned_on_request(systems, X, y):
    cv = OneClassKFold(3, random_state=0)
    table, scores = compare(systems, X, y, cv=cv, n_bootstrap=20, return_scores=True)
    folds = list(cv.split(X, y))
    assert len(scores) == len(systems) * sum(len(test) for _, test in folds)
    train, test = folds[1]
    rows = scores[(scores["system"] == "mahalanobis") & (scores["fold"] == 2)]
    assert rows["sample"].tolist() == test.tolist()
    assert rows["label"].tolist() == y[test].tolist()
    expected = -Mahalanobis().fit(X[train]).score_samples(X[test])
    np.testing.assert_allclose(rows["anomaly_score"], expected)
    again = compare_scores(scores, n_bootstrap=20)
    pd.testing.assert_frame_equal(again, table[again.columns])


def test_groups_are_kept_in_the_scores(X, y):
    groups = np.arange(55) // 2
    y = np.repeat([1, -1], [40, 15])
    _, scores = compare(
        {"a": Mahalanobis()}, X, y, groups=groups, cv=2, n_bootstrap=5,
        return_scores=True,
    )  # fmt: skip
    assert (scores["group"] == scores["sample"] // 2).all()


def test_samples_are_places_in_x_even_where_some_are_in_no_fold(X, y):
    y = y.copy()
    y[43:45] = 1
    cv = [(np.flatnonzero(y == 1)[:10], [43, 44, *np.flatnonzero(y == -1)[:4]])]
    systems = {"a": Mahalanobis()}
    _, scores = compare(systems, X, y, cv=cv, n_bootstrap=5, return_scores=True)
    assert scores["sample"].tolist() == cv[0][1]


def test_an_anomaly_tested_twice_is_drawn_once(X, y, halves):
    once = compare({"a": Mahalanobis()}, X, y, cv=halves)
    twice = compare({"a": Mahalanobis()}, X, y, cv=halves * 2)
    pd.testing.assert_frame_equal(
        once[["auroc", "auroc_low", "auroc_high"]],
        twice[["auroc", "auroc_low", "auroc_high"]],
    )


def test_the_interval_holds_the_figure(systems, X, y):
    table = compare(systems, X, y, cv=3)
    assert (table["auroc_low"] < table["auroc"]).all()
    assert (table["auroc"] < table["auroc_high"]).all()


def test_it_repeats(systems, X, y):
    first, second = (compare(systems, X, y, cv=3, n_bootstrap=50) for _ in range(2))
    pd.testing.assert_frame_equal(first[FIGURES], second[FIGURES])


def test_systems_are_not_changed(systems, X, y):
    compare(systems, X, y, cv=2, n_bootstrap=5)
    assert not hasattr(systems["mahalanobis"], "offset_")


def test_an_equal_head_runs_once_for_all_systems(X, y):
    Counting.seen.clear()
    systems = {
        "a": make_pipeline(Counting(), StandardScaler(), OneClassSVM()),
        "b": make_pipeline(Counting(2.0), Mahalanobis()),
        "c": make_pipeline(Counting(), Mahalanobis()),
    }
    compare(systems, X, y, cv=5, n_bootstrap=5)
    assert sorted(Counting.seen) == [1, 1, 55, 55]  # one image first, to warm up


def test_features_are_shared_whatever_follows_them(X, y):
    Counting.seen.clear()
    systems = {
        "a": make_pipeline(Counting(), Normalizer(), Mahalanobis()),
        "b": make_pipeline(Counting(), "passthrough", Mahalanobis()),
        "c": make_pipeline("passthrough", Counting(), Normalizer(), OneClassSVM()),
    }
    table = compare(systems, X, y, cv=2, n_bootstrap=5)
    assert Counting.seen == [1, 55]
    expected = compare({"a": systems["a"]}, X, y, cv=2, n_bootstrap=5)
    assert table.loc["a", "auroc"] == expected.loc["a", "auroc"]


def test_a_shared_head_gives_the_figures_of_a_system_alone(X, y):
    systems = {
        "a": make_pipeline(Counting(), OneClassSVM()),
        "b": make_pipeline(Counting(), Mahalanobis()),
    }
    both = compare(systems, X, y, cv=3, n_bootstrap=20)
    for name, system in systems.items():
        alone = compare({name: system}, X, y, cv=3, n_bootstrap=20)
        assert alone.loc[name, "auroc_low"] == both.loc[name, "auroc_low"]


def test_a_head_that_cannot_be_compared_is_not_shared(X, y):
    def head(factor):
        return FunctionTransformer(lambda X: X * factor)

    systems = {
        "shrunk": make_pipeline(head(0.0), Mahalanobis()),
        "whole": make_pipeline(head(1.0), Mahalanobis()),
    }
    table = compare(systems, X, y, cv=2, n_bootstrap=5)
    assert table["auroc"].to_dict() == {
        "whole": pytest.approx(table["auroc"].max()),
        "shrunk": 0.5,
    }


def test_times_of_the_head_are_in_every_row(X, y):
    class Slow(Counting):
        def transform(self, X):
            import time

            time.sleep(0.004 * len(X))
            return super().transform(X)

    systems = {
        "a": make_pipeline(Slow(), Mahalanobis()),
        "b": make_pipeline(Slow(), KMeansDistance(2, random_state=0)),
    }
    table = compare(systems, X, y, cv=2, n_bootstrap=5)
    assert (table["fit_seconds"] > 0.9 * 20 * 0.004).all()
    assert (table["images_per_second"] < 1.1 / 0.004).all()


def test_only_images_of_the_folds_are_read(X, y):
    Counting.seen.clear()
    normal, anomalous = np.flatnonzero(y == 1), np.flatnonzero(y == -1)
    cv = [(normal[:10], np.r_[normal[10:15], anomalous[:5]])]
    compare({"a": make_pipeline(Counting(), Mahalanobis())}, X, y, cv=cv)
    assert Counting.seen == [1, 20]


def test_progress_is_told_fold_by_fold(systems, X, y):
    told = []
    compare(systems, X, y, cv=2, n_bootstrap=5, on_progress=lambda *a: told.append(a))
    assert [done for done, _, _ in told] == [1, 2, 3, 4, 5, 6]
    assert {total for _, total, _ in told} == {6}
    assert [name for _, _, name in told[::2]] == list(systems)


@pytest.mark.parametrize("kind", [list, pd.Series, lambda p: np.array(p, dtype=object)])
def test_paths_come_in_any_sequence(kind, image_folder):
    paths = sorted(image_folder.iterdir())
    system = make_pipeline(ImageReader(flatten=True), Mahalanobis())
    y = pd.Series([1, 1, 1, 1, -1, -1])
    table = compare({"a": system}, kind(paths), y, cv=2, n_bootstrap=5)
    expected = compare({"a": system}, list(paths), list(y), cv=2, n_bootstrap=5)
    assert table.loc["a", "auroc"] == expected.loc["a", "auroc"]


def test_an_image_batch_is_taken(images):
    y = np.repeat([1, -1], [16, 8])
    system = {"a": KMeansDistance(2, random_state=0)}
    table = compare(system, images, y, cv=2, n_bootstrap=5)
    flat = compare(system, images.reshape(24, -1), y, cv=2, n_bootstrap=5)
    assert table.loc["a", "auroc"] == pytest.approx(flat.loc["a", "auroc"])


def test_a_failing_system_is_named(X, y):
    systems = {"fine": Mahalanobis(), "bad": KMeansDistance(n_clusters=-1)}
    with pytest.raises(FeatadError, match="System 'bad' failed in fold 1 of 5") as info:
        compare(systems, X, y)
    assert "n_clusters" in str(info.value.__cause__)


def test_a_broken_image_is_named(image_folder):
    paths = sorted(image_folder.iterdir())
    paths[2].write_bytes(b"")
    system = make_pipeline(ImageReader(flatten=True), Mahalanobis())
    with pytest.raises(ImageReadError, match=r"2\.png"):
        compare({"a": system}, paths, [1, 1, 1, 1, -1, -1], cv=2)


@pytest.mark.filterwarnings("ignore::featad.errors.ImageReadWarning")
def test_a_head_that_leaves_images_out_is_refused(image_folder):
    paths = sorted(image_folder.iterdir())
    paths[2].write_bytes(b"")
    system = make_pipeline(ImageReader(flatten=True, on_error="skip"), Mahalanobis())
    with pytest.raises(FeatadError, match="6 samples became 5 rows"):
        compare({"a": system}, paths, [1, 1, 1, 1, -1, -1], cv=2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"systems": {}}, "should be a dict of names to estimators"),
        ({"systems": [Mahalanobis()]}, "should be a dict of names to estimators"),
        ({"y": np.repeat([0, 1], [40, 15])}, r"np\.where\(y == 1, -1, 1\)"),
        ({"y": np.ones(55)}, "-1"),
        ({"cv": []}, "cv holds no fold"),
        ({"cv": [([0, 1], [2, 3])]}, "fold 1 trains on 2 samples and tests 2 normal"),
        ({"confidence": 95}, r"confidence should be in \(0, 1\)"),
        ({"n_bootstrap": 0}, "n_bootstrap should be at least 1"),
        ({"reference": "b"}, "reference should be one of a, got 'b'"),
    ],
)
def test_wrong_use_is_refused(changed, message, X):
    y = np.repeat([1, -1], [40, 15])
    arguments = {"systems": {"a": Mahalanobis()}, "X": X, "y": y, "cv": None} | changed
    with pytest.raises(ValueError, match=message):
        compare(**arguments)


def test_any_splitter_is_taken(X, y):
    cv = ShuffleSplit(3, test_size=0.5, random_state=0)
    table = compare({"a": Mahalanobis()}, X, y, cv=cv, n_bootstrap=5)
    assert table.loc["a", "auroc"] > 0.5


def test_results_are_told_after_each_system(systems, X, y):
    told = []
    table, scores = compare(
        systems,
        X,
        y,
        n_bootstrap=20,
        return_scores=True,
        on_system=lambda *results: told.append(results),
    )
    assert [len(found) for found, _ in told] == list(range(1, len(systems) + 1))
    pd.testing.assert_frame_equal(told[-1][0], table)
    pd.testing.assert_frame_equal(told[-1][1], scores)
    first = told[0][0].index[0]
    assert told[0][0].loc[first, "auroc"] == table.loc[first, "auroc"]


def test_a_systems_size_is_what_it_pickles_to(X, y):
    table = compare({"a": Mahalanobis()}, X, y, cv=2, n_bootstrap=20)
    assert 0 < table.loc["a", "model_mb"] < 0.1
