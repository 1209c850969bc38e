import copy
import re

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import normalize
from torchvision.models import ConvNeXt, SwinTransformer, VisionTransformer
from torchvision.models.convnext import CNBlockConfig

from featad.features import (
    BACKBONES,
    BackboneFeatures,
    VGGFeatures,
    default_layers,
    extractor,
    layer_names,
)
from featad.features.layers import VGG_ARCHS, find_nodes, vgg_nodes
from featad.features.summaries import Pooled
from featad.features.weights import find_weights, load_network

CPU = torch.device("cpu")
CHEAP = ("squeezenet1_1", "resnet18", "mobilenet_v3_large", "efficientnet_b0")
TORCHVISION = [arch for arch in VGG_ARCHS if arch != "vgg_mini"]


@pytest.fixture(autouse=True)
def few_loaded_networks():
    yield
    extractor._cache.clear()


def hooked(network, x, *names):
    """Return copies of what modules of an untouched network put out."""
    seen = {}

    def keep(name, module, inputs, output):
        seen[name] = output.clone()

    for name in names:
        module = network.get_submodule(name)
        module.register_forward_hook(lambda *args, name=name: keep(name, *args))
    with torch.inference_mode():
        network(x)
    return seen


def is_near(values, expected):
    """Return whether two networks agree: their weights lie in memory in another way."""
    return (values - expected).abs().max() <= 1e-5 * expected.abs().max()


def photos(n=2, seed=0, size=(50, 40)):
    rng = np.random.default_rng(seed)
    return [
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        for _ in range(n)
    ]


@pytest.fixture
def read(monkeypatch):
    """Return a function that has a network read in place of the one of full size."""

    def read(network):
        network.eval().requires_grad_(False)
        monkeypatch.setattr(
            extractor, "read_network", lambda _: (copy.deepcopy(network), "thin")
        )
        return network

    return read


def thin_vgg(arch):
    """Return a VGG with all its convolutions and few fully connected neurons."""
    with torch.device("meta"):
        network = torchvision.models.get_model(arch)
    network.features.to_empty(device="cpu")
    for module in network.features.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    for index, width in ((0, 512 * 49), (3, 64), (6, 64)):
        network.classifier[index] = torch.nn.Linear(width, 64)
    return network


@pytest.mark.parametrize("arch", TORCHVISION)
def test_vgg_features_equal_torchvisions_forward_pass(arch, read):
    network = read(thin_vgg(arch))
    nodes = vgg_nodes(arch)
    last = list(nodes)[-1]
    layers = ("fc7", "fc6", "conv1_1", last)
    prepare = torchvision.models.get_model_weights(arch).DEFAULT.transforms(
        crop_size=32, resize_size=36
    )
    x = torch.stack([prepare(photo) for photo in photos()])
    # a hook on a ReLU sees its output, on a network that works in place as well
    seen = hooked(network, x, *[nodes[name] for name in layers])
    expected = [seen[nodes[name]] for name in layers]
    expected = torch.cat([v if v.ndim == 2 else v.mean((2, 3)) for v in expected], 1)

    features = VGGFeatures(arch, layer=layers, weights=None, image_size=32, crop=True)
    found = features.transform(photos())
    assert found.std(axis=1).min() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_vgg16_equals_torchvisions_forward_pass_at_its_own_size():
    network, _ = load_network("vgg16", None)
    prepare = torchvision.models.VGG16_Weights.DEFAULT.transforms()
    images = photos(size=(300, 400))
    x = torch.stack([prepare(image) for image in images])
    expected = hooked(network, x, "classifier.4")["classifier.4"]
    features = VGGFeatures(weights=None, crop=True).fit_transform(images)
    assert features.shape == (2, 4096)
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.data
def test_pretrained_features_equal_torchvisions_forward_pass(real_weights):
    network = torchvision.models.squeezenet1_1()
    network.load_state_dict(torch.load(real_weights, weights_only=True))
    prepare = torchvision.models.SqueezeNet1_1_Weights.DEFAULT.transforms()
    images = photos(size=(300, 260))
    x = torch.stack([prepare(image) for image in images])
    expected = hooked(network.eval(), x, "features.9")["features.9"].mean((2, 3))
    features = BackboneFeatures(
        "squeezenet1_1", weights=real_weights, layer="features.9", crop=True
    )
    np.testing.assert_allclose(
        features.transform(images), expected, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("arch", "layer"),
    [
        ("resnet18", "layer1.0.bn2"),
        ("squeezenet1_1", "features.0"),
        ("densenet121", "features.norm5"),
        ("efficientnet_b0", "features.2.1.stochastic_depth"),
    ],
)
def test_later_work_in_place_leaves_a_layer_alone(arch, layer):
    network, _ = load_network(arch, None)
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = hooked(network, x, layer)[layer]
    loaded = extractor.load_extractor(find_weights(arch, None), (layer,), CPU, "torch")
    with torch.inference_mode():
        assert is_near(loaded._cut(x)[layer], expected)


