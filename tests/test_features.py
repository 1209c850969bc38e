import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from featad.errors import ImageReadError, ImageReadWarning, WeightsChangedError
from featad.features import BackboneFeatures, VGGFeatures, extractor
from featad.features.weights import load_network


def small(**parameters):
    """Return features of a small network at a small size."""
    defaults = {
        "arch": "squeezenet1_1",
        "layer": "features.7",
        "weights": None,
        "image_size": 32,
    }
    return BackboneFeatures(**(defaults | parameters))


@pytest.fixture(autouse=True)
def few_loaded_networks():
    yield
    for key in list(extractor._cache):
        if key[0].arch != "squeezenet1_1":
            del extractor._cache[key]


def photos(n=2, seed=0, size=(50, 40)):
    rng = np.random.default_rng(seed)
    return [
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        for _ in range(n)
    ]


def test_the_whole_image_is_resized_by_default():
    image = np.zeros((20, 60, 3), dtype=np.uint8)
    spot = image.copy()
    spot[:, :6] = 255  # far outside the central square
    assert not np.allclose(*small().transform([image, spot]))
    assert np.allclose(*small(crop=True).transform([image, spot]))


# --- pooling and columns


def test_pooling_statistics_are_concatenated_in_order():
    images = photos()
    one_by_one = [small(pooling=p).transform(images) for p in ("max", "mean", "std")]
    together = small(pooling=("max", "mean", "std")).transform(images)
    np.testing.assert_array_equal(together, np.concatenate(one_by_one, axis=1))


def test_the_deviation_of_a_single_position_is_zero():
    features = small(arch="resnet18", layer="layer4", pooling="std", image_size=8)
    np.testing.assert_array_equal(features.transform(photos()), np.zeros((2, 512)))


def test_layers_are_concatenated_in_order():
    images = photos()
    layers = ("features.9", "features.3")
    one_by_one = [small(layer=layer).transform(images) for layer in layers]
    together = small(layer=layers).transform(images)
    np.testing.assert_allclose(together, np.concatenate(one_by_one, 1), rtol=1e-5)


def test_columns_are_named_by_layer_and_statistic():
    features = small(layer=("features.3", "features.9"), pooling=("mean", "max"))
    names = features.fit(photos()).get_feature_names_out()
    assert len(names) == features.n_features_out_ == 2 * (128 + 384)
    assert names[0] == "features.3_mean_0"
    assert names[128] == "features.3_max_0"
    assert names[-1] == "features.9_max_383"


def test_fully_connected_columns_have_no_statistic():
    features = VGGFeatures("vgg11", weights=None, image_size=32)
    names = features.get_feature_names_out()
    assert (names[0], names[-1]) == ("fc7_0", "fc7_4095")


def test_pandas_output_has_the_column_names():
    frame = small().set_output(transform="pandas").fit_transform(photos())
    assert isinstance(frame, pd.DataFrame)
    assert frame.columns[0] == "features.7_mean_0"


# --- the same features, however they are computed


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_features_do_not_depend_on_the_batch(images, batch_size):
    expected = small().transform(images)
    features = small(batch_size=batch_size).transform(images)
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-7)


def test_features_do_not_depend_on_the_threads(images):
    one, four = (small(n_jobs=n).transform(images) for n in (1, 4))
    np.testing.assert_array_equal(one, four)


def test_rows_are_in_input_order(images):
    features = small(batch_size=4)
    np.testing.assert_allclose(
        features.transform(images[::-1]), features.transform(images)[::-1], rtol=1e-5
    )


def test_all_kinds_of_sources_give_the_same(image_folder):
    paths = sorted(image_folder.iterdir())
    expected = small().transform(paths)
    for sources in (
        [str(path) for path in paths],
        np.array([str(path) for path in paths]),
        pd.Series([str(path) for path in paths]),
        [path.read_bytes() for path in paths],
        [Image.open(path) for path in paths],
        np.stack([np.asarray(Image.open(path)) for path in paths]),
    ):
        np.testing.assert_array_equal(small().transform(sources), expected)


