"""What every detector gets from TorchDetector: labels, scaling, storing, options."""

import copy
import gc
import inspect
import pickle
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold
from torch import nn

from featad.detectors import Autoencoder
from featad.errors import WeightsChangedError
from featad.neural.detector import Stage, TorchDetector


class Toy(TorchDetector):
    """Two linear networks, one frozen, in two stages.

    Parameters
    ----------
    size : int, default=2
        Not used.
    """

    _parameter_constraints: dict = {
        **TorchDetector._parameter_constraints,
        "size": [int],
    }
    _stages = (Stage("first", trains=("a",)), Stage("second", trains=("b",)))
    _uses_labels = True
    factor = 1.0  # of the frozen network

    def __init__(self, size=2, *, max_epochs=3, **options):
        super().__init__(max_epochs=max_epochs, **options)
        self.size = size

    def _networks(self, shape):
        d = int(np.prod(shape))
        frozen = nn.Linear(d, d, bias=False).requires_grad_(False)
        with torch.no_grad():
            frozen.weight.copy_(self.factor * torch.eye(d))
        return {"a": nn.Linear(d, d), "b": nn.Linear(d, d), "frozen": frozen}

    def _error(self, net, nets, x):
        x = nets["frozen"](x.flatten(1))
        return ((net(x) - x) ** 2).mean(1)

    def _losses(self, nets, x, t):
        self_statistics = dict(t.statistics)
        assert ("center" in self_statistics) == (t.stage == "second")
        name = {"first": "a", "second": "b"}[t.stage]
        sign = torch.where(t.y == -1, -0.1, 1.0)
        yield (name,), sign * self._error(nets[name], nets, x)

    def _keep_key(self, nets, x, t):
        return self._error(nets["b"], nets, x)

    def _fit_statistics(self, nets, batches, t):
        n_samples = [sum(len(x) for x in batches) for _ in range(2)]  # twice through
        assert n_samples[0] == n_samples[1]
        center = sum(x.flatten(1).sum(0) for x in batches) / n_samples[0]
        return {"center": center, t.stage: n_samples[0]}

    def _strangeness_of(self, nets, x, t):
        distance = ((x.flatten(1) - t.statistics["center"]) ** 2).mean(1)
        return self._error(nets["b"], nets, x) + distance


@pytest.fixture
def table():
    return np.random.default_rng(0).normal(3, [1, 5, 0.1], size=(30, 3))


def test_the_signature_is_completed_from_the_base():
    parameters = inspect.signature(Toy).parameters
    assert next(iter(parameters)) == "size"
    assert parameters["max_epochs"].default == 3
    assert parameters["lr"].default == 1e-3
    assert Toy(lr=0.5).get_params()["lr"] == 0.5


def test_an_unknown_parameter_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'speed'"):
        Toy(speed=3)


def test_the_documentation_is_completed_from_the_base():
    text = inspect.getdoc(Toy)
    assert "max_epochs : int, default=3\n" in text
    assert (
        text.index("random_state :")
        < text.index("Attributes\n")
        < text.index("offset_ :")
    )
    assert text.count("\nsize : int, default=2\n") == 1


def test_stages_run_in_order_and_statistics_are_kept(table):
    detector = Toy(random_state=0).fit(table)
    assert [r["stage"] for r in detector.history_] == ["first"] * 3 + ["second"] * 3
    assert detector.statistics_["first"] == detector.statistics_["second"] == 30
    assert isinstance(detector.statistics_["center"], np.ndarray)


def test_networks_of_a_finished_stage_stay_as_they_are(table):
    class OneStage(Toy):
        _stages = Toy._stages[:1]

    one, two = OneStage(random_state=0).fit(table), Toy(random_state=0).fit(table)
    for key, value in one.networks_["a"].state_dict().items():
        assert torch.equal(value, two.networks_["a"].state_dict()[key])


def test_tables_are_standardized(table):
    detector = Toy(random_state=0).fit(table)
    np.testing.assert_allclose(detector.input_mean_, table.mean(0))
    np.testing.assert_allclose(detector.input_scale_, table.std(0))
    other = Toy(random_state=0).fit(1000 * table - 7)
    np.testing.assert_allclose(
        other.score_samples(1000 * table - 7), detector.score_samples(table), rtol=1e-4
    )


def test_a_constant_feature_is_left_unscaled(table):
    table[:, 1] = 1e6
    detector = Toy(random_state=0).fit(table)
    assert detector.input_scale_[1] == 1
    assert np.isfinite(detector.score_samples(table)).all()


def test_images_in_the_unit_range_are_taken_as_they_are(images):
    detector = Toy(max_epochs=1).fit(images)
    assert detector.input_mean_ == 0
    assert detector.input_scale_ == 1


