"""One-class folds and scorers, alone and inside scikit-learn's own tools."""

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.ensemble import IsolationForest
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

import featad
from featad.comparison import compare
from featad.datasets import make_spots_and_lines
from featad.detectors import KMeansDistance
from featad.features import FilterBankFeatures
from featad.images import ImageReader
from featad.metrics import auroc, average_precision, tpr_at_fpr
from featad.model_selection import (
    OneClassKFold,
    _nearest_count,
    anomaly_average_precision,
    anomaly_roc_auc,
    anomaly_tpr_at_fpr,
)

SCORERS = {
    anomaly_roc_auc: auroc,
    anomaly_average_precision: average_precision,
    anomaly_tpr_at_fpr: tpr_at_fpr,
}


@pytest.fixture(scope="module")
def y():
    """Return 20 normal and 10 anomalous labels, mixed."""
    return np.random.default_rng(0).permutation(np.repeat([1, -1], [20, 10]))


@pytest.fixture(scope="module")
def generated():
    """Return 60 small generated parts, 20 of them with a spot or a line."""
    parts = make_spots_and_lines(30, 30, size=32, anomaly_share=2 / 3, random_state=0)
    return parts.images, parts.labels


@pytest.fixture(scope="module")
def X(y):
    """Return a table whose anomalies lie apart, some of them near."""
    rng = np.random.default_rng(1)
    return rng.normal(size=(30, 3)) + 1.5 * (y == -1)[:, None]


def test_training_sets_hold_normal_samples_only(y):
    for train, _ in OneClassKFold(4, random_state=0).split(y, y):
        assert set(y[train]) == {1}


def test_every_fold_tests_all_anomalies(y):
    for _, test in OneClassKFold(4, random_state=0).split(y, y):
        assert (y[test] == -1).sum() == 10


def test_each_normal_sample_is_tested_once(y):
    tests = [test for _, test in OneClassKFold(4, random_state=0).split(y, y)]
    tested, times = np.unique(np.concatenate(tests), return_counts=True)
    assert len(tested) == 30
    np.testing.assert_array_equal(times[y == 1], 1)


@pytest.mark.parametrize("contamination", [0.0, 0.1, 0.3])
def test_each_fold_holds_every_sample_once_and_sorted(y, contamination):
    cv = OneClassKFold(3, contamination=contamination, random_state=0)
    for train, test in cv.split(y, y):
        np.testing.assert_array_equal(np.sort(np.r_[train, test]), np.arange(30))
        assert (np.diff(train) > 0).all()
        assert (np.diff(test) > 0).all()


@pytest.mark.parametrize(
    ("contamination", "n_anomalies"), [(0.0, 0), (0.05, 1), (0.2, 4), (0.3, 7)]
)
def test_contamination_is_the_share_of_the_training_set(y, contamination, n_anomalies):
    cv = OneClassKFold(5, contamination=contamination, random_state=0)
    for train, _ in cv.split(y, y):  # 16 normal samples and the anomalies
        assert (y[train] == -1).sum() == n_anomalies


def test_folds_are_contaminated_with_different_anomalies(y):
    cv = OneClassKFold(4, contamination=0.2, random_state=0)
    mixed_in = {tuple(train[y[train] == -1]) for train, _ in cv.split(y, y)}
    assert len(mixed_in) == 4


@pytest.fixture(scope="module")
def groups(y):
    """Return 12 groups of different sizes, 4 of them with all anomalies."""
    rng = np.random.default_rng(2)
    return np.where(y == 1, rng.integers(0, 8, 30), rng.integers(8, 12, 30))


@pytest.mark.parametrize("contamination", [0.0, 0.1, 0.3])
def test_no_group_is_on_both_sides(y, groups, contamination):
    cv = OneClassKFold(3, contamination=contamination, random_state=0)
    for train, test in cv.split(y, y, groups):
        assert not set(groups[train]) & set(groups[test])
        np.testing.assert_array_equal(np.sort(np.r_[train, test]), np.arange(30))


def test_each_normal_group_is_tested_once(y, groups):
    tests = [t for _, t in OneClassKFold(3, random_state=0).split(y, y, groups)]
    times = np.bincount(np.concatenate(tests), minlength=30)
    np.testing.assert_array_equal(times[y == 1], 1)
    np.testing.assert_array_equal(times[y == -1], 3)