def test_output_is_float32_and_finite(images):
    features = small().fit_transform(images)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


def test_fit_is_not_needed(images):
    np.testing.assert_array_equal(
        small().transform(images), small().fit(images).transform(images)
    )


def test_random_weights_differ_by_seed_and_none_is_zero(images):
    zero, none, one = (small(random_state=s).transform(images) for s in (0, None, 1))
    np.testing.assert_array_equal(zero, none)
    assert not np.allclose(zero, one)


def test_bfloat16_is_close(images):
    exact = small().transform(images)
    rough = small(precision="bfloat16").transform(images)
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).max() < 0.05 * np.abs(exact).max()


def test_images_are_read_as_the_network_gets_to_them():
    features = small(batch_size=2, n_jobs=1)
    ahead = []

    class Counted(list):
        read = 0

        def __getitem__(self, index):
            self.read += 1
            return super().__getitem__(index)

    sources = Counted(photos(40))

    class Watched(type(features)):
        done = 0

        def _launch(self, loaded, pixels):
            ahead.append(sources.read - self.done)
            type(self).done += len(pixels)
            return super()._launch(loaded, pixels)

    Watched(**features.get_params()).transform(sources)
    assert max(ahead) <= 2 * 2 + 3


def test_the_last_networks_stay_loaded_and_no_more(images, monkeypatch):
    loads = []

    def counted(found, read_network=extractor.read_network):
        loads.append(found)
        return read_network(found)

    monkeypatch.setattr(extractor, "read_network", counted)
    for seed in (11, 11, 12, 13, 14, 15, 15):
        small(random_state=seed).fit(images)
    assert len(loads) == 5
    assert len(extractor._cache) == 4


# --- weights and files


def test_a_pickle_holds_no_network_and_gives_the_same(images, tmp_path):
    features = VGGFeatures("vgg11", weights=None, image_size=32).fit(images)
    assert len(pickle.dumps(features)) < 5000
    joblib.dump(features, tmp_path / "features.joblib")
    loaded = joblib.load(tmp_path / "features.joblib")
    np.testing.assert_array_equal(
        loaded.transform(images[:2]), features.transform(images[:2])
    )


def test_other_weights_than_those_of_fit_are_refused(images, tmp_path):
    network, _ = load_network("squeezenet1_1", None)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    features = small(weights=tmp_path / "w.pth").fit(images)
    features.check_weights()
    torch.save(
        load_network("squeezenet1_1", None, 1)[0].state_dict(), tmp_path / "w.pth"
    )
    for use in (features.check_weights, lambda: features.transform(images)):
        with pytest.raises(WeightsChangedError, match=r"w\.pth"):
            use()


def test_the_same_weights_in_another_file_are_accepted(images, tmp_path):
    network, _ = load_network("squeezenet1_1", None)
    features = small().fit(images)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    features.set_params(weights=tmp_path / "w.pth").check_weights()


@pytest.mark.parametrize(
    "change",
    [
        {"layer": "features.9"},
        {"pooling": "max"},
        {"image_size": 40},
        {"image_size": (32, 40)},
        {"crop": True},
        {"precision": "bfloat16"},
        {"max_value": 100.0},
        {"preprocessing": "caffe"},
        {"random_state": 1},
    ],
)
def test_the_fingerprint_changes_with_what_decides_the_features(change):
    fingerprint = small().extractor_fingerprint()
    assert small(**change).extractor_fingerprint() != fingerprint


def test_the_fingerprint_does_not_change_with_how_features_are_computed():
    how = {"device": "cpu", "batch_size": 3, "n_jobs": 1, "on_error": "nan"}
    assert small(**how).extractor_fingerprint() == small().extractor_fingerprint()


# --- bad input


@pytest.fixture
def broken(image_folder):
    (image_folder / "3.png").write_bytes(b"no image")
    return sorted(image_folder.iterdir())


def test_an_unreadable_image_is_named(broken):
    with pytest.raises(ImageReadError, match=r"3\.png"):
        small().transform(broken)


