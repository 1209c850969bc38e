"""Ensembles of systems: common units, shared features, folds without leaks, storage."""

import joblib
import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler

import featad
from featad import KMeansDistance, Mahalanobis, NearestNeighbors, ScoreEnsemble
from featad.systems import iter_parts, set_everywhere

pytestmark = pytest.mark.filterwarnings("ignore:.* too few for target_fpr")

PARTS = np.repeat(np.arange(10), 4)


def normals(n=60, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 4))


def pair(**options):
    members = [("near", NearestNeighbors()), ("far", Mahalanobis())]
    return ScoreEnsemble(members, random_state=0, **options)


class Counted(FunctionTransformer):
    """Learn nothing; count the samples that pass."""

    seen: list = []

    def transform(self, X):
        self.seen.append(len(X))
        return super().transform(X)

    fit_transform = lambda self, X, y=None: self.transform(X)  # noqa: E731


def test_the_mean_is_that_of_what_members_say_in_common_units():
    X = normals()
    ensemble = pair().fit(X)
    expected = ensemble.member_scores(X).mean(axis=1)
    np.testing.assert_allclose(ensemble.score_samples(X), expected)


def test_max_is_the_strangest_member():
    X = normals()
    ensemble = pair(combine="max").fit(X)
    expected = ensemble.member_scores(X).min(axis=1)
    np.testing.assert_allclose(ensemble.score_samples(X), expected)


def test_weights_multiply_members():
    X = normals()
    alone = ScoreEnsemble([("far", Mahalanobis())], random_state=0).fit(X)
    weighted = pair(weights=[0, 2]).fit(X)
    np.testing.assert_allclose(weighted.score_samples(X), alone.score_samples(X))


@pytest.mark.parametrize("units", ["p-value", "robust"])
def test_the_own_units_of_members_do_not_matter(units):
    X, new = normals(), normals(seed=1)
    scaled = make_pipeline(FunctionTransformer(lambda X: 1000 * X), NearestNeighbors())
    plain = ScoreEnsemble(
        [("a", NearestNeighbors()), ("b", Mahalanobis())], units=units, random_state=0
    )
    large = clone(plain).set_params(a=scaled)
    np.testing.assert_allclose(
        large.fit(X).score_samples(new), plain.fit(X).score_samples(new), rtol=1e-6
    )


def test_units_are_of_held_out_samples_not_of_those_that_were_fitted():
    X = normals(200)
    every_sample_a_center = KMeansDistance(200, random_state=0)
    ensemble = ScoreEnsemble(
        [("a", every_sample_a_center)], units="robust", random_state=0
    ).fit(X)
    assert np.median(ensemble.score_samples(normals(300, seed=1))) > -0.3
    assert np.median(ensemble.score_samples(X)) > 1


def test_new_normal_samples_are_flagged_as_often_as_asked():
    ensemble = pair(target_fpr=0.1).fit(normals(300))
    assert (ensemble.predict(normals(2000, seed=1)) == -1).mean() == pytest.approx(
        0.1, abs=0.04
    )


def test_what_either_member_sees_the_ensemble_sees():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    first = make_pipeline(FunctionTransformer(lambda X: X[:, :1]), Mahalanobis())
    second = make_pipeline(FunctionTransformer(lambda X: X[:, 1:]), Mahalanobis())
    anomalies = np.concatenate([rng.normal([5, 0], 1, (50, 2)), [[0, 5]] * 50])
    new = np.concatenate([rng.normal(size=(200, 2)), anomalies])
    anomalous = np.repeat([False, True], [200, 100])
    ensemble = ScoreEnsemble([("a", first), ("b", second)], random_state=0).fit(X)
    found = roc_auc_score(anomalous, -ensemble.score_samples(new))
    alone = [roc_auc_score(anomalous, -s) for s in ensemble.member_scores(new).T]
    assert found > 0.97 > 0.8 > max(alone)


def test_equal_first_steps_run_once_for_all_members():
    X = normals(20)
    systems = [
        ("a", make_pipeline(Counted(), Normalizer(), NearestNeighbors())),
        ("b", make_pipeline(Counted(), Mahalanobis())),
    ]
    ensemble = ScoreEnsemble(systems)
    Counted.seen.clear()
    ensemble.fit(X)
    assert Counted.seen == [20]
    ensemble.score_samples(X[:7])
    assert Counted.seen == [20, 7]


def test_members_score_as_they_do_by_themselves():
    X = normals()
    system = make_pipeline(Normalizer(), StandardScaler(), KMeansDistance())
    ensemble = ScoreEnsemble([("a", system), ("b", Mahalanobis())], random_state=0)
    ensemble.fit(X)
    assert list(ensemble.members_["a"].named_steps) == list(system.named_steps)
    own = clone(system).set_params(
        kmeansdistance__random_state=ensemble.members_["a"][-1].random_state
    )
    np.testing.assert_allclose(
        ensemble.members_["a"].score_samples(X), own.fit(X).score_samples(X)
    )


