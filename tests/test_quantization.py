"""In int8, a network is rounded as training images say; a model keeps the ranges."""

import importlib.util
import io
import pickle
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

import featad
from featad.errors import ImageReadError, MissingExtraError
from featad.features import BackboneFeatures, PatchFeatures, engines
from featad.features.extractor import load_extractor
from featad.features.precision import smallest_cosine
from featad.features.quantization import Quantized, RangesError
from featad.persistence import load, save

needs_nncf = pytest.mark.skipif(
    importlib.util.find_spec("nncf") is None, reason="NNCF is not installed"
)
pytestmark = needs_nncf


def small(**parameters):
    """Return features of a small network at a small size, in int8."""
    usual = {"arch": "resnet18", "layer": "layer1", "weights": None, "image_size": 32}
    usual |= {"engine": "openvino", "precision": "int8"}
    return BackboneFeatures(**usual | parameters)


@pytest.fixture(scope="module")
def fitted(images):
    """Return features that were fitted on the first 12 images."""
    return small().fit(images[:12])


@pytest.fixture(scope="module")
def files(images):
    """Return the images as the contents of PNG files."""
    contents = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray((image * 255).astype(np.uint8)).save(file, "png")
        contents.append(file.getvalue())
    return contents


# --- what the features are


def test_features_are_close_to_those_of_float32(fitted, images):
    usual = small(engine="torch", precision="float32").transform(images)
    found = fitted.transform(images)
    assert not np.array_equal(found, usual)
    assert smallest_cosine(found, usual) > 0.98


@pytest.mark.parametrize(
    "features",
    [
        PatchFeatures("vgg_mini", image_size=32, engine="openvino", precision="int8"),
        small(arch="vgg_mini", layer=None, weights="default", image_size=64),
        small(arch="swin_t", layer="features.1"),
    ],
    ids=["patches", "statistics", "transformer"],
)
def test_other_networks_are_rounded_too(features, images):
    usual = clone(features).set_params(precision="float32").fit_transform(images[:4])
    found = features.fit(images[:4]).transform(images[:4])
    assert not np.array_equal(found, usual)
    assert smallest_cosine(found, usual) > 0.97


def test_a_network_is_rounded_exactly_as_nncf_rounds_it(images, monkeypatch):
    import nncf

    made = []
    quantize = nncf.quantize
    monkeypatch.setattr(
        nncf, "quantize", lambda *a, **k: made.append(quantize(*a, **k)) or made[0]
    )
    features = small(image_size=33).fit(images[:3])
    extractor = load_extractor(*features._network_key())
    x = extractor._standardized(_pixels(33))
    compiled = engines.load_openvino().Core().compile_model(made[0], "CPU")
    expected = engines._run(compiled, x)
    found = extractor._run_network(x, features._rounding())
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-5)


def _pixels(size):
    import torch

    noise = np.random.default_rng(0).random((2, size, size, 3))
    return torch.from_numpy(noise.astype(np.float32))


# --- what they depend on


def test_ranges_reach_to_the_extremes_of_all_images(images):
    dim, bright = images[:1] / 4, images[1:2]
    alone, both = (
        [
            np.abs(each["limits"]).max()
            for each in small(image_size=35).fit(parts).quantization_
        ]
        for parts in (bright, np.concatenate([dim, dim, bright]))
    )
    assert np.all(np.array(both) >= np.array(alone) * (1 - 1e-6))


def test_the_same_images_give_the_same_network(fitted, images):
    again = small().fit(images[:12])
    assert again.extractor_fingerprint() == fitted.extractor_fingerprint()


def test_other_images_give_another_fingerprint(fitted, images):
    other = small().fit(images[12:])
    assert other.extractor_fingerprint() != fitted.extractor_fingerprint()


def test_features_of_other_ranges_are_not_found_in_a_cache(images, tmp_path):
    one = small(cache=tmp_path).fit(images[:12])
    other = small(cache=tmp_path).fit(images[12:])
    first = one.transform(images)
    assert not np.array_equal(other.transform(images), first)
    np.testing.assert_array_equal(one.transform(images), first)


def test_the_same_images_are_measured_once(images, monkeypatch):
    features = small(image_size=34).fit(images[:3])
    monkeypatch.setattr(engines, "measure_ranges", None)
    assert features._rounding() == small(image_size=34).fit(images[:3])._rounding()


def test_at_most_64_images_are_measured(fitted, images, monkeypatch):
    taken = []
    monkeypatch.setattr(
        engines.OpenVINOEngine, "measure_ranges", lambda self, x: taken.append(x) or []
    )
    small().fit(np.repeat(images, 3, axis=0))
    assert len(taken[0]) == 64


def test_images_that_cannot_be_read_are_left_out_or_an_error(files):
    mixed = [*files[:3], b"no image"]
    with pytest.raises(ImageReadError):
        small().fit(mixed)
    assert hasattr(small(on_error="skip").fit(mixed), "quantization_")
    with pytest.raises(ImageReadError):
        small(on_error="skip").fit([b"no image"])


# --- what is said without them


