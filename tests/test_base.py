"""The detector contract: one door for samples, one for labels, one negation."""

import pickle
import re
import textwrap
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from featad._validation import check_labels, check_samples
from featad.base import BaseDetector, anomaly_scores, anomaly_threshold
from featad.calibration import calibrate
from featad.detectors import Autoencoder, KMeansDistance


class MeanDistance(BaseDetector):
    """Distance to the mean: the least a subclass has to write."""

    def _fit(self, X):
        self.mean_ = X.mean(axis=0)

    def _strangeness(self, X):
        return np.linalg.norm((X - self.mean_).reshape(len(X), -1), axis=1)


TABLE = np.random.default_rng(0).normal(size=(40, 3))


def test_the_score_is_the_negated_strangeness():
    detector = MeanDistance().fit(TABLE)
    expected = -np.linalg.norm(TABLE - TABLE.mean(axis=0), axis=1)
    np.testing.assert_allclose(detector.score_samples(TABLE), expected)


def test_the_threshold_is_the_contamination_quantile_of_the_training_scores():
    detector = MeanDistance(contamination=0.2).fit(TABLE)
    assert detector.offset_ == np.percentile(detector.score_samples(TABLE), 20)
    assert (detector.predict(TABLE) == -1).sum() == 8


def test_the_decision_is_the_score_less_the_threshold():
    detector = MeanDistance().fit(TABLE)
    np.testing.assert_array_equal(
        detector.decision_function(TABLE),
        detector.score_samples(TABLE) - detector.offset_,
    )


def test_scoring_before_fit_is_refused():
    with pytest.raises(NotFittedError):
        MeanDistance().predict(TABLE)


def test_values_that_overflow_are_refused_not_scored():
    detector = MeanDistance().fit(TABLE)
    with (
        np.errstate(over="ignore"),
        pytest.raises(ValueError, match=r"cannot score sample 1 .* Scale X"),
    ):
        detector.score_samples([[0, 0, 0], [1e200, 1e200, 1e200]])


def test_a_detector_says_that_it_takes_image_batches():
    assert MeanDistance().__sklearn_tags__().input_tags.three_d_array


def test_there_is_no_score_method_that_could_be_mistaken():
    assert not hasattr(MeanDistance(), "score")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_keep_their_precision(dtype):
    X = check_samples(MeanDistance(), TABLE.astype(dtype), reset=True)
    assert X.dtype == dtype


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, bool])
def test_everything_else_becomes_float64(dtype):
    X = check_samples(MeanDistance(), np.ones((2, 3), dtype), reset=True)
    assert X.dtype == np.float64


@pytest.mark.parametrize("shape", [(5, 7), (5, 4, 6), (5, 4, 6, 3)])
def test_tables_gray_and_color_batches_are_taken(shape):
    detector = MeanDistance().fit(np.random.default_rng(0).normal(size=shape))
    assert detector.sample_shape_ == shape[1:]
    assert detector.n_features_in_ == np.prod(shape[1:])


def test_a_foreign_shape_is_refused_with_both_shapes(images):
    detector = MeanDistance().fit(images)
    message = (
        r"MeanDistance was fitted on samples of shape \(8, 8, 3\), but X has samples "
        r"of shape \(4, 8, 3\)"
    )
    with pytest.raises(ValueError, match=message):
        detector.predict(images[:, :4])


def test_a_missing_batch_axis_is_refused_with_the_way_out(images):
    detector = MeanDistance().fit(images)
    with pytest.raises(ValueError, match=r"Pass X\[None\] to score one image"):
        detector.predict(images[0])


def test_images_are_not_taken_for_the_table_a_detector_was_fitted_on(images):
    detector = MeanDistance().fit(images.reshape(24, -1))
    with pytest.raises(ValueError, match=r"samples of shape \(192,\)"):
        detector.predict(images)


def test_other_columns_than_in_fit_are_refused():
    frame = pd.DataFrame(TABLE, columns=list("abc"))
    detector = MeanDistance().fit(frame)
    assert list(detector.feature_names_in_) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="feature names should match"):
        detector.predict(frame[["c", "b", "a"]])


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.full((2, 4, 4), np.nan), ValueError, "contains NaN"),
        (np.full((2, 4, 4), np.inf), ValueError, "contains infinity"),
        (np.empty((0, 4, 4)), ValueError, "0 sample"),
        (np.ones(4), ValueError, "Reshape your data"),
        (sparse.csr_matrix(TABLE), TypeError, "[Ss]parse"),
        (["a.png", "b.png"], ValueError, "could not convert|Reshape your data"),
    ],
)
def test_what_is_no_batch_of_numbers_is_refused(X, error, message):
    with pytest.raises(error, match=message):
        MeanDistance().fit(X)


def test_contamination_out_of_range_is_refused():
    with pytest.raises(ValueError, match="'contamination' parameter of MeanDistance"):
        MeanDistance(contamination=0.6).fit(TABLE)


@pytest.mark.parametrize(
    "system", [MeanDistance(), OneClassSVM(), LocalOutlierFactor(novelty=True)]
)
def test_anomaly_scores_are_high_for_an_anomaly(system):
    scores = anomaly_scores(system.fit(TABLE), np.vstack([TABLE, [[9, 9, 9]]]))
    assert scores.shape == (41,)
    assert scores.dtype == np.float64
    assert scores.argmax() == 40