def test_feature_maps_are_standardized_by_channel(images):
    maps = images * [1, 10, 100] - 5
    detector = Toy(max_epochs=1).fit(maps)
    np.testing.assert_allclose(detector.input_mean_, maps.mean((0, 1, 2)))
    np.testing.assert_allclose(detector.input_scale_, maps.std((0, 1, 2)))


def test_gray_images_need_no_channel_axis(images):
    gray = images[..., 0]
    scores = Autoencoder(2, width=4, max_epochs=1, random_state=0).fit(gray)
    other = clone(scores).fit(gray[..., None])
    np.testing.assert_array_equal(
        scores.score_samples(gray), other.score_samples(gray[..., None])
    )


def test_samples_with_too_many_axes_are_refused(images):
    with pytest.raises(ValueError, match=r"takes tables .* X.shape=\(24, 8, 8, 3, 1\)"):
        Toy().fit(images[..., None])


def test_labels_are_checked(table):
    with pytest.raises(ValueError, match=r"Labels must be 1 .* or 0 \(unlabeled\)"):
        Toy().fit(table, [2] * 30)
    with pytest.raises(ValueError, match="all 30 labels are -1"):
        Toy().fit(table, [-1] * 30)


def test_an_anomaly_can_be_required(table):
    class Needy(Toy):
        _needs_anomalies = True

    with pytest.raises(ValueError, match="y must hold at least one -1"):
        Needy().fit(table, [1, 0] * 15)


def test_labeled_anomalies_count_neither_for_statistics_nor_for_the_threshold(table):
    y = np.array([1] * 20 + [0] * 5 + [-1] * 5)
    detector = Toy(contamination=0.2, random_state=0).fit(table, y)
    assert detector.statistics_["first"] == 25
    assert (detector.predict(table[:25]) == -1).sum() == 5


def test_held_out_samples_are_normal(table):
    y = np.array([1] * 10 + [0] * 15 + [-1] * 5)
    detector = Toy(early_stopping=2, validation_fraction=0.5, random_state=0)
    detector._validate_params()
    detector.seed_ = 0
    held_out = detector._hold_out(y)
    assert len(held_out) == 5
    assert (y[held_out] == 1).all()


def test_one_sample_cannot_be_held_out():
    with pytest.raises(ValueError, match="1 sample"):
        Toy(early_stopping=2).fit(np.ones((1, 3)))


def test_one_sample_is_enough_otherwise():
    assert np.isfinite(Toy().fit(np.ones((1, 3))).score_samples(np.ones((1, 3)))).all()


def test_the_pickle_holds_plain_arrays_and_nothing_frozen(table):
    stored = Toy(random_state=0).fit(table).__getstate__()["networks_"]
    assert isinstance(stored["frozen"], str)  # a hash
    for name in ("a", "b"):
        assert {type(value) for value in stored[name].values()} == {np.ndarray}


def test_a_stored_detector_scores_and_stores_the_same(table):
    detector = Toy(random_state=0).fit(table)
    stored = pickle.dumps(detector)
    for other in (pickle.loads(stored), copy.deepcopy(detector), copy.copy(detector)):
        np.testing.assert_array_equal(
            other.score_samples(table), detector.score_samples(table)
        )
        assert not any(w.requires_grad for w in other.networks_["a"].parameters())


def test_an_unfitted_detector_can_be_stored():
    assert pickle.loads(pickle.dumps(Toy(lr=0.5))).lr == 0.5
    with pytest.raises(NotFittedError):
        pickle.loads(pickle.dumps(Toy())).score_samples(np.ones((2, 3)))


def test_a_frozen_network_that_changed_is_an_error(table, monkeypatch):
    stored = pickle.dumps(Toy().fit(table))
    monkeypatch.setattr(Toy, "factor", 2.0)
    detector = pickle.loads(stored)
    for use in (detector.check_weights, lambda: detector.score_samples(table)):
        with pytest.raises(WeightsChangedError, match="'frozen' of Toy is not the one"):
            use()


def test_networks_are_built_on_first_use_and_once_whatever_the_threads(
    table, monkeypatch
):
    detector = Toy(random_state=0).fit(table)
    expected, stored = detector.score_samples(table), pickle.dumps(detector)
    built, build = [], Toy._networks
    monkeypatch.setattr(Toy, "_networks", lambda *a: built.append(1) or build(*a))
    loaded = pickle.loads(stored)
    assert not built
    start = threading.Barrier(4)

    def score(_):
        start.wait()
        return loaded.score_samples(table)

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(score, range(4)))
    assert len(built) == 1
    np.testing.assert_array_equal(found, [expected] * 4)