def test_a_member_can_be_dropped_and_others_keep_their_weights():
    X = normals()
    ensemble = pair(weights=[3, 1]).set_params(near="drop").fit(X)
    assert list(ensemble.members_) == ["far"]
    alone = ScoreEnsemble([("far", Mahalanobis())], random_state=0).fit(X)
    np.testing.assert_allclose(ensemble.score_samples(X), alone.score_samples(X))


def test_a_frozen_member_is_not_fitted_again():
    frozen = FrozenEstimator(Mahalanobis().fit(normals(50, seed=5)))
    ensemble = ScoreEnsemble([("old", frozen), ("near", NearestNeighbors())])
    ensemble.fit(normals())
    expected = frozen.score_samples(normals())
    np.testing.assert_array_equal(ensemble.member_held_out_scores_[:, 0], expected)


def test_samples_labeled_anomalous_are_left_out():
    X = np.concatenate([normals(), 20 + normals(3, seed=9)])
    y = np.repeat([1, -1], [60, 3])
    ensemble = pair().fit(X, y)
    assert np.isnan(ensemble.held_out_scores_[60:]).all()
    np.testing.assert_allclose(
        ensemble.score_samples(X), pair().fit(X[:60]).score_samples(X)
    )


def test_groups_are_held_out_together():
    base = np.repeat(normals(10), 4, axis=0)
    X = base + 1e-3 * normals(40, seed=1)
    with pytest.warns(UserWarning, match="near-copies"):
        torn = pair(units="robust").fit(X)
    kept = pair(units="robust").fit(X, groups=PARTS)
    new = normals(100, seed=2)
    assert np.median(-torn.member_scores(new)[:, 0]) > 100
    assert np.median(-kept.member_scores(new)[:, 0]) < 3


def test_calibrating_an_ensemble_needs_no_further_fit():
    X = normals()
    calibrated = featad.calibrate(pair(), target_fpr=0.1).fit(X)
    inner = calibrated[-1].estimator_
    np.testing.assert_array_equal(
        calibrated[-1].held_out_scores_, inner.held_out_scores_
    )


def test_calibration_hands_groups_on():
    X = np.repeat(normals(10), 4, axis=0) + 1e-3 * normals(40, seed=1)
    calibrated = featad.calibrate(pair(), target_fpr=0.2)
    calibrated.fit(X, detector__groups=PARTS)
    expected = pair().fit(X, groups=PARTS)
    np.testing.assert_array_equal(
        calibrated[-1].held_out_scores_, expected.held_out_scores_
    )
    assert calibrated[-1].n_calibration_ == 10


def test_folds_of_a_calibration_hand_groups_on_through_a_pipeline():
    X = np.repeat(normals(10), 4, axis=0) + 1e-3 * normals(40, seed=1)
    system = featad.make_pipeline(StandardScaler(), pair(units="robust"))
    calibrated = featad.calibrate(system, target_fpr=0.2, random_state=0)
    calibrated.fit(X, detector__groups=PARTS)
    ensemble = calibrated[-1].estimator_[-1]
    assert np.median(-ensemble.member_scores(10 * normals(50))[:, 0]) < 100


def test_groups_are_routed_through_searches_and_pipelines():
    X = normals(40)
    with config_context(enable_metadata_routing=True):
        system = featad.make_pipeline(StandardScaler(), pair())
        search = GridSearchCV(
            system,
            {"scoreensemble__near__n_neighbors": [1, 2]},
            scoring=lambda *args: 0.0,
            cv=GroupKFold(2),
        )
        search.fit(X, groups=PARTS)
        direct = system.fit(X, groups=PARTS)
    np.testing.assert_array_equal(
        search.best_estimator_.score_samples(X), direct.score_samples(X)
    )
    plain = pair().fit(StandardScaler().fit_transform(X))
    assert (plain.held_out_scores_ != direct[-1].held_out_scores_).any()


def test_a_search_reaches_parameters_of_members():
    y = np.repeat([1, -1], [60, 10])
    X = np.concatenate([normals(), normals(10, seed=3) + 2])
    search = GridSearchCV(
        pair(),
        {"near__n_neighbors": [1, 3], "combine": ["mean", "max"]},
        scoring=featad.anomaly_roc_auc,
        cv=featad.OneClassKFold(2, random_state=0),
    ).fit(X, y)
    assert search.best_score_ > 0.8


def test_an_ensemble_survives_joblib_and_featad_save(tmp_path):
    X = normals()
    ensemble = pair().fit(X)
    joblib.dump(ensemble, tmp_path / "a.joblib")
    featad.save(ensemble, tmp_path / "b.joblib")
    for load, name in ((joblib.load, "a.joblib"), (featad.load, "b.joblib")):
        found = load(tmp_path / name).score_samples(X)
        np.testing.assert_allclose(found, ensemble.score_samples(X), rtol=1e-12)


def test_a_skops_file_holds_an_ensemble(tmp_path):
    pytest.importorskip("skops")
    X = normals()
    ensemble = pair().fit(X)
    featad.save(ensemble, tmp_path / "a.skops")
    found = featad.load(tmp_path / "a.skops")
    expected = ensemble.score_samples(X)  # NumPy 1 may round the last bit otherwise
    np.testing.assert_allclose(found.score_samples(X), expected, rtol=1e-12)


