"""What holds for one machine stays on it: paths, devices, folders, threads."""

import io
import os
import pickle
import pickletools
from pathlib import Path, PurePosixPath

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.ensemble import IsolationForest
from sklearn.model_selection import GridSearchCV

import featad
from featad._device import usable_device
from featad.calibration import CalibratedDetector, calibrate
from featad.detectors import KMeansDistance, PerceptualAutoencoder
from featad.features import BackboneFeatures
from featad.features.weights import load_network
from featad.images import ImageReader
from featad.machine import portable_copy, set_machine_params
from featad.persistence import load, save
from featad.pipeline import Pipeline, make_pipeline
from featad.registry import build
from featad.systems import iter_parts_and_templates
from featad.trimming import TrimmedDetector

FOLDER = PurePosixPath("a-folder-of-this-machine")
PUBLIC = [getattr(featad, name) for name in featad.__all__]
ESTIMATORS = [c for c in PUBLIC if isinstance(c, type) and issubclass(c, BaseEstimator)]
WITH_PATHS = [
    (cls, name)
    for cls in ESTIMATORS
    for name, accepted in getattr(cls, "_parameter_constraints", {}).items()
    if os.PathLike in accepted
]


def names_in(dumped):
    """Return all strings in a pickle, names of modules among them."""
    return {str(value) for _, value, _ in pickletools.genops(dumped) if value}


@pytest.mark.parametrize(("cls", "name"), WITH_PATHS)
def test_a_path_is_a_string_in_the_dump(cls, name):
    estimator = cls(**{name: Path("w.pth")})
    for protocol in (2, pickle.HIGHEST_PROTOCOL):
        dumped = pickle.dumps(estimator, protocol)
        assert not [found for found in names_in(dumped) if "pathlib" in found]
        assert getattr(pickle.loads(dumped), name) == "w.pth"


def test_paths_are_looked_for_in_every_estimator_that_takes_them():
    assert {name for _, name in WITH_PATHS} == {"cache", "weights"}
    assert len({cls for cls, _ in WITH_PATHS}) == 5


@pytest.fixture
def weights(tmp_path):
    """Return the path of a file of weights."""
    file = tmp_path / "here" / "w.pth"
    file.parent.mkdir()
    torch.save(load_network("squeezenet1_1", None, 0)[0].state_dict(), file)
    return file


def perceptual(weights, **options):
    return PerceptualAutoencoder(
        arch="squeezenet1_1", layer="features.1", weights=weights, width=4,
        max_epochs=1, random_state=0, **options,
    )  # fmt: skip


def test_a_fitted_detector_holds_no_path(images, weights):
    dumped = pickle.dumps(perceptual(weights).fit(images))
    assert not [found for found in names_in(dumped) if "pathlib" in found]


def nested_systems(images, weights, tmp_path):
    """Yield systems whose parts lie deep, fitted."""
    options = {"device": "cpu", "cache": tmp_path / FOLDER, "n_jobs": 1}
    features = BackboneFeatures(
        "squeezenet1_1", weights=weights, image_size=32, verbose=True, **options
    )
    yield make_pipeline(features, KMeansDistance(2)).fit(images)
    yield calibrate(
        make_pipeline(features, TrimmedDetector(KMeansDistance(2))), cv=2
    ).fit(images)
    y = np.where(np.arange(24) % 4, 1, -1)
    yield GridSearchCV(
        Pipeline([("features", features), ("detector", IsolationForest(n_jobs=1))]),
        {"features__cache": [tmp_path / FOLDER]},
        scoring="roc_auc",
        cv=2,
        n_jobs=1,
    ).fit(images, y)
    detector = perceptual(weights, device="cpu", verbose=True)
    yield make_pipeline(ImageReader(n_jobs=1), calibrate(detector, cv=2)).fit(images)


