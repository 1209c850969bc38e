"""Files of weights: whole networks, convolutions alone, conversions from Caffe."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision.models.vgg import cfgs, make_layers

from featad.cli import main
from featad.detectors import KMeansDistance
from featad.errors import WeightsChangedError, WeightsNotFoundError
from featad.features import BackboneFeatures, VGGFeatures, extractor, weight_files
from featad.features.download import named_hash, sha256_of
from featad.features.inspection import inspect_weights
from featad.features.weight_files import build_on_paper, recognize
from featad.features.weights import find_weights, load_network, preset, published_url
from featad.persistence import save
from featad.pipeline import make_pipeline

KEY = "afa1948779fb17ac2f5b69d8b248a7d15ff26f9522b7f33f14b13464e5cb393c"
N_CONVOLUTIONS = 9_220_480  # numbers in the convolutions of VGG11: table 2 of the paper


@pytest.fixture(autouse=True)
def few_loaded_networks():
    yield
    extractor._cache.clear()


def convolutions(arch):
    """Return small random values for all convolutions of a VGG, as float16."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: (torch.randn(value.shape, generator=generator) * 0.05).half()
        for name, value in build_on_paper(arch).state_dict().items()
        if name.startswith("features.")
    }


def head(arch, fill):
    """Return fully connected layers of one value, which a .pth file stores once."""
    return {
        name: torch.full((1,), fill).expand(value.shape)
        for name, value in build_on_paper(arch).state_dict().items()
        if name.startswith("classifier.")
    }


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Return a file of the convolutions of VGG11, as float16."""
    path = tmp_path_factory.mktemp("weights") / "vgg11-features.safetensors"
    save_file(convolutions("vgg11"), path, metadata={"source": "a test"})
    return path


@pytest.fixture(scope="module")
def nan_file(tmp_path_factory):
    """Return a file in the form of torchvision's IMAGENET1K_FEATURES."""
    path = tmp_path_factory.mktemp("weights") / "renamed.pth"
    torch.save(convolutions("vgg16") | head("vgg16", float("nan")), path)
    return path


def photos(n=2, size=(50, 40)):
    rng = np.random.default_rng(0)
    return [
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        for _ in range(n)
    ]


def reference(path, x, n_modules):
    """Return the means of a map of torchvision's own VGG11, with a file's weights."""
    features = make_layers(cfgs["A"], batch_norm=False)
    state = {k.removeprefix("features."): v for k, v in load_file(path).items()}
    features.load_state_dict(state)
    with torch.inference_mode():
        return features[:n_modules](x).mean((2, 3)).numpy()


def cropped(images):
    """Return images as torchvision prepares them for VGG11, in [0, 1]."""
    prepare = torchvision.models.VGG11_Weights.DEFAULT.transforms(
        crop_size=32, resize_size=36, mean=(0, 0, 0), std=(1, 1, 1)
    )
    return torch.stack([prepare(image) for image in images])


def features(path, **options):
    defaults = {"layer": "conv4_2", "image_size": 32, "crop": True}
    return VGGFeatures("vgg11", weights=path, **(defaults | options))


# --- convolutions alone


def test_convolutions_alone_give_torchvisions_features(file):
    usual = preset("vgg11")
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (usual.mean, usual.std))
    expected = reference(file, (cropped(photos()) - mean) / std, 15)
    found = features(file).fit_transform(photos())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_fully_connected_layers_that_a_file_lacks_are_not_built(file):
    network, _ = load_network("vgg11", file)
    assert sum(p.numel() for p in network.parameters()) == N_CONVOLUTIONS
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert not any(p.is_meta for p in network.parameters())


@pytest.mark.parametrize("layer", ["fc6", "fc7", ("conv4_2", "fc7")])
def test_a_fully_connected_layer_of_convolutions_alone_is_refused(file, layer):
    message = r"convolutions of vgg11 only.*'fc\d'.*layer='conv4_2'.*whole network"
    with pytest.raises(WeightsNotFoundError, match=message):
        features(file, layer=layer).fit(photos())


@pytest.mark.parametrize("layer", [None, "classifier.3", "flatten"])
def test_nodes_after_the_convolutions_are_refused(file, layer):
    backbone = BackboneFeatures("vgg11", layer=layer, weights=file, image_size=32)
    with pytest.raises(WeightsNotFoundError, match="convolutions of vgg11 only"):
        backbone.fit(photos())


def test_convolutions_with_batch_normalization_need_no_counters(tmp_path):
    state = convolutions("vgg11_bn")
    kept = {k: v.abs() for k, v in state.items() if not k.endswith("_tracked")}
    save_file(kept, tmp_path / "bn.safetensors")
    network, _ = load_network("vgg11_bn", tmp_path / "bn.safetensors")
    for name, value in network.state_dict().items():
        if name in kept:
            assert torch.equal(value, kept[name].float())


def test_a_convolution_that_is_missing_is_named(file, tmp_path):
    state = load_file(file)
    del state["features.3.bias"]
    save_file(state, tmp_path / "short.safetensors")
    with pytest.raises(WeightsNotFoundError, match=r"'features\.3\.bias' is missing"):
        load_network("vgg11", tmp_path / "short.safetensors")


