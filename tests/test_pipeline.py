"""Pipelines, and so searches, learn from normal samples alone."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_validate,
)
from sklearn.pipeline import make_pipeline as plain_pipeline
from sklearn.preprocessing import StandardScaler

from featad import (
    Autoencoder,
    BackboneFeatures,
    CalibratedDetector,
    KMeansDistance,
    Mahalanobis,
    OneClassKFold,
    TrimmedDetector,
    anomaly_roc_auc,
    anomaly_scores,
    make_pipeline,
)
from featad.metrics import auroc


@pytest.fixture(scope="module")
def blobs():
    """Return 60 normal and 30 anomalous samples in 4 dimensions, and fresh ones."""

    def draw(seed):
        rng = np.random.default_rng(seed)
        normal, anomalous = rng.normal(size=(60, 4)), 6 + rng.normal(size=(30, 4))
        return np.r_[normal, anomalous], np.repeat([1, -1], [60, 30])

    return *draw(0), *draw(1)


def system():
    return make_pipeline(StandardScaler(), PCA(), KMeansDistance(random_state=0))


def area(fitted, X, y):
    return auroc(y, anomaly_scores(fitted, X))


SEARCHES = {
    "grid": lambda one, grid, **kw: GridSearchCV(one, grid, **kw),
    "random": lambda one, grid, **kw: RandomizedSearchCV(
        one, grid, n_iter=2, random_state=0, **kw
    ),
    "halving": lambda one, grid, **kw: HalvingGridSearchCV(
        one, grid, min_resources=30, random_state=0, return_train_score=False, **kw
    ),
}


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_ends_with_what_a_fit_on_normal_samples_gives(search, blobs):
    X, y, X_new, y_new = blobs
    options = {"scoring": anomaly_roc_auc, "cv": OneClassKFold(3, random_state=0)}
    grid = {"kmeansdistance__n_clusters": [2, 4]}
    found = SEARCHES[search](system(), grid, **options).fit(X, y)
    expected = clone(found.best_estimator_).fit(X[y == 1])
    np.testing.assert_array_equal(
        found.best_estimator_.score_samples(X_new), expected.score_samples(X_new)
    )
    assert area(found.best_estimator_, X_new, y_new) > 0.99


def test_estimators_of_cross_validation_are_fitted_on_normal_samples(blobs):
    X, y, X_new, y_new = blobs
    options = {
        "cv": StratifiedKFold(3),
        "scoring": anomaly_roc_auc,
        "return_estimator": True,
    }
    found = cross_validate(system(), X, y, **options)
    assert min(area(one, X_new, y_new) for one in found["estimator"]) > 0.99


def test_a_nested_search_ends_well(blobs):
    X, y, X_new, y_new = blobs
    inner = GridSearchCV(
        system(), {"kmeansdistance__n_clusters": [2, 4]}, scoring=anomaly_roc_auc,
        cv=OneClassKFold(2, random_state=0),
    )  # fmt: skip
    found = cross_validate(inner, X, y, cv=StratifiedKFold(3), return_estimator=True)
    areas = [area(one.best_estimator_, X_new, y_new) for one in found["estimator"]]
    assert min(areas) > 0.99
    assert found["test_score"].min() > 0.99


def test_no_step_sees_an_anomaly(blobs):
    X, y, *_ = blobs
    fitted = system().fit(X, y)
    np.testing.assert_allclose(fitted[0].mean_, X[y == 1].mean(axis=0))
    assert fitted[-1].kmeans_.labels_.shape == (60,)


def test_unlabeled_samples_stay(blobs):
    X, y, *_ = blobs
    fitted = system().fit(X, np.where(np.arange(90) < 10, 0, y))
    assert fitted[0].n_samples_seen_ == 60


@pytest.mark.parametrize("y", [None, [1] * 90, [0] * 90])
def test_without_anomalies_all_samples_are_taken(y, blobs):
    assert system().fit(blobs[0], y)[0].n_samples_seen_ == 90


def test_paths_and_other_lists_are_cut(tmp_path, image_folder):
    from featad import ImageReader, list_images

    paths = list_images(image_folder)
    y = [1, 1, 1, 1, 1, -1]
    fitted = make_pipeline(ImageReader(8, flatten=True), KMeansDistance(1)).fit(
        paths, y
    )
    assert fitted[-1].kmeans_.labels_.shape == (5,)


def test_parameters_of_a_step_are_cut_like_the_samples(blobs):
    X, y, *_ = blobs
    weights = np.where(y == 1, 1.0, 1e6)
    fitted = make_pipeline(StandardScaler(), Mahalanobis()).fit(
        X, y, standardscaler__sample_weight=weights
    )
    np.testing.assert_allclose(fitted[0].mean_, X[y == 1].mean(axis=0))


@pytest.mark.parametrize("wrap", [CalibratedDetector, TrimmedDetector])
def test_a_detector_that_learns_from_anomalies_gets_them(wrap, blobs):
    X, y, *_ = blobs
    learner = Autoencoder(anomaly_weight=0.5, max_epochs=1, random_state=0)
    for detector in (learner, wrap(learner)):
        assert (
            make_pipeline(StandardScaler(), detector).fit(X, y)[0].n_samples_seen_ == 90
        )


def test_contamination_can_be_studied(blobs):
    X, y, *_ = blobs
    fitted = system().set_params(drop_anomalies=False).fit(X, y)
    assert fitted[0].n_samples_seen_ == 90


def test_a_slice_keeps_the_choice():
    assert not system().set_params(drop_anomalies=False)[:2].drop_anomalies


def test_fit_predict_labels_all_samples(blobs):
    X, y, *_ = blobs
    labels = system().fit_predict(X, y)
    assert labels.shape == (90,)
    assert (labels[y == -1] == -1).all()


def test_anomalies_alone_are_refused():
    with pytest.raises(ValueError, match="all 2 labels are -1"):
        system().fit([[0.0], [1.0]], [-1, -1])


def test_it_is_a_pipeline_of_scikit_learn():
    assert isinstance(system(), type(plain_pipeline()))


def test_blocks_of_data_frames_have_the_names_of_their_columns(images, recwarn):
    features = BackboneFeatures(
        "squeezenet1_1", layer="features.3", weights=None, image_size=20
    ).set_output(transform="pandas")
    system = make_pipeline(features, StandardScaler(), KMeansDistance(1))
    scores = system.fit(images).score_samples(images)
    plain = plain_pipeline(*(step for _, step in system.steps))
    np.testing.assert_allclose(scores, plain.score_samples(images), rtol=1e-5)
    assert not len(recwarn)


@pytest.mark.parametrize(
    "detector", [KMeansDistance(2), Autoencoder(max_epochs=1, device="cpu")]
)
def test_a_detector_warns_of_anomalies_it_does_not_use(detector, blobs):
    X, y, *_ = blobs
    with pytest.warns(UserWarning, match="30 .* labeled -1 .* featad.make_pipeline"):
        clone(detector).fit(X, y)


def test_a_detector_that_uses_anomalies_does_not_warn(blobs, recwarn):
    X, y, *_ = blobs
    Autoencoder(anomaly_weight=0.5, max_epochs=1, device="cpu").fit(X, y)
    assert not len(recwarn)
