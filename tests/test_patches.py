"""Maps of middle layers: the network's own, on one grid, reduced, kept and refused."""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file
from torch.nn import functional

from featad import machine
from featad.errors import ImageReadError, ImageReadWarning
from featad.features import BACKBONES, PatchFeatures, VGGPatches, patch_layers
from featad.features.patch_maps import PatchMaps
from featad.features.vgg_layers import vgg_nodes
from featad.features.weights import load_network

LAYERS = ("features.7", "features.9")  # 3 x 3 and 1 x 1 positions of 32 pixels


def small(**parameters):
    """Return patches of a small network at a small size, as the layers have them."""
    defaults = {
        "arch": "squeezenet1_1",
        "layer": LAYERS,
        "neighborhood": 1,
        "weights": None,
        "image_size": 64,
    }
    return PatchFeatures(**(defaults | parameters))


def hooked(network, x, *names):
    """Return what modules of an untouched network put out, channels last."""
    seen = {}

    def keep(name, module, inputs, output):
        seen[name] = output.clone()

    for name in names:
        network.get_submodule(name).register_forward_hook(partial(keep, name))
    with torch.inference_mode():
        network(x)
    return [seen[name] for name in names]


def photos(n=2, seed=0, size=(50, 40)):
    rng = np.random.default_rng(seed)
    return [
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        for _ in range(n)
    ]


def last(maps):
    return maps.permute(0, 2, 3, 1).numpy()


# --- the network's own maps


@pytest.mark.data
def test_maps_of_pretrained_squeezenet_equal_torchvisions_forward_pass(real_weights):
    network = torchvision.models.squeezenet1_1()
    network.load_state_dict(torch.load(real_weights, weights_only=True))
    prepare = torchvision.models.SqueezeNet1_1_Weights.DEFAULT.transforms()
    images = photos(size=(300, 260))
    x = torch.stack([prepare(image) for image in images])
    fine, coarse = hooked(network.eval(), x, *LAYERS)
    coarse = functional.interpolate(coarse, fine.shape[2:], mode="bilinear")
    expected = last(torch.cat([fine, coarse], 1))
    patches = PatchFeatures(
        "squeezenet1_1",
        weights=real_weights,
        preprocessing="imagenet",
        neighborhood=1,
        crop=True,
    )
    found = patches.fit_transform(images)
    assert found.shape == (2, 27, 27, 256 + 384)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * expected.max())


@pytest.mark.data
def test_maps_of_vgg16s_real_convolutions_equal_torchvisions(real_vgg16_weights):
    with torch.device("meta"):
        network = torchvision.models.vgg16().features
    state = load_file(real_vgg16_weights)
    state = {k.removeprefix("features."): v.float() for k, v in state.items()}
    network.load_state_dict(state, assign=True)
    prepare = torchvision.models.VGG16_Weights.DEFAULT.transforms()
    images = photos(1, size=(300, 260))
    (expected,) = hooked(network, prepare(images[0])[None], "22")
    patches = VGGPatches(
        layer="conv4_3", weights=real_vgg16_weights, neighborhood=1, crop=True
    )
    found = patches.transform(images)
    assert found.shape == (1, 28, 28, 512)
    expected = last(expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * expected.max())


@pytest.mark.parametrize("arch", ["resnet18", "mobilenet_v3_large"])
def test_one_layer_is_as_torchvision_has_it(arch):
    layer = BACKBONES[arch][0]
    network, _ = load_network(arch, None)
    usual = torchvision.models.get_model_weights(arch).DEFAULT.transforms
    resize_size = usual().resize_size[0] * 64 // 224
    prepare = usual(crop_size=64, resize_size=resize_size)
    x = torch.stack([prepare(image) for image in photos()])
    (expected,) = hooked(network, x, layer)
    patches = PatchFeatures(
        arch, layer=layer, weights=None, neighborhood=1, image_size=64, crop=True
    )
    found = patches.transform(photos())
    np.testing.assert_allclose(found, last(expected), rtol=1e-5, atol=1e-5)