def test_nan_in_a_convolution_is_refused(file, tmp_path):
    state = load_file(file)
    state["features.3.bias"][5] = float("nan")
    save_file(state, tmp_path / "nan.safetensors")
    with pytest.raises(WeightsNotFoundError, match=r"'features\.3\.bias' holds NaN"):
        load_network("vgg11", tmp_path / "nan.safetensors")


def test_nan_in_the_fully_connected_layers_leaves_the_convolutions(nan_file):
    network, _ = load_network("vgg16", nan_file)
    names = [name for name, _ in network.named_parameters()]
    assert all(name.startswith("features.") for name in names)
    assert len(names) == 26


# --- published sets


def test_nan_in_the_fully_connected_layers_is_the_published_set(nan_file):
    assert find_weights("vgg16", nan_file).published == "IMAGENET1K_FEATURES"
    assert preset("vgg16", nan_file) == preset("vgg16", "IMAGENET1K_FEATURES")


def test_the_preset_follows_the_published_set():
    features = preset("vgg16", "IMAGENET1K_FEATURES")
    assert features.mean == (0.48235, 0.45882, 0.40784)
    assert features.std == (1 / 255, 1 / 255, 1 / 255)
    assert preset("resnet50", "IMAGENET1K_V1").resize_size == 256
    assert preset("resnet50", "IMAGENET1K_V2") == preset("resnet50", "DEFAULT")


def test_a_published_set_has_its_own_address():
    address = published_url("vgg16", "IMAGENET1K_FEATURES")
    assert address.endswith("vgg16_features-amdegroot-88682ab5.pth")


def test_an_unknown_published_set_is_refused_with_those_there_are():
    message = "IMAGENET1K_V1, IMAGENET1K_FEATURES for vgg16; got .*IMAGENET1K_V2"
    with pytest.raises(ValueError, match=message):
        find_weights("vgg16", "IMAGENET1K_V2")


def test_a_published_set_of_vgg_mini_is_refused():
    with pytest.raises(ValueError, match="torchvision does not publish"):
        find_weights("vgg_mini", "IMAGENET1K_V1")


def test_a_published_file_is_recognized_under_any_name(file, monkeypatch):
    size = file.stat().st_size / 2**20

    def published(digest):
        url = f"https://somewhere/vgg11-{digest[:8]}.pth"
        return SimpleNamespace(url=url, meta={"_file_size": size})

    sets = {"V1": published("0" * 64), "V2": published(sha256_of(file))}
    monkeypatch.setattr(weight_files, "published_sets", lambda arch: sets)
    assert recognize("vgg11", file, (1, 2)) == "V2"


# --- preprocessing


def test_caffe_preprocessing_is_bgr_minus_the_mean(file):
    x = cropped(photos()).flip(1) * 255
    x = x - torch.tensor((103.939, 116.779, 123.68)).view(3, 1, 1)
    expected = reference(file, x, 15)
    found = features(file, preprocessing="caffe").fit_transform(photos())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.max())


def test_preprocessing_changes_the_fingerprints(file):
    usual, caffe = features(file), features(file, preprocessing="caffe")
    assert usual.extractor_fingerprint() != caffe.extractor_fingerprint()
    assert (
        usual.fit(photos()).weights_fingerprint_
        != caffe.fit(photos()).weights_fingerprint_
    )


def test_another_preprocessing_than_that_of_fit_is_refused(file):
    fitted = features(file).fit(photos()).set_params(preprocessing="caffe")
    with pytest.raises(WeightsChangedError, match="the preprocessing it was fitted"):
        fitted.transform(photos())


def test_preprocessing_that_is_the_usual_one_keeps_the_key(file):
    usual, stated = features(file), features(file, preprocessing="imagenet")
    assert usual.extractor_fingerprint() == stated.extractor_fingerprint()


def test_cached_features_keep_their_key_over_versions():
    fingerprint = VGGFeatures(
        "vgg_mini", layer="conv4_1", weights="generated"
    ).extractor_fingerprint()
    assert fingerprint == KEY


def test_conversions_from_caffe_need_a_stated_preprocessing(tmp_path):
    state = convolutions("vgg11") | head("vgg11", 0.0)
    renamed = {
        re.sub(r"(?<=classifier\.)[03]", lambda m: str(int(m[0]) + 1), name): value
        for name, value in state.items()
    }
    torch.save(renamed, tmp_path / "caffe.pth")
    with pytest.raises(WeightsNotFoundError, match="preprocessing='caffe'"):
        load_network("vgg11", tmp_path / "caffe.pth")
    assert set(weight_files.with_torchvision_names(renamed)) == set(state)


# --- what a file is


def test_a_file_of_convolutions_is_described(file):
    found = inspect_weights(file)
    assert (found.arch, found.is_partial, found.published) == ("vgg11", True, None)
    assert found.layers[-1] == "conv5_2"
    assert not {"fc6", "fc7"} & set(found.layers)
    assert found.dtypes == ("float16",)
    assert found.n_values == N_CONVOLUTIONS
    assert found.sha256 == sha256_of(file)
    assert found.metadata == {"source": "a test"}