@pytest.mark.parametrize("arch", CHEAP)
def test_by_default_a_layer_is_what_enters_the_classifying_one(arch):
    network, _ = load_network(arch, None)
    kind = torch.nn.Conv2d if arch.startswith("squeeze") else torch.nn.Linear
    classify = [m for m in network.modules() if type(m) is kind][-1]
    seen = []
    classify.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
    x = torch.rand(1, 3, 64, 64)
    loaded = extractor.load_extractor(find_weights(arch, None), (None,), CPU, "torch")
    with torch.inference_mode():
        network(x)
        (output,) = loaded._cut(x).values()
    assert is_near(output, seen[0])


def test_tokens_of_a_transformer_are_pooled(read):
    network = read(VisionTransformer(224, 32, 2, 2, hidden_dim=32, mlp_dim=32))
    prepare = torchvision.models.ViT_B_32_Weights.DEFAULT.transforms()
    image = photos(1, size=(240, 260))
    expected = hooked(network, prepare(image[0])[None], "encoder.ln")["encoder.ln"]
    features = BackboneFeatures(
        "vit_b_32", layer="encoder.ln", weights=None, crop=True
    ).transform(image)
    np.testing.assert_allclose(features, expected.mean(1), rtol=1e-4, atol=1e-5)


def thin_swin():
    return SwinTransformer([4, 4], 16, [2, 1], [2, 2], [7, 7])


def thin_convnext():
    return ConvNeXt([CNBlockConfig(16, 32, 2), CNBlockConfig(32, None, 1)])


@pytest.mark.parametrize(
    ("arch", "layer", "make"),
    [
        ("swin_t", "features.1", thin_swin),
        ("convnext_tiny", "features.1.0.block.3", thin_convnext),
    ],
)
def test_maps_with_channels_last_are_pooled_over_positions(arch, layer, make, read):
    network = read(make())
    x = torch.rand(1, 3, 64, 64)
    expected = hooked(network, x, layer)[layer].mean((1, 2))
    loaded = extractor.load_extractor(find_weights(arch, None), (layer,), CPU, "torch")
    pixels = x * loaded._std + loaded._mean
    pixels = pixels.permute(0, 2, 3, 1).contiguous().numpy()
    pooled = Pooled(loaded.shapes((64, 64)), ("mean",))
    features = loaded.launch(pixels, pooled, "float32")()
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4)
    assert pooled.columns == ((f"{layer}_mean", len(features[0])),)


def test_default_layers_are_nodes_of_their_network():
    for arch in TORCHVISION:
        last, three = default_layers(arch)
        with torch.device("meta"):
            network = getattr(torchvision.models, arch)()
        assert len(find_nodes(network, arch, [last, *three])) == 4


@pytest.mark.parametrize(
    "arch",
    [
        arch if arch in CHEAP else pytest.param(arch, marks=pytest.mark.slow)
        for arch in BACKBONES
        if arch not in TORCHVISION or arch in ("vgg11", "vgg16_bn")
    ],
)
def test_default_layers_give_finite_features(images, arch):
    last, three = default_layers(arch)
    for layer, pooling in ((last, "mean"), (three, ("mean", "std", "max"))):
        features = BackboneFeatures(
            arch, layer=layer, pooling=pooling, weights=None, image_size=64
        )
        columns = features.fit_transform(images[:2])
        assert np.isfinite(columns).all()
        assert (columns.std(axis=0) > 0).any()


def test_middle_layers_have_a_sixteenth_of_the_size():
    for arch in CHEAP:
        layer = default_layers(arch)[1][1]
        loaded = extractor.load_extractor(
            find_weights(arch, None), (layer,), CPU, "torch"
        )
        shape = loaded._measure((256, 256))[layer]
        assert 14 <= shape[-1] <= 16, arch


def test_a_network_without_default_layers_is_refused():
    with pytest.raises(ValueError, match="layer_names"):
        default_layers("vit_b_16")


@pytest.mark.parametrize("arch", TORCHVISION)
def test_names_of_the_paper_are_relus_in_torchvision(arch):
    with torch.device("meta"):
        network = torchvision.models.get_model(arch)
    nodes = vgg_nodes(arch)
    relus = [
        name
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.ReLU)
    ]
    assert sorted(nodes.values()) == sorted(relus)
    assert len(nodes) == int(re.search(r"\d+", arch).group()) - 1


def test_layer_names_hold_nodes_and_blocks():
    names = layer_names("resnet18")
    assert {"layer1", "layer1.0", "layer1.0.conv1", "flatten", "fc"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.data
@pytest.mark.slow
def test_mid_layer_statistics_find_defects_of_magnetic_tiles(real_data, real_weights):
    folder = real_data / "magnetic_tile"
    train = sorted((folder / "train" / "good").iterdir())
    test = sorted((folder / "test").glob("*/*"))
    features = BackboneFeatures(
        "squeezenet1_1",
        weights=real_weights,
        layer="features.9",
        pooling=("mean", "std", "max"),
    )
    normal, tested = (normalize(features.transform(part)) for part in (train, test))
    distance = LedoitWolf().fit(normal).mahalanobis(tested)
    anomalous = [path.parent.name != "good" for path in test]
    assert roc_auc_score(anomalous, distance) == pytest.approx(0.981, abs=0.002)