def test_a_missing_image_is_named(image_folder):
    with pytest.raises(ImageReadError, match=r"gone\.png"):
        small().transform([image_folder / "gone.png"])


def test_unreadable_images_can_be_skipped(broken):
    with pytest.warns(ImageReadWarning, match=r"1.*3\.png"):
        features = small(on_error="skip").transform(broken)
    np.testing.assert_array_equal(features, small().transform(broken[:3] + broken[4:]))


def test_unreadable_images_can_become_nan(broken):
    with pytest.warns(ImageReadWarning, match=r"3\.png"):
        features = small(on_error="nan").transform(broken)
    assert np.isnan(features).all(axis=1).tolist() == [False] * 3 + [True] + [False] * 2


def test_skipping_every_image_is_refused(tmp_path):
    with pytest.raises(ImageReadError, match="none of the 1 images"):
        small(on_error="skip").transform([tmp_path / "a.png"])


def test_nan_pixels_are_refused(images):
    images = images.copy()
    images[2, 0, 0, 0] = np.nan
    with pytest.raises(ImageReadError, match="NaN"):
        small().transform(images)


def test_a_table_is_refused():
    with pytest.raises(ValueError, match="BackboneFeatures expects"):
        small().fit(np.zeros((5, 4)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arch": "vgg61"}, "did you mean"),
        ({"layer": "features.99"}, "no layer 'features.99'.*layer_names"),
        ({"layer": ("features.7", "features.7")}, "several different"),
        ({"layer": ()}, "layer should be"),
        ({"pooling": "median"}, "'pooling' parameter"),
        ({"pooling": ("mean", "median")}, "pooling should be"),
        ({"image_size": (32,)}, "image_size should be"),
        ({"image_size": (32, 0)}, "image_size should be"),
        ({"image_size": 8}, "Set image_size: the whole network takes 17"),
        ({"device": "toaster"}, "device should be"),
        ({"precision": "float16", "device": "cpu"}, "needs a GPU"),
        ({"batch_size": 0}, "'batch_size' parameter"),
        ({"random_state": np.random.RandomState(0)}, "'random_state' parameter"),
    ],
)
def test_a_wrong_parameter_is_refused(images, change, message):
    with pytest.raises(ValueError, match=message):
        small(**change).fit(images)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_is_refused(images, device):
    with pytest.raises(ValueError, match="0 CUDA GPUs"):
        small(device=device).fit(images)


def test_a_wrong_vgg_layer_lists_the_right_ones(images):
    features = VGGFeatures("vgg11", layer="conv4_3", weights=None)
    with pytest.raises(ValueError, match=r"fc7, fc6, conv1_1.*, got 'conv4_3'"):
        features.fit(images)


def test_a_vision_transformer_takes_its_own_size_only(images):
    with pytest.raises(ValueError, match="Set image_size.*224"):
        BackboneFeatures("vit_b_32", weights=None, image_size=64).fit(images)


@pytest.mark.parametrize("node", ["stage2.0.floordiv", "stage2.1.chunk"])
def test_a_node_that_is_no_layer_is_refused(images, node):
    with pytest.raises(ValueError, match=f"'{node}' of .* gives no features"):
        small(arch="shufflenet_v2_x0_5", layer=node, image_size=64).fit(images)


@pytest.mark.parametrize("layer", ["fc7", ("conv3_1", "fc7", "conv4_1")])
def test_normalized_layers_have_length_one(images, layer):
    options = {"layer": layer, "pooling": ("mean", "max"), "image_size": 32}
    plain = VGGFeatures("vgg_mini", **options).fit_transform(images[:3])
    unit = VGGFeatures("vgg_mini", normalize=True, **options).fit_transform(images[:3])
    widths = [4096] if layer == "fc7" else [2 * 256, 4096, 2 * 512]
    places = np.cumsum(widths)[:-1]
    for one, other in zip(
        np.split(plain, places, 1), np.split(unit, places, 1), strict=True
    ):
        length = np.linalg.norm(one, axis=1, keepdims=True)
        np.testing.assert_allclose(other, one / length, rtol=1e-5)