def test_tokens_of_a_square_are_a_map():
    options = {"n_components": None, "reduction": "selection", "dtype": "float32"}
    maps = PatchMaps(
        {"a": (2, 10)}, grid=None, neighborhood=1, random_state=0, **options
    )
    tokens = torch.arange(20.0).reshape(1, 2, 10)  # of each channel: a class, 3 x 3
    found = maps([tokens])
    assert found.shape == (1, *maps.shape) == (1, 3, 3, 2)
    np.testing.assert_array_equal(found[0, :, :, 1], np.arange(11, 20).reshape(3, 3))


@pytest.mark.slow
def test_tokens_of_a_transformer_are_a_map_without_the_class_token():
    network, _ = load_network("vit_b_32", None)
    prepare = torchvision.models.ViT_B_32_Weights.DEFAULT.transforms()
    image = photos(1, size=(240, 260))
    layer = "encoder.layers.encoder_layer_1"
    (expected,) = hooked(network, prepare(image[0])[None], layer)
    patches = PatchFeatures(
        "vit_b_32", layer=layer, weights=None, neighborhood=1, crop=True
    )
    expected = expected[:, 1:].reshape(1, 7, 7, -1)
    np.testing.assert_allclose(patches.transform(image), expected, rtol=1e-4, atol=1e-5)
    assert patches.stride == (32, 32)
    assert patches.field_of_view == (224, 224)


@pytest.mark.parametrize("arch", ["squeezenet1_1", "vgg_mini", "efficientnet_b0"])
def test_default_layers_are_the_first_two_middle_ones(arch):
    default = PatchFeatures(arch, weights=None, image_size=64).transform(photos())
    named = PatchFeatures(
        arch, layer=BACKBONES[arch][:2], weights=None, image_size=64
    ).transform(photos())
    np.testing.assert_array_equal(default, named)
    assert patch_layers(arch) == BACKBONES[arch][:2]


def test_vgg_patches_are_patch_features_by_the_papers_names():
    paper = VGGPatches("vgg_mini", layer="conv2_1", image_size=32)
    paper = paper.transform(photos())
    node = vgg_nodes("vgg_mini")["conv2_1"]
    plain = PatchFeatures("vgg_mini", layer=node, image_size=32).transform(photos())
    np.testing.assert_array_equal(paper, plain)


# --- one grid


def test_the_grid_is_that_of_the_layer_with_the_most_positions():
    fine = small(layer="features.7").fit(photos())
    both = small().fit(photos())
    assert both.grid_ == fine.grid_
    assert both.grid_ > small(layer="features.9").fit(photos()).grid_


@pytest.mark.parametrize("grid", [2, (4, 3), (2, 9), (12, 12)])
def test_maps_are_brought_to_the_grid_that_is_asked_for(grid):
    patches = small(grid=grid).fit(photos())
    pair = grid if isinstance(grid, tuple) else (grid, grid)
    assert patches.transform(photos()).shape == (2, *pair, 256 + 384)
    assert patches.grid_ == pair
    assert patches.stride == (64 / pair[0], 64 / pair[1])


def test_finer_maps_are_averaged_over_each_cell():
    image = photos()
    maps = VGGPatches("vgg16", layer="conv2_1", weights=None, image_size=64)
    fine = maps.set_params(neighborhood=1).transform(image)
    cells = fine.reshape(2, 8, 4, 8, 4, -1).mean((2, 4))
    coarse = maps.set_params(grid=8).transform(image)
    np.testing.assert_allclose(coarse, cells, rtol=1e-4, atol=1e-6)


