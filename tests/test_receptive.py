"""What a position sees, by arithmetic, is what the network itself reacts to."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from featad import PatchFeatures, VGGPatches
from featad.features.graph import cut
from featad.features.layers import find_nodes
from featad.features.receptive import receptive_fields
from featad.features.weight_files import build, build_on_paper


def open_to_all(network):
    """Let every pixel through: positive weights, and means in place of maxima."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        if isinstance(module, nn.MaxPool2d):
            sizes = module.kernel_size, module.stride, module.padding
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, nn.AvgPool2d(*sizes))
    return network.double().eval()


def measured(arch, layer, size):
    """Return extent of the pixels a middle position depends on, and its stride."""
    network = open_to_all(build(arch))
    node = find_nodes(network, arch, (layer,))[layer]
    part = cut(network, [node])
    x = torch.rand(1, 3, size, size, dtype=torch.double).requires_grad_()
    maps = part(x)[node]
    middle = maps.shape[2] // 2
    edges = []
    for place in (middle, middle + 1):
        (gradient,) = torch.autograd.grad(
            maps[0, :, place, place].sum(), x, retain_graph=True
        )
        touched = gradient[0].abs().sum(0).nonzero()
        edges.append((touched.min(0).values, touched.max(0).values))
    (low, high), (next_low, _) = edges
    return tuple((high - low + 1).tolist()), tuple((next_low - low).tolist())


@pytest.mark.parametrize(
    ("arch", "layer", "size"),
    [
        ("squeezenet1_1", "features.4", 96),
        ("vgg_mini", "conv3_1", 128),
        ("resnet18", "layer2.0", 192),
        ("shufflenet_v2_x0_5", "stage2.1", 160),
    ],
)
def test_size_and_stride_are_those_that_gradients_show(arch, layer, size):
    field = receptive_fields(arch, (layer,))[layer]
    seen, stride = measured(arch, layer, size)
    assert (seen, stride) == (field.size, field.stride)


@pytest.mark.parametrize(
    ("arch", "layer", "stride", "size"),
    [  # as published: Araujo et al., "Computing receptive fields", Distill 2019
        ("alexnet", "features.12", 32, 195),
        ("vgg16", "features.30", 32, 212),
        ("resnet50", "layer4", 32, 427),
        ("resnet18", "layer2", 8, 99),
        ("squeezenet1_1", "features.7", 8, 63),
        ("efficientnet_b0", "features.3", 8, 67),  # its gates not counted
        ("vit_b_16", "encoder.layers.encoder_layer_0", 16, math.inf),
        ("swin_t", "features.3", 8, math.inf),
    ],
)
def test_sizes_and_strides_of_known_networks(arch, layer, stride, size):
    field = receptive_fields(arch, (layer,))[layer]
    assert field.stride == (stride, stride)
    assert field.size == (size, size)


@pytest.mark.slow
def test_pooling_by_functions_counts():
    field = receptive_fields("inception_v3", ("Mixed_6a",))["Mixed_6a"]
    assert field.stride == (16, 16)


def test_layers_without_a_map_have_no_field():
    fields = receptive_fields("vgg11", ("fc7", "conv1_1"))
    assert fields["fc7"] is None
    assert fields["conv1_1"].size == (3, 3)


@pytest.mark.parametrize("arch", ["vgg11", "squeezenet1_1", "resnet18"])
def test_strides_are_those_of_the_maps(arch):
    network, x = build_on_paper(arch), torch.zeros(1, 3, 256, 256, device="meta")
    layers = {"vgg11": "conv4_2", "resnet18": "layer3"}.get(arch, "features.9")
    node = find_nodes(network, arch, (layers,))[layers]
    height = cut(network, [node])(x)[node].shape[2]
    (field,) = receptive_fields(arch, (layers,)).values()
    np.testing.assert_allclose(256 / height, field.stride[0], rtol=0.1)


def test_stride_and_field_of_view_need_neither_weights_nor_a_fit(monkeypatch):
    monkeypatch.setattr("featad.features.weights.download", None)
    patches = VGGPatches()
    assert patches.stride == (4, 4)
    assert patches.field_of_view == (92 + 2 * 8 + 8,) * 2  # conv4_3, averaged, refined


def test_the_editions_of_vgg_mini_have_fields_of_their_own():
    own = VGGPatches("vgg_mini", layer="conv1_2", weights="generated", image_size=64)
    assert own.field_of_view == (7 + 2 * 2, 7 + 2 * 2)  # averaged over 3 x 3 positions
    with pytest.raises(ValueError, match="conv1_2"):
        VGGPatches("vgg_mini", layer="conv1_2", image_size=64).field_of_view  # noqa: B018


def test_a_position_sees_no_more_than_the_image():
    patches = PatchFeatures("squeezenet1_1", layer="features.12", image_size=64)
    assert patches.field_of_view == (64, 64)


def test_what_a_position_sees_is_within_its_field_of_view():
    """One pixel is changed: the positions that notice are near enough to it."""
    layers = ("conv3_1", "conv3_2")
    patches = VGGPatches("vgg_mini", layer=layers, image_size=192, n_components=16)
    plain = np.zeros((192, 192, 3), np.float32)
    one = plain.copy()
    one[96, 96] = 1
    before, after = patches.transform([plain, one])
    notice = np.argwhere(np.abs(after - before).max(-1) > 1e-6)
    seen = (np.ptp(notice, axis=0) + 1) * np.array(patches.stride)
    view = np.array(patches.field_of_view)
    assert (seen <= view + patches.stride).all()
    assert (seen > view / 2).all()
