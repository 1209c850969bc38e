"""Builders of encoders, decoders, critics and U-Nets, for any shape."""

import pytest
import torch
from torch import nn

from featad.neural.networks import critic as build_critic
from featad.neural.networks import crop, decoder, default_depth, encoder, pad
from featad.neural.sampling import chunks
from featad.neural.unet import unet

SHAPES = [(5,), (1, 8, 8), (3, 9, 5), (2, 1, 40), (4, 30, 17), (1, 1, 1)]


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def batch(shape, n=2):
    return torch.rand(n, *shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("norm", ["none", "batch", "batch-noaffine", "layer"])
def test_an_encoder_takes_any_shape_to_a_vector(shape, norm):
    x = batch(shape, 3)
    assert encoder(shape, 7, width=4, norm=norm)(x).shape == (3, 7)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dense", [True, False])
def test_a_decoder_gives_back_the_shape(shape, dense):
    assert decoder(shape, 7, width=4, dense=dense)(torch.rand(2, 7)).shape == (
        2,
        *shape,
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("skips", ["none", "inner", "all"])
def test_a_unet_gives_back_the_shape(shape, skips):
    network = unet(shape, width=4, depth=2, skips=skips)
    assert network(batch(shape)).shape == (2, *shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_critic_gives_a_logit_and_the_layer_before_it(shape):
    logit, tap = build_critic(shape, width=4)(batch(shape))
    assert logit.shape == (2,)
    assert tap.shape[0] == 2
    assert tap.ndim == 2


def test_a_critic_is_its_tap_and_a_linear_layer():
    network = build_critic((3, 8, 8), width=4)
    logit, tap = network(batch((3, 8, 8)))
    torch.testing.assert_close(network.head(tap)[:, 0], logit)


def test_a_joint_critic_looks_at_the_vector():
    network, x = build_critic((3, 8, 8), n_extra=4, width=4), batch((3, 8, 8))
    one, other = (
        network(x, extra)[0] for extra in (torch.zeros(2, 4), torch.ones(2, 4))
    )
    assert not torch.allclose(one, other)


def test_a_patch_critic_has_a_logit_for_every_place():
    logit, _ = build_critic((3, 16, 16), width=4, depth=2, patch=True)(
        batch((3, 16, 16))
    )
    assert logit.shape == (2, 4 * 4)


@pytest.mark.parametrize("options", [{"depth": 0}, {"dense": True}], ids=str)
def test_patch_logits_need_convolutions(options):
    with pytest.raises(ValueError, match="patch=True needs convolutions"):
        build_critic((3, 8, 8), patch=True, **options)


def test_spectral_norm_bounds_every_layer():
    critic = build_critic((1, 8, 8), width=4, spectral=True).eval()
    network = encoder((1, 8, 8), 3, width=4, spectral=True).eval()
    for module in [*critic.modules(), *network.modules()]:
        if isinstance(module, nn.Linear):
            assert torch.linalg.matrix_norm(module.weight, 2) < 1.5


def test_depth_zero_is_one_linear_map():
    network, x = encoder((3, 4, 4), 2, depth=0), batch((3, 4, 4))
    assert sum(isinstance(m, nn.Linear) for m in network.modules()) == 1
    torch.testing.assert_close(network(2 * x) - network(x), network(x) - network(0 * x))


def test_without_biases_nothing_comes_from_nothing():
    for shape in SHAPES:
        network = encoder(shape, 3, width=4, bias=False)
        assert not any(name.endswith("bias") for name, _ in network.named_parameters())
        assert network(torch.zeros(2, *shape)).abs().max() == 0


@pytest.mark.parametrize(
    ("output", "low", "high"), [("sigmoid", 0, 1), ("tanh", -1, 1)]
)
def test_the_output_stays_in_its_range(output, low, high):
    made = decoder((1, 8, 8), 2, width=4, output=output)(100 * torch.randn(4, 2))
    assert made.min() >= low
    assert made.max() <= high


def test_layer_norm_works_on_one_sample():
    for shape in SHAPES:
        network = encoder(shape, 3, width=4, norm="layer").train()
        assert torch.isfinite(network(batch(shape, 1))).all()


def test_samples_do_not_see_one_another():
    for network in (encoder((3, 9, 5), 4, width=4), unet((3, 9, 5), width=4)):
        x = batch((3, 9, 5), 6)
        alone = torch.cat([network(part) for part in x.split(1)])
        torch.testing.assert_close(network(x), alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [(8, 8), (9, 5), (1, 13), (28, 28)])
def test_cropping_undoes_padding(size):
    x = batch((2, *size))
    padded = pad(x, 8)
    assert padded.shape[2] % 8 == padded.shape[3] % 8 == 0
    torch.testing.assert_close(crop(padded, size), x)


def test_padding_repeats_the_edge():
    assert pad(torch.full((1, 1, 3, 3), 0.7), 8).unique().tolist() == pytest.approx(
        [0.7]
    )


def test_the_depth_leaves_about_four_pixels():
    depths = {side: default_depth((1, side, side)) for side in (1, 8, 28, 64, 256)}
    assert depths == {1: 1, 8: 1, 28: 3, 64: 4, 256: 6}


def test_channels_stop_doubling():
    widths = [m.out_channels for m in encoder((1, 256, 256), 2).modules()
              if isinstance(m, nn.Conv2d)]  # fmt: skip
    assert widths == [32, 64, 128, 256, 256, 256]


def test_a_unet_may_have_other_channels_in_and_out_and_two_decoders():
    network = unet((3, 8, 8), n_in=4, n_out=1, width=4, depth=2, n_decoders=2)
    outputs = network(batch((4, 8, 8)))
    assert [output.shape for output in outputs] == [(2, 1, 8, 8)] * 2
    assert not torch.equal(*outputs)


def test_a_bottleneck_is_as_small_as_the_depth_says():
    network = unet((3, 30, 17), width=4, depth=3)
    assert network.bottleneck(batch((3, 30, 17))).shape == (2, 32, 4, 3)
    assert unet((9,), width=4, depth=2).bottleneck(batch((9,))).shape == (2, 8)


def test_attention_starts_as_nothing_and_then_mixes_places():
    network = unet((1, 64, 64), width=4, depth=2, skips="none", attention=True)
    x = batch((1, 64, 64))
    changed = x.clone()
    changed[:, :, :2, :2] = 1 - changed[:, :, :2, :2]

    def far_corner(image):
        return network.bottleneck(image)[:, :, -1, -1]

    torch.testing.assert_close(far_corner(x), far_corner(changed))
    with torch.no_grad():
        network.attention.strength.fill_(1.0)
    assert not torch.equal(far_corner(x), far_corner(changed))


def test_a_unet_with_skips_sees_more_at_its_end():
    n_weights = {
        skips: sum(w.numel() for w in unet((1, 8, 8), skips=skips).parameters())
        for skips in ("none", "inner", "all")
    }
    assert n_weights["none"] < n_weights["inner"] < n_weights["all"]


def test_chunks_cover_everything_once():
    assert [list(part) for part in chunks(list(range(5)), 2)] == [[0, 1], [2, 3], [4]]


def test_the_last_features_of_a_unet_give_its_output():
    for shape in ((3, 9, 10), (9,)):
        network, x = unet(shape, width=4, depth=2, skips="all"), batch(shape)
        torch.testing.assert_close(network.heads[0](network.features(x)), network(x))