def test_a_neighborhood_is_a_mean_with_zeros_beyond_the_border():
    plain = small(layer="features.3").transform(photos())
    found = small(layer="features.3", neighborhood=3).transform(photos())
    np.testing.assert_allclose(found[:, 4, 5], plain[:, 3:6, 4:7].mean((1, 2)), 1e-4)
    np.testing.assert_allclose(found[:, 0, 0], plain[:, :2, :2].sum((1, 2)) / 9, 1e-4)


# --- fewer features


@pytest.mark.parametrize("reduction", ["projection", "selection"])
def test_reducing_first_equals_reducing_the_joined_maps(reduction):
    options = {"neighborhood": 3, "grid": 5}
    patches = small(n_components=30, reduction=reduction, **options)
    whole = small(**options).transform(photos())
    found = patches.transform(photos())
    assert found.shape == (2, 5, 5, 30)
    if reduction == "selection":
        names = small(**options).get_feature_names_out().tolist()
        places = [names.index(name) for name in patches.get_feature_names_out()]
        assert len(set(places)) == 30
        np.testing.assert_allclose(found, whole[..., places], rtol=1e-5, atol=1e-6)
    else:  # 30 numbers of 50 positions fix the matrix no further than this
        rows, target = whole.reshape(-1, 640), found.reshape(-1, 30)
        matrix = np.linalg.lstsq(rows, target, rcond=None)[0]
        np.testing.assert_allclose(rows @ matrix, target, rtol=1e-3, atol=1e-4)


def test_a_projection_keeps_distances():
    whole = small().transform(photos()).reshape(-1, 640)
    found = small(n_components=200).transform(photos()).reshape(len(whole), -1)
    ratios = np.linalg.norm(found[1:] - found[:-1], axis=1) / np.linalg.norm(
        whole[1:] - whole[:-1], axis=1
    )
    assert 0.8 < ratios.min() <= ratios.max() < 1.2


@pytest.mark.parametrize("reduction", ["projection", "selection"])
def test_the_seed_draws_the_features(reduction):
    def maps(seed):
        options = {"n_components": 9, "reduction": reduction, "random_state": seed}
        return VGGPatches("vgg_mini", image_size=32, **options).transform(photos())

    np.testing.assert_array_equal(maps(3), maps(3))
    np.testing.assert_array_equal(maps(None), maps(0))
    assert not np.allclose(maps(3), maps(4))


def test_features_are_named_by_layer_and_channel_or_by_number():
    names = small().get_feature_names_out()
    assert (names[0], names[256], len(names)) == ("features.7_0", "features.9_0", 640)
    names = small(n_components=2).get_feature_names_out()
    assert names.tolist() == ["projection_0", "projection_1"]
    patches = small(n_components=7, reduction="selection").fit(photos())
    assert set(patches.get_feature_names_out()) < set(small().get_feature_names_out())
    assert patches.n_features_out_ == 7


# --- types, memory, cache


def test_half_precision_is_close_and_takes_half_the_memory():
    exact = small().transform(photos())
    half = small(dtype="float16").transform(photos())
    assert (exact.dtype, half.dtype) == (np.float32, np.float16)
    np.testing.assert_allclose(half, exact, rtol=1e-3, atol=1e-4)


def test_features_too_large_for_half_precision_are_refused():
    patches = small(dtype="float16")
    with pytest.raises(ValueError, match="larger than dtype='float16' can hold"):
        patches._checked(np.float16([np.inf]))


def test_a_result_larger_than_the_memory_is_refused_before_images_are_read(
    monkeypatch,
):
    monkeypatch.setattr("featad.features.patches.memory_size", lambda: 10**6)
    expected = "3000 images at 3 x 3 positions of 640 features take 0.1 GB in float32"
    with pytest.raises(MemoryError, match=expected):
        small(grid=3).transform(["missing.png"] * 3000)