def test_a_detector_that_was_fitted_again_forgets_its_first_networks(table):
    detector = Toy(random_state=0).fit(table)
    detector.set_params(max_epochs=9).fit(table)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(detector)).score_samples(table),
        detector.score_samples(table),
    )


def test_networks_are_freed_with_their_detector(table):
    detector = Toy().fit(table)
    network = weakref.ref(detector.networks_["a"])
    del detector
    gc.collect()
    assert network() is None


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_a_fit_for_a_gpu_scores_without_one(device, table, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    detector = Toy(random_state=0, device="cpu").fit(table)
    expected = detector.score_samples(table)
    detector = pickle.loads(pickle.dumps(detector.set_params(device=device)))
    with pytest.warns(UserWarning, match=f"set to device='{device}', but torch finds"):
        np.testing.assert_array_equal(detector.score_samples(table), expected)
    with pytest.raises(ValueError, match="torch finds"):
        detector.fit(table)


def test_an_unknown_device_is_refused(table):
    with pytest.raises(ValueError, match="device should be 'auto'"):
        Toy(device="quantum").fit(table)


def test_zero_epochs_leave_the_networks_untrained(table):
    detector = Toy(max_epochs=0, random_state=0).fit(table)
    assert detector.history_ == []
    first = detector._build()["a"].state_dict()
    assert torch.equal(detector.networks_["a"].weight, first["weight"])


def test_the_size_of_scoring_batches_does_not_matter(table):
    detector = Toy(random_state=0).fit(table)
    expected = detector.score_samples(table)
    detector.score_batch_size = 7
    np.testing.assert_allclose(detector.score_samples(table), expected, rtol=1e-5)


def test_trim_zero_is_the_untrimmed_fit_to_the_bit(table):
    plain = Toy(random_state=0).fit(table)
    np.testing.assert_array_equal(
        Toy(random_state=0, trim=0.0).fit(table).score_samples(table),
        plain.score_samples(table),
    )
    assert (plain.trimmed_share_ == 0).all()


def test_trimming_reports_the_odd_samples(table):
    table[4] += 100
    detector = Toy(random_state=0, trim=0.05, max_epochs=20, lr=0.03).fit(table)
    assert detector.trimmed_share_.argmax() == 4


def test_without_a_map_there_is_no_anomaly_map(table, images):
    assert not hasattr(Toy(), "anomaly_map")
    assert hasattr(Autoencoder(), "anomaly_map")
    detector = Autoencoder(2, width=4, max_epochs=1).fit(table)
    with pytest.raises(ValueError, match="anomaly_map needs images"):
        detector.anomaly_map(table)


def _threads():
    return torch.get_num_threads()


def test_workers_share_the_processors(monkeypatch):
    n_jobs = 2
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # workers would keep to it
    n_threads = Parallel(n_jobs=n_jobs)(delayed(_threads)() for _ in range(4))
    assert max(n_threads) * n_jobs <= max(n_jobs, torch.multiprocessing.cpu_count())


def test_a_grid_search_in_two_processes_finds_what_one_finds():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 6)) + 0.05 * rng.normal(
        size=(60, 6)
    )
    odd = rng.normal(size=(20, 6))
    X, y = np.concatenate([X, odd]), np.repeat([1, -1], [60, 20])
    folds = [(train[y[train] == 1], test) for train, test in
             KFold(2, shuffle=True, random_state=0).split(X)]  # fmt: skip
    detector = Autoencoder(random_state=0, depth=0, noise=0, max_epochs=60, lr=0.02)
    grids = [
        GridSearchCV(
            detector, {"latent_dim": [1, 2]}, cv=folds, scoring="roc_auc", n_jobs=n_jobs
        ).fit(X, y)
        for n_jobs in (None, 2)
    ]
    np.testing.assert_allclose(
        *(grid.cv_results_["mean_test_score"] for grid in grids), atol=1e-3
    )
    assert grids[0].best_params_ == {"latent_dim": 2}


def test_a_trained_network_beats_its_untrained_self_and_pca():
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 400)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1) + 0.05 * rng.normal(
        size=(400, 2)
    )
    odd = rng.uniform(-1.2, 1.2, size=(200, 2))
    odd = odd[np.abs(np.linalg.norm(odd, axis=1) - 1) > 0.25]
    X, y = np.concatenate([ring[300:], odd]), np.repeat([1, -1], [100, len(odd)])

    def auroc(**options):
        detector = Autoencoder(1, noise=0, random_state=0, lr=3e-3, **options)
        return roc_auc_score(y, detector.fit(ring[:300]).score_samples(X))

    pca = PCA(1).fit(ring[:300])
    error = ((X - pca.inverse_transform(pca.transform(X))) ** 2).sum(1)
    trained = auroc(max_epochs=150)
    assert trained > max(auroc(max_epochs=0), roc_auc_score(-y, error), 0.8)