def test_a_published_form_with_nan_is_described(nan_file):
    found = inspect_weights(nan_file)
    assert (found.arch, found.published) == ("vgg16", "IMAGENET1K_FEATURES")
    assert found.is_partial
    assert found.has_nan


def test_a_whole_network_is_described(tmp_path):
    state = load_network("resnet18", None)[0].state_dict()
    torch.save(state, tmp_path / "any.pth")
    found = inspect_weights(tmp_path / "any.pth")
    assert (found.arch, found.is_partial) == ("resnet18", False)


def test_doctor_says_what_a_file_is(file, capsys):
    assert main(["doctor", "--weights", str(file)]) == 0
    printed = capsys.readouterr().out
    for sentence in (
        "It holds the convolutions of vgg11 only: 9.2 million values, float16.",
        "All values are finite.",
        "fc6 and fc7 need a file of the whole network.",
        "Its metadata says, under source: a test",
        f"--weights vgg11={file}",
    ):
        assert sentence in printed


def test_fit_says_once_what_is_assumed_about_an_unknown_file(file):
    with pytest.warns(UserWarning, match="none of torchvision's published") as told:
        features(file).fit_transform(photos())
    (said,) = [str(w.message) for w in told if "published" in str(w.message)]
    for part in (file.name, "RGB in [0, 1] minus (0.485, 0.456, 0.406)", "'caffe'"):
        assert part in said


@pytest.mark.parametrize("preprocessing", ["imagenet", "caffe"])
def test_what_was_said_about_a_file_is_not_asked_again(file, preprocessing, recwarn):
    fitted = features(file, preprocessing=preprocessing).fit(photos())
    assert not [w for w in recwarn if "published" in str(w.message)]
    assert "pixels are prepared as said" in fitted.weights_note_


def test_the_manifest_says_what_the_weights_are(file, tmp_path):
    system = make_pipeline(features(file, preprocessing="caffe"), KMeansDistance(1))
    (said,) = save(system.fit(photos()), tmp_path / "m.joblib")["weights"]
    assert "none of torchvision's published sets for vgg11" in said
    assert "BGR" in said
    assert str(file.parent) not in said


def test_the_only_published_set_of_a_network_is_recognized(tmp_path, monkeypatch):
    published = torchvision.models.get_model_weights("squeezenet1_1").DEFAULT
    path = tmp_path / "any.pth"
    path.write_bytes(bytes(round(published.meta["_file_size"] * 2**20)))
    assert recognize("squeezenet1_1", path, (0, 0)) == "DEFAULT"
    monkeypatch.setattr(weight_files, "sha256_of", lambda _: named_hash(published.url))
    assert recognize("squeezenet1_1", path, (0, 1)) == published.name


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "vgg11 comes nearest, but it has no parameter 'more'"),
        (["--arch", "resnet18"], "does not hold weights of resnet18"),
        (["--arch", "resnet19"], "did you mean"),
    ],
)
def test_doctor_refuses_a_file_that_fits_nothing(file, tmp_path, capsys, options, said):
    save_file(load_file(file) | {"more": torch.zeros(1)}, tmp_path / "odd.safetensors")
    weights = str(tmp_path / "odd.safetensors")
    assert main(["doctor", "--weights", weights, *options]) == 1
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1


def test_doctor_takes_no_architecture_without_a_file(capsys):
    assert main(["doctor", "--arch", "vgg16"]) == 1
    assert "add --weights" in capsys.readouterr().err


def test_the_command_line_takes_published_sets():
    from featad.cli.options import _weights_of

    choices = ["vgg16=IMAGENET1K_FEATURES"]
    assert _weights_of("vgg16", choices) == "IMAGENET1K_FEATURES"


# --- the real file


@pytest.mark.data
def test_the_real_vgg16_gives_torchvisions_features(real_vgg16_weights):
    features = make_layers(cfgs["D"], batch_norm=False)[:23]
    state = load_file(real_vgg16_weights)
    kept = {k.removeprefix("features."): v for k, v in state.items()}
    features.load_state_dict({k: kept[k] for k in features.state_dict()})
    prepare = torchvision.models.VGG16_Weights.IMAGENET1K_V1.transforms()
    images = photos(size=(300, 260))
    with torch.inference_mode():
        maps = features(torch.stack([prepare(image) for image in images]))
    found = VGGFeatures(layer="conv4_3", weights=real_vgg16_weights, crop=True)
    np.testing.assert_allclose(
        found.fit_transform(images), maps.mean((2, 3)), rtol=1e-5, atol=1e-5
    )


@pytest.mark.data
def test_the_real_vgg16_takes_the_memory_of_its_convolutions(real_vgg16_weights):
    network, _ = load_network("vgg16", real_vgg16_weights)
    n_bytes = sum(p.numel() * p.element_size() for p in network.parameters())
    assert n_bytes == pytest.approx(59e6, rel=0.01)
    assert inspect_weights(real_vgg16_weights).is_partial