def test_the_memory_of_this_machine_is_known():
    assert machine.memory_size() is None or machine.memory_size() > 2**28


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_cache_gives_the_same_maps(images, tmp_path, dtype, monkeypatch):
    options = {"layer": "features.3", "n_components": 5, "dtype": dtype}
    plain = small(**options).transform(images)
    first = small(cache=tmp_path, **options).transform(images)
    monkeypatch.setattr(PatchFeatures, "_launch", lambda *_: pytest.fail("ran"))
    again = small(cache=tmp_path, **options).transform(images[::-1])[::-1]
    np.testing.assert_allclose(first, plain, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(first, again)
    assert again.dtype == dtype


@pytest.mark.parametrize(
    "change",
    [
        {"layer": "features.9"},
        {"grid": 5},
        {"neighborhood": 3},
        {"n_components": 8},
        {"reduction": "selection"},
        {"dtype": "float16"},
        {"image_size": 48},
        {"random_state": 1},
    ],
)
def test_the_fingerprint_changes_with_what_decides_the_maps(change):
    options = {"n_components": 9}
    before = small(**options).extractor_fingerprint()
    assert small(**(options | change)).extractor_fingerprint() != before


def test_the_grid_of_the_layers_has_one_fingerprint_however_it_is_asked_for():
    grid = small().fit(photos()).grid_
    named = small(grid=grid).extractor_fingerprint()
    assert named == small().extractor_fingerprint()


@pytest.mark.parametrize("batch_size", [1, 5])
def test_maps_do_not_depend_on_the_batch(images, batch_size):
    expected = small(n_components=6).transform(images)
    found = small(n_components=6, batch_size=batch_size).transform(images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_pickle_holds_no_network_and_gives_the_same():
    patches = small(n_components=4).fit(photos())
    assert len(pickle.dumps(patches)) < 3000
    loaded = pickle.loads(pickle.dumps(patches))
    np.testing.assert_array_equal(
        loaded.transform(photos()), patches.transform(photos())
    )


# --- images that cannot be read


@pytest.fixture
def broken(image_folder):
    (image_folder / "3.png").write_bytes(b"no image")
    return sorted(image_folder.iterdir())


def test_an_unreadable_image_is_named(broken):
    with pytest.raises(ImageReadError, match=r"3\.png"):
        small().transform(broken)


def test_unreadable_images_can_be_skipped(broken):
    with pytest.warns(ImageReadWarning, match=r"1.*3\.png"):
        maps = small(on_error="skip").transform(broken)
    np.testing.assert_array_equal(maps, small().transform(broken[:3] + broken[4:]))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_unreadable_images_can_become_nan(broken, dtype):
    with pytest.warns(ImageReadWarning, match=r"3\.png"):
        maps = small(on_error="nan", dtype=dtype).transform(broken)
    nan = np.isnan(maps).all(axis=(1, 2, 3)).tolist()
    assert nan == [False] * 3 + [True] + [False] * 2


# --- wrong parameters


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": 0}, "'grid' parameter"),
        ({"grid": (3,)}, "grid should be a number of positions"),
        ({"neighborhood": 2}, "neighborhood should be odd"),
        ({"n_components": 641}, "at most 640, the number of channels of features.7"),
        ({"reduction": "pca"}, "'reduction' parameter"),
        ({"dtype": "int8"}, "'dtype' parameter"),
        ({"layer": ("features.7",) * 2}, "several different"),
        ({"layer": "features.99"}, "no layer 'features.99'"),
        ({"arch": "resnet18", "layer": "flatten"}, "gives no map of the image"),
        ({"arch": "vit_b_32", "layer": None}, "layer should be given for vit_b_32"),
    ],
)
def test_a_wrong_parameter_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        small(**change).fit(photos())


def test_a_layer_without_a_map_has_no_stride():
    with pytest.raises(ValueError, match="layers that give a map"):
        _ = VGGPatches(layer="fc7").stride


def test_a_wrong_vgg_layer_lists_the_right_ones():
    with pytest.raises(ValueError, match=r"conv1_1.*, got 'conv4_3'"):
        VGGPatches("vgg11", layer="conv4_3", weights=None).fit(photos())