@pytest.mark.parametrize("precision", ["int8", "auto"])
def test_features_are_fitted_first(images, precision):
    with pytest.raises(NotFittedError, match="Call fit with them"):
        small(precision=precision).transform(images)


def test_a_clone_is_not_fitted(fitted, images):
    with pytest.raises(NotFittedError):
        clone(fitted).transform(images)


def test_torch_does_not_run_in_int8(images):
    with pytest.raises(ValueError, match="Take engine='openvino'"):
        small(engine="torch").fit(images)


def test_nncf_is_named_where_it_is_missing(images, monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(MissingExtraError, match=r"featad\[int8\]"):
        small(image_size=35).fit(images[:2])


def test_a_fitted_network_runs_without_nncf(fitted, images, monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    fitted = pickle.loads(pickle.dumps(fitted.set_params()))
    assert len(fitted.transform(images[:2])) == 2


def test_ranges_of_another_network_are_an_error(fitted, images):
    other = pickle.loads(pickle.dumps(fitted))
    other.set_params(arch="squeezenet1_1", layer="features.3")
    del other.weights_fingerprint_
    with pytest.raises(RangesError, match="those of another network"):
        other.transform(images)


# --- where they are kept


def system(**parameters):
    """Return an unfitted system."""
    options = {"weights": None, "image_size": 32, "layer": "layer1"} | parameters
    return featad.build(
        "resnet18-stats-kmeans",
        engine="openvino",
        precision="int8",
        detector__n_clusters=1,
        **options,
    )


@pytest.mark.parametrize("name", ["model.joblib", "model.skops"])
def test_a_saved_model_scores_as_before(name, files, tmp_path, monkeypatch):
    if name.endswith("skops"):
        pytest.importorskip("skops")
    model = system().fit(files)
    expected = model.score_samples(files)
    manifest = save(model, tmp_path / name)
    assert manifest["precisions"] == ["int8"]
    monkeypatch.setitem(sys.modules, "nncf", None)
    again = load(tmp_path / name)
    np.testing.assert_array_equal(again.score_samples(files), expected)


def test_a_bundle_verifies_itself(files, tmp_path):
    pytest.importorskip("skops")
    model = featad.build(
        "mini-stats-kmeans", image_size=32, engine="openvino", precision="int8",
        detector__n_clusters=1,
    ).fit(files)  # fmt: skip
    featad.save_bundle(model, tmp_path / "a.featad", files[:2])
    again = load(tmp_path / "a.featad")
    np.testing.assert_array_equal(
        again.score_samples(files), model.score_samples(files)
    )


def test_each_fold_of_a_search_has_its_own_ranges(images, tmp_path):
    search = GridSearchCV(
        system(cache=tmp_path),
        {"detector__n_clusters": [1, 2]},
        scoring=featad.anomaly_roc_auc,
        cv=featad.OneClassKFold(2, random_state=0),
        error_score="raise",
    )
    search.fit(images[:8], np.repeat([1, -1], [6, 2]))
    assert search.best_estimator_["features"].quantization_


def test_held_out_images_measure_no_ranges(files):
    model = featad.calibrate(system(), target_fpr=0.1, cv=2, random_state=0)
    assert list(model.named_steps) == ["detector"]  # the folds fit the features too
    assert len(model.fit(files).predict(files)) == len(files)


def test_a_pass_for_a_whole_search_leaves_them_out(images, tmp_path):
    with pytest.raises(ValueError, match="not 'int8' or 'auto'"):
        featad.fill_cache(system(cache=tmp_path), images)


# --- hostile or damaged ranges


def change(fitted, **parts):
    """Return ranges of which the first has other parts."""
    first, *others = pickle.loads(pickle.dumps(fitted.quantization_))
    return [first | parts, *others]


@pytest.mark.parametrize(
    "parts",
    [
        {"levels": 10**6},
        {"levels": "many"},
        {"limits": None},
        {"limits": np.full((4,), np.nan, np.float32)},
        {"limits": np.zeros((4, 2, 2, 2, 2), np.float32)},
        {"limits": np.zeros((4, 5), np.float32)},
        {"limits": np.zeros(4)},
        {"inputs": [["x", 99]]},
        {"inputs": [["nothing", 0]]},
        {"inputs": []},
        {"inputs": 3},
    ],
)
def test_damaged_ranges_are_refused(fitted, images, parts):
    damaged = pickle.loads(pickle.dumps(fitted))
    damaged.quantization_ = change(fitted, **parts)
    with pytest.raises(RangesError):
        damaged.transform(images[:1])


def test_ranges_that_would_make_a_loop_are_refused(fitted, images):
    readers = [each["inputs"][0] for each in fitted.quantization_]
    looped = pickle.loads(pickle.dumps(fitted))
    looped.quantization_ = change(fitted, inputs=[readers[-1], readers[0]])
    with pytest.raises(RangesError):
        looped.transform(images[:1])


def test_quantized_networks_are_known_by_their_ranges(fitted):
    one, same = Quantized(fitted.quantization_), Quantized(fitted.quantization_)
    assert one == same
    assert len({one, same}) == 1
    assert one != Quantized(change(fitted, levels=200))
