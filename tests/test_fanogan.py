"""f-AnoGAN: two stages, three ways to train the encoder, planted samples, digits."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from featad.base import anomaly_scores
from featad.detectors import FAnoGAN
from featad.metrics import auroc

from _probe import to_tensor

TINY = {
    "latent_dim": 2, "width": 4, "max_epochs": 3, "device": "cpu", "random_state": 0,
}  # fmt: skip
WAYS = ["izi_f", "izi", "ziz"]


def build(**options):
    return FAnoGAN(**{**TINY, **options})


@pytest.fixture(scope="module")
def fitted(images):
    return build().fit(images)


class Watched(FAnoGAN):
    """Notes the weights after each stage."""

    def _fit_statistics(self, nets, batches, t):
        return {
            f"{t.stage} {name} {key}": value.clone()
            for name, net in nets.items()
            for key, value in net.state_dict().items()
        }


@pytest.mark.parametrize("way", WAYS)
def test_the_encoder_stage_leaves_generator_and_critic_bit_by_bit(images, way):
    detector = Watched(**TINY, encoder_by=way).fit(images)
    notes = detector.statistics_
    moved = {"generator": False, "critic": False, "encoder": False}
    for key in [key for key in notes if key.startswith("gan ")]:
        name, now = key.split()[1], notes[key.replace("gan", "encoder", 1)]
        moved[name] |= not np.array_equal(notes[key], now)
    assert moved == {"generator": False, "critic": False, "encoder": True}


def test_the_gan_stage_leaves_the_encoder(images):
    after = Watched(**TINY).fit(images).statistics_
    before = Watched(**{**TINY, "max_epochs": 0}).fit(images).statistics_
    keys = [key for key in before if key.startswith("gan encoder")]
    assert keys
    assert all(np.array_equal(before[key], after[key]) for key in keys)


def test_the_generator_takes_one_step_for_several_of_the_critic(images):
    steps = []

    class Counted(FAnoGAN):
        def _gan_losses(self, nets, x, noise, t):
            for names, loss in super()._gan_losses(nets, x, noise, t):
                steps.append(names[0])
                yield names, loss

    Counted(**{**TINY, "max_epochs": 10}, n_critic=5).fit(images)
    assert steps.count("critic") == 10
    assert steps.count("generator") == 2


def test_history_tells_the_stages_apart(fitted):
    stages = [record["stage"] for record in fitted.history_]
    assert stages == ["gan"] * 3 + ["encoder"] * 3
    assert fitted.history_[0].keys() >= {"critic", "generator"}
    assert "encoder" in fitted.history_[-1]


@pytest.mark.parametrize("way", WAYS)
def test_the_encoder_learns(images, way):
    history = build(encoder_by=way, max_epochs=40, lr=0.003).fit(images).history_
    assert history[-1]["encoder"] < history[40]["encoder"]


def test_without_kappa_it_is_izi(images):
    plain = build(encoder_by="izi").fit(images)
    weightless = build(encoder_by="izi_f", kappa=0.0).fit(images)
    np.testing.assert_array_equal(
        plain.score_samples(images), weightless.score_samples(images)
    )


@pytest.mark.parametrize("way", WAYS)
def test_the_score_is_the_paper_s(images, way):
    detector = build(encoder_by=way, kappa=0.5, score_by="mean").fit(images)
    x, nets = to_tensor(detector, images), detector.networks_
    with torch.no_grad():
        rebuilt = nets["generator"](nets["encoder"](x).tanh())
        f, g = (nets["critic"](seen)[1] for seen in (x, rebuilt))
    expected = ((x - rebuilt) ** 2).flatten(1).mean(1)
    if way == "izi_f":
        expected = expected + 0.5 * ((f - g) ** 2).mean(1)
    np.testing.assert_allclose(-detector.score_samples(images), expected, rtol=1e-4)
    expected = (x - rebuilt).abs().mean(1)
    np.testing.assert_allclose(detector.anomaly_map(images), expected, rtol=1e-4)


def test_the_relative_score_is_over_the_root_of_what_is_there(images):
    detector = build(kappa=1.0).fit(images)
    x, nets = to_tensor(detector, images), detector.networks_
    with torch.no_grad():
        rebuilt = nets["generator"](nets["encoder"](x).tanh())
        f, g = (nets["critic"](seen)[1] for seen in (x, rebuilt))
    error = ((x - rebuilt) ** 2).flatten(1).mean(1) / (x**2).flatten(1).mean(1).sqrt()
    expected = error + ((f - g) ** 2).mean(1) / (f**2).mean(1)
    np.testing.assert_allclose(-detector.score_samples(images), expected, rtol=1e-4)


def test_what_the_generator_can_show_scores_near_zero(images):
    detector = build(encoder_by="ziz", code_limit=None, max_epochs=300, lr=3e-3)
    detector.fit(images)
    z = torch.randn(20, 2, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        planted = detector.networks_["generator"](z).permute(0, 2, 3, 1).numpy()
    noise = np.random.default_rng(0).random(planted.shape).astype(np.float32)
    found, other = (-detector.score_samples(X) for X in (planted, noise))
    assert found.mean() < 0.02
    assert found.mean() < 0.1 * other.min()


def test_the_code_stays_within_the_limit(images):
    detector = build(code_limit=0.5, max_epochs=20, lr=0.01).fit(images)
    code = detector._code(detector.networks_, 100 * to_tensor(detector, images))
    assert code.abs().max() <= 0.5


def test_trimming_judges_by_the_critic_until_there_is_an_encoder(images):
    detector = build(trim=0.2, max_epochs=10).fit(images)
    assert detector.trimmed_share_.max() > 0
    assert np.isfinite(detector.score_samples(images)).all()


@pytest.mark.data
@pytest.mark.slow
def test_it_finds_other_digits_among_zeros(zeros):
    train, X, y = zeros
    detector = FAnoGAN(random_state=0, device="cpu")
    untrained = clone(detector).set_params(max_epochs=0)
    found, before = (
        auroc(y, anomaly_scores(one.fit(train), X)) for one in (detector, untrained)
    )
    assert found > max(0.95, before + 0.05)