def test_fitted_members_are_found_among_the_parts_of_a_system():
    ensemble = pair().fit(normals())
    parts = [type(part).__name__ for part in iter_parts(ensemble)]
    assert parts == ["ScoreEnsemble", "NearestNeighbors", "Mahalanobis"]
    assert set_everywhere(ensemble, "contamination", 0.2) == 4


@pytest.mark.parametrize(
    ("estimators", "message"),
    [
        ([], "got none"),
        ([("a", "drop")], "got none"),
        ([Mahalanobis()], "got Mahalanobis"),
        ([("a", StandardScaler())], "'a' is a StandardScaler, which has no score_sam"),
        ([("a", Mahalanobis()), ("a", Mahalanobis())], "Names provided are not unique"),
    ],
)
def test_what_is_no_list_of_named_systems_is_refused(estimators, message):
    with pytest.raises(ValueError, match=message):
        ScoreEnsemble(estimators).fit(normals())


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0]])
def test_weights_that_do_not_fit_the_members_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        pair(weights=weights).fit(normals())


def test_one_warning_tells_of_copies_not_one_a_member():
    X = np.concatenate([normals(30), normals(3)])
    with pytest.warns(UserWarning, match="exact copies") as told:
        pair().fit(X)
    assert len(told) == 1


class Brightness(featad.BaseDetector):
    """An image's map is its own gray, in some unit."""

    def __init__(self, unit=1.0, *, contamination=0.05):
        self.unit = unit
        self.contamination = contamination

    def _fit(self, X):
        self.fitted_ = True

    def _strangeness(self, X):
        return self.unit * X.max(axis=(1, 2))

    def anomaly_map(self, X):
        return np.float32(self.unit) * X.astype(np.float32)


def grays(n, seed=0, size=(6, 8)):
    return np.random.default_rng(seed).uniform(0.4, 0.6, (n, *size))


def test_maps_of_members_are_added_up_in_units_of_their_normal_maps():
    members = [("a", Brightness()), ("b", Brightness(1000.0)), ("c", Mahalanobis())]
    ensemble = ScoreEnsemble(members, random_state=0).fit(grays(30))
    assert list(ensemble.map_units_) == ["a", "b"]
    found = ensemble.anomaly_map(grays(20, seed=1))
    alone = ScoreEnsemble(members[:1], random_state=0).fit(grays(30))
    np.testing.assert_allclose(
        found, alone.anomaly_map(grays(20, seed=1)), rtol=0.01, atol=0.01
    )
    assert np.median(found) == pytest.approx(0, abs=0.1)
    np.testing.assert_array_equal(
        featad.anomaly_maps(ensemble, grays(20, seed=1)), found
    )


def test_an_ensemble_has_maps_only_where_a_member_has():
    assert not hasattr(pair(), "anomaly_map")
    assert hasattr(pair().set_params(near=Brightness()), "anomaly_map")


def test_maps_are_as_large_as_the_images():
    reader = featad.ImageReader(size=(6, 8), mode="L")
    system = make_pipeline(reader, FunctionTransformer(lambda X: X[..., 0]))
    ensemble = ScoreEnsemble(
        [("a", make_pipeline(*system, Brightness()))], random_state=0
    ).fit(list(grays(10)))
    images = [grays(1, size=size)[0] for size in ((12, 16), (6, 9))]
    assert [one.shape for one in ensemble.anomaly_map(images)] == [(12, 16), (6, 9)]


def test_a_table_has_no_maps_whoever_judges_it():
    members = [("a", featad.PatchGaussian()), ("b", Mahalanobis())]
    ensemble = ScoreEnsemble(members, random_state=0).fit(normals())
    assert ensemble.map_units_ == {}
    with pytest.raises(ValueError, match="needs images"):
        ensemble.anomaly_map(normals())


def test_a_system_that_trains_networks_is_not_trained_again_for_its_maps(monkeypatch):
    trained = []
    fit = featad.Autoencoder.fit
    monkeypatch.setattr(
        featad.Autoencoder,
        "fit",
        lambda self, X, y=None: fit(self, trained.append(len(X)) or X),
    )
    detector = featad.Autoencoder(2, width=4, max_epochs=1, device="cpu")
    ensemble = ScoreEnsemble([("a", detector)], random_state=0)
    ensemble.fit(grays(20, size=(8, 8)))
    assert trained == [14]
    assert list(ensemble.map_units_) == ["a"]


@pytest.mark.data
@pytest.mark.slow
def test_statistics_and_patches_together_are_as_good_as_the_better_one(
    real_data, real_weights
):
    dataset = featad.load_folder(real_data / "mvtec_reduced" / "transistor")
    train, test = dataset.part("train"), dataset.part("test")
    ensemble = featad.build("squeezenet1_1-ensemble", weights=str(real_weights))
    detector = ensemble.fit(train.images)["detector"]
    alone = [
        featad.metrics.auroc(test.labels, -scores)
        for scores in detector.member_scores(test.images).T
    ]
    found = featad.anomaly_roc_auc(ensemble, test.images, test.labels)
    assert found >= max(alone) - 0.01
    assert found > 0.93
