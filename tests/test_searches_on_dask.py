"""Searches, calibrations and comparisons on a Dask cluster end as they do here."""

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

import featad

pytest.importorskip("distributed")


@pytest.fixture
def sent(client, monkeypatch):
    """Return a list that grows with the tasks that are sent to the workers."""
    found, submit = [], client.submit

    def counting(*args, **options):
        found.append(args[0])
        return submit(*args, **options)

    monkeypatch.setattr(client, "submit", counting)
    return found


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pixels-kmeans", {"size": 8}),
        ("mini-stats-kmeans", {"image_size": 32}),
        ("images-autoencoder", {"size": 16, "detector__max_epochs": 1}),
    ],
)
def test_a_search_has_the_same_figures(name, options, sent, stripes):
    search = GridSearchCV(
        featad.build(name, random_state=0, **options),
        {"detector__contamination": [0.1, 0.2]},
        scoring=featad.anomaly_roc_auc,
        cv=featad.OneClassKFold(2, random_state=0),
        refit=False,
    )
    here = search.fit(*stripes).cv_results_["mean_test_score"]
    with joblib.parallel_config("dask"):
        there = search.fit(*stripes).cv_results_["mean_test_score"]
    assert there.tolist() == here.tolist()
    assert sent


def test_a_calibration_has_the_same_threshold(sent, stripes):
    normal = stripes[0][:30]
    system = featad.calibrate(
        featad.build("pixels-kmeans"), target_fpr=0.1, random_state=0
    )
    here = featad.anomaly_threshold(system.fit(normal))
    with joblib.parallel_config("dask"):
        there = featad.anomaly_threshold(system.fit(normal))
    assert there == here
    assert sent


def test_a_comparison_has_the_same_scores(sent, stripes):
    systems = {
        "k-means": featad.build("pixels-kmeans"),
        "calibrated": featad.calibrate(
            featad.build("pixels-knn"), target_fpr=0.2, random_state=0
        ),
    }
    options = {"cv": 2, "return_scores": True, "n_bootstrap": 10}
    here = featad.compare(systems, *stripes, **options)[1]
    with joblib.parallel_config("dask"):
        there = featad.compare(systems, *stripes, **options)[1]
    np.testing.assert_array_equal(here["anomaly_score"], there["anomaly_score"])
    assert sent