def test_a_group_with_an_anomaly_does_not_train():
    y = np.array([1, 1, 1, 1, 1, -1])
    groups = ["a", "b", "c", "d", "e", "e"]
    for train, test in OneClassKFold(2, random_state=0).split(y, y, groups):
        assert {4, 5} <= set(test)
        assert len(train) == 2


def test_contamination_comes_as_near_as_whole_groups_do():
    y = np.repeat([1, -1], [40, 20])
    groups = np.r_[np.arange(40), np.repeat([40, 41, 42, 43], 5)]
    cv = OneClassKFold(2, contamination=0.2, random_state=0)
    for train, _ in cv.split(y, y, groups):  # 20 normal samples; 5 would be a fifth
        assert (y[train] == -1).sum() == 5


def test_groups_of_one_sample_give_the_folds_without_groups(y):
    cv = OneClassKFold(3, contamination=0.1, random_state=0)
    for plain, grouped in zip(
        cv.split(y, y), cv.split(y, y, np.arange(30)), strict=True
    ):
        np.testing.assert_array_equal(plain[0], grouped[0])
        np.testing.assert_array_equal(plain[1], grouped[1])


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([0, 0, 0, 0, 1, 1], "n_splits=2 needs as many normal groups, got 1"),
        ([0, 1], r"6 samples, got groups.shape=\(2,\)"),
    ],
)
def test_too_few_groups_are_refused(groups, message):
    y = [1, 1, 1, 1, -1, -1]
    with pytest.raises(ValueError, match=message):
        list(OneClassKFold(2).split(y, y, groups))


@pytest.mark.parametrize("routing", [False, True])
def test_groups_reach_the_folds_of_scikit_learn_s_own_tools(routing, X, y, groups):
    tested = []

    def scorer(estimator, X, y):
        tested.append(len(y))
        return 0.0

    cv = OneClassKFold(3, random_state=0)
    with config_context(enable_metadata_routing=routing):
        GridSearchCV(KMeansDistance(1), {"n_clusters": [1]}, scoring=scorer, cv=cv).fit(
            X, y, groups=groups
        )
    assert tested == [len(test) for _, test in cv.split(X, y, groups)]
    assert tested != [len(test) for _, test in cv.split(X, y)]


def test_a_seed_repeats_the_folds_and_another_changes_them(y):
    def tests(seed):
        return [tuple(t) for _, t in OneClassKFold(random_state=seed).split(y, y)]

    assert tests(0) == tests(0) != tests(1)


def test_the_global_generator_is_left_alone(y):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    list(OneClassKFold(random_state=0).split(y, y))
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_the_number_of_folds_and_the_repr_are_scikit_learns():
    cv = OneClassKFold(3, contamination=0.1)
    assert cv.get_n_splits() == 3
    expected = "OneClassKFold(contamination=0.1, n_splits=3, random_state=None)"
    assert repr(cv) == expected


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_splits": 1}, "n_splits should be an integer of at least 2, got 1"),
        ({"n_splits": 2.5}, "n_splits should be an integer of at least 2, got 2.5"),
        ({"contamination": 0.5}, r"contamination should be in \[0, 0.5\), got 0.5"),
        ({"contamination": "auto"}, r"contamination should be in .*, got 'auto'"),
    ],
)
def test_wrong_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        OneClassKFold(**parameters)


@pytest.mark.parametrize(
    ("cv", "labels", "message"),
    [
        (OneClassKFold(), None, "needs y to tell normal"),
        (OneClassKFold(5), [1, 1, 1, 1, -1], "n_splits=5 needs as .* got 4"),
        (OneClassKFold(2), [1, 1, 1, 1], "-1"),
        (OneClassKFold(2), [1, 1, -1, -1, 1, 1], "6 labels"),
        (OneClassKFold(2), [0, 0, 1, 1], r"np\.where\(y == 1, -1, 1\)"),
        (OneClassKFold(2, contamination=0.4), [1, 1, 1, 1, -1], "puts 1 anomalous"),
    ],
)
def test_too_few_samples_and_wrong_labels_are_refused(cv, labels, message):
    X = np.zeros((5 if labels is None else min(5, len(labels)), 2))
    with pytest.raises(ValueError, match=message):
        list(cv.split(X, labels))


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize(
    "system", [OneClassSVM(), make_pipeline(StandardScaler(), KMeansDistance(2))]
)
def test_scorers_turn_scores_into_anomaly_scores_once(scorer, system, X, y):
    system.fit(X[y == 1])
    expected = SCORERS[scorer](y, -system.score_samples(X))
    assert scorer(system, X, y) == expected