def test_a_saved_system_holds_no_path_folder_device_or_threads(
    images, weights, tmp_path
):
    usual = {"device": "auto", "cache": None, "n_jobs": None, "memory": None}
    for system in nested_systems(images, weights, tmp_path):
        before = repr(system.get_params())
        save(system, tmp_path / "m.joblib")
        assert repr(system.get_params()) == before
        loaded = load(tmp_path / "m.joblib")
        for part in iter_parts_and_templates(loaded):
            params = part.get_params(deep=False)
            for name in usual.keys() & params.keys():
                assert params[name] == usual[name], (part, name)
        file = io.BytesIO()
        joblib.dump(loaded, file)
        assert b"pathlib" not in file.getvalue()
        np.testing.assert_array_equal(
            loaded.score_samples(images), system.score_samples(images)
        )


def test_a_grid_of_paths_is_saved_as_strings():
    grid = GridSearchCV(
        perceptual(None), {"weights": [FOLDER]}, scoring="roc_auc", cv=2
    )
    grid.cv_results_ = {"params": [{"weights": FOLDER}]}
    copy = portable_copy(grid)
    assert copy.cv_results_ == {"params": [{"weights": str(FOLDER)}]}
    assert grid.param_grid == {"weights": [FOLDER]}


def test_a_portable_copy_shares_the_arrays():
    detector = featad.NearestNeighbors().fit(np.random.default_rng(0).random((9, 4)))
    copy = portable_copy(detector)
    shared = [
        name
        for name, value in vars(detector).items()
        if isinstance(value, np.ndarray) and vars(copy)[name] is value
    ]
    assert shared


@pytest.mark.parametrize(
    "system",
    [
        build("images-autoencoder"),
        calibrate(build("images-autoencoder")),
        TrimmedDetector(build("images-autoencoder")),
        GridSearchCV(build("images-autoencoder"), {}),
        GridSearchCV(CalibratedDetector(build("images-autoencoder")), {}),
    ],
    ids=["pipeline", "calibrated", "trimmed", "searched", "searched-calibrated"],
)
def test_a_device_reaches_every_part(system):
    assert set_machine_params(system, device="cpu", verbose=True)
    found = [
        part.get_params(deep=False)
        for part in iter_parts_and_templates(system)
        if "device" in part.get_params(deep=False)
    ]
    assert found
    assert all((p["device"], p["verbose"]) == ("cpu", True) for p in found)


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "mps"])
def test_a_dump_of_another_machine_extracts_features_on_the_usual_device(
    device, images, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    system = build("squeezenet1_1-knn", weights=None, image_size=32).fit(images)
    expected = system.score_samples(images)
    system["features"].device = device
    loaded = pickle.loads(pickle.dumps(system))
    with pytest.warns(UserWarning, match=f"device='{device}', but torch finds"):
        np.testing.assert_array_equal(loaded.score_samples(images), expected)
    with pytest.warns(UserWarning, match="but torch finds"):
        names = loaded["features"].get_feature_names_out()
    assert len(names) == system["features"].set_params(device="cpu").n_features_out_


def test_a_second_gpu_that_is_missing_is_replaced_by_the_first(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    with pytest.warns(UserWarning, match="finds 1 CUDA GPUs here: cuda:0 is used"):
        assert usable_device("cuda:1") == torch.device("cuda", 0)
    with pytest.raises(ValueError, match="device should be 'auto'"):
        usable_device("quantum")


def test_no_array_goes_to_float64_on_a_gpu(images, monkeypatch):
    """Apple's GPUs have no float64, so tensors are moved to the CPU before."""
    moved = []
    cpu, double = torch.Tensor.cpu, torch.Tensor.double

    def to_cpu(tensor):
        moved.append(cpu(tensor).clone())  # kept alive, so that no id comes twice
        return moved[-1]

    def to_double(tensor):
        assert any(tensor is one for one in moved), "float64 before .cpu()"
        return double(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", to_cpu)
    monkeypatch.setattr(torch.Tensor, "double", to_double)
    for cls in (featad.VAERestoration, featad.ContrastTranslation):
        cls(width=4, max_epochs=1, random_state=0).fit(images).score_samples(images)