def test_anomaly_scores_fall_back_to_the_decision_function():
    y = np.where(TABLE[:, 0] > 1, -1, 1)
    system = LogisticRegression().fit(TABLE, y)
    assert anomaly_scores(system, TABLE).argmax() == TABLE[:, 0].argmax()


def test_anomaly_scores_of_something_without_scores_are_refused():
    with pytest.raises(TypeError, match="StandardScaler has neither"):
        anomaly_scores(StandardScaler().fit(TABLE), TABLE)


@pytest.mark.parametrize("y", [[1, -1, 1], (1.0, -1.0, 1.0), pd.Series([1, -1, 1])])
def test_labels_come_back_as_integers(y):
    labels = check_labels(y)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, [1, -1, 1])


@pytest.mark.parametrize("y", [[0, 1, 1], [0, 0], [False, True], np.array([0.0, 1.0])])
def test_zero_one_labels_are_refused_with_the_way_out(y):
    with pytest.raises(ValueError, match=r"np\.where\(y == 1, -1, 1\)"):
        check_labels(y)


@pytest.mark.parametrize(
    "y", [["good", "bad"], [1, np.nan], [1, 2], [None, 1], [1, -1, 0], [True, True]]
)
def test_other_labels_are_refused(y):
    with pytest.raises(ValueError, match=r"1 \(normal\) or -1 \(anomalous\), but y"):
        check_labels(y)


@pytest.mark.parametrize(
    ("y", "way_out"),
    [
        (["good", "bad"], r"np.where\(y == 'good', 1, -1\)"),
        (["NG", "OK"], r"np.where\(y == 'OK', 1, -1\)"),
        (["cat", "dog"], r"np.where\(y == WORD, 1, -1\)"),
        (["1", "-1"], r"y.astype\(int\)"),
    ],
)
def test_words_are_refused_with_the_way_out(y, way_out):
    with pytest.raises(ValueError, match=way_out):
        check_labels(y)


@pytest.mark.parametrize(
    "system",
    [
        KMeansDistance(1),
        Autoencoder(max_epochs=0),
        make_pipeline(KMeansDistance(1)),
        calibrate(KMeansDistance(1)),
    ],
)
def test_labels_that_are_words_are_never_trained_on(system):
    with pytest.raises(ValueError, match="y == 'good'"):
        system.fit(np.eye(5), np.array(["good"] * 4 + ["bad"]))


def test_unlabeled_samples_can_be_allowed():
    np.testing.assert_array_equal(
        check_labels([1, 0, -1], allow_unlabeled=True), [1, 0, -1]
    )


def test_a_wrong_number_of_labels_is_refused():
    with pytest.raises(ValueError, match="2 labels, but there are 3 samples"):
        check_labels([1, -1], n_samples=3)


def test_labels_in_a_column_are_refused():
    with pytest.raises(ValueError, match=r"one label per sample, .*\(2, 1\)"):
        check_labels([[1], [-1]])


@pytest.mark.parametrize(("y", "missing"), [([1, 1], "-1"), ([-1], "1")])
def test_a_missing_kind_is_refused_where_both_are_needed(y, missing):
    with pytest.raises(ValueError, match=f"there is no {missing} among"):
        check_labels(y, needs_both=True)


def test_many_wrong_labels_are_named_in_a_short_message():
    with pytest.raises(ValueError, match=r"2, 3, 4, 5, 6, \.\.\."):
        check_labels(np.arange(2, 1000))


def test_the_threshold_of_a_system_is_that_of_its_last_step_negated():
    system = make_pipeline(StandardScaler(), MeanDistance()).fit(TABLE)
    assert anomaly_threshold(system) == -system[-1].offset_
    above = anomaly_scores(system, TABLE) > anomaly_threshold(system)
    np.testing.assert_array_equal(above, system.predict(TABLE) == -1)


def test_the_threshold_is_found_through_a_search():
    search = GridSearchCV(
        MeanDistance(), {"contamination": [0.2]}, scoring=lambda *_: 0.0
    ).fit(TABLE)
    assert anomaly_threshold(search) == -search.best_estimator_.offset_


def test_a_system_without_a_threshold_is_refused_with_the_way_out():
    with pytest.raises(TypeError, match=r"no threshold .* featad\.calibrate"):
        anomaly_threshold(StandardScaler().fit(TABLE))


def test_a_threshold_before_fit_is_refused():
    with pytest.raises(NotFittedError):
        anomaly_threshold(MeanDistance())


def test_the_plain_detector_of_the_contributing_page_is_whole(tmp_path, monkeypatch):
    page = Path(__file__).parents[1] / "CONTRIBUTING.md"
    (code,) = re.findall(
        r"   ```python\n(   .*?MeanDistance.*?)   ```",
        page.read_text("utf-8"),
        re.DOTALL,
    )
    (tmp_path / "mean_distance.py").write_text(textwrap.dedent(code), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    detector = import_module("mean_distance").MeanDistance(contamination=0.2)
    assert detector.get_params() == {"contamination": 0.2}
    assert "contamination : float" in type(detector).__doc__
    X = np.random.default_rng(0).normal(size=(50, 3))
    fitted = pickle.loads(pickle.dumps(clone(detector).fit(X)))
    assert (fitted.predict(X) == -1).mean() == pytest.approx(0.2)
    assert fitted.predict([[9, 9, 9]]) == [-1]