@pytest.mark.parametrize("scorer", SCORERS)
def test_scorers_refuse_labels_that_invert_scikit_learns_own(scorer, X, y):
    zero_one = (y == -1).astype(int)
    cv = list(OneClassKFold(3, random_state=0).split(X, y))
    system = KMeansDistance(1)
    inverted = cross_val_score(system, X, zero_one, cv=cv, scoring="roc_auc")
    assert inverted.mean() < 0.2  # silently: its complement is the truth
    assert cross_val_score(system, X, y, cv=cv, scoring=scorer).mean() > 0.5
    with pytest.raises(ValueError, match=r"np\.where\(y == 1, -1, 1\)"):
        cross_val_score(system, X, zero_one, cv=cv, scoring=scorer, error_score="raise")


@pytest.mark.parametrize(
    ("wanted", "count"), [(0, 0), (0.4, 0), (0.5, 1), (2, 1), (2.9, 2), (99, 3)]
)
def test_the_nearest_count_is_the_larger_of_two_as_near(wanted, count):
    assert _nearest_count(np.array([1, 4, 6]), wanted) == count


@pytest.mark.parametrize("scorer", SCORERS)
def test_scorers_have_a_name_and_a_docstring_of_their_own(scorer):
    assert getattr(featad, scorer.__name__) is scorer
    assert f"featad.metrics.{SCORERS[scorer].__name__}`" in scorer.__doc__
    assert f"scoring={scorer.__name__})" in scorer.__doc__


@pytest.mark.parametrize("scorer", SCORERS)
def test_scorers_can_be_pickled(scorer):
    assert pickle.loads(pickle.dumps(scorer)) is scorer


@pytest.mark.parametrize("routing", [False, True])
def test_the_splitter_works_in_a_grid_search(routing, X, y):
    with config_context(enable_metadata_routing=routing):
        search = GridSearchCV(
            KMeansDistance(random_state=0),
            {"n_clusters": [1, 4]},
            scoring={"auroc": anomaly_roc_auc, "ap": anomaly_average_precision},
            refit="auroc",
            cv=OneClassKFold(3, random_state=0),
        ).fit(X, y)
    assert search.n_splits_ == 3
    assert search.best_score_ > 0.8


def test_one_grid_search_over_features_and_detectors_is_the_comparison(generated):
    features = {
        "pixels": ImageReader(size=16, mode="L", flatten=True),
        "filters": FilterBankFeatures(size=32),
    }
    detectors = {
        "ocsvm": OneClassSVM(nu=0.1),
        "kmeans": KMeansDistance(4, random_state=0),
        "iforest": IsolationForest(n_estimators=20, random_state=0),
    }
    cv = OneClassKFold(3, random_state=0)
    system = Pipeline(
        [("features", None), ("scale", StandardScaler()), ("detector", None)]
    )
    grid = {"features": list(features.values()), "detector": list(detectors.values())}
    search = GridSearchCV(
        system, grid, scoring=anomaly_roc_auc, cv=cv, refit=False
    ).fit(*generated)
    table = compare(
        {
            f"{f}-{d}": make_pipeline(features[f], StandardScaler(), detectors[d])
            for f in features
            for d in detectors
        },
        *generated,
        cv=cv,
        n_bootstrap=10,
    )
    found = {
        (id(p["features"]), id(p["detector"])): score
        for p, score in zip(
            search.cv_results_["params"],
            search.cv_results_["mean_test_score"],
            strict=True,
        )
    }
    names = [name.split("-") for name in table.index]
    by_search = [found[id(features[f]), id(detectors[d])] for f, d in names]
    np.testing.assert_allclose(by_search, table["auroc"], atol=1e-12)
    assert len(by_search) == 6
