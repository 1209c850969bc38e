"""FenceGAN: a ring around a blob, the plain GAN it contains, and real digits."""

import numpy as np
import pytest
import torch

from featad.base import anomaly_scores
from featad.detectors import FenceGAN
from featad.metrics import auroc
from featad.neural.detector import Context, TorchDetector
from featad.neural.gan_losses import adversarial, dispersion
from featad.neural.networks import critic, decoder

from _probe import to_tensor

TINY = {
    "latent_dim": 3, "width": 4, "dense": False, "device": "cpu", "random_state": 0
}  # fmt: skip
PLAIN = {"alpha": 1.0, "beta": 0.0, "gamma": 1.0, "warmup_epochs": 0}
RING = {
    "width": 8,
    "max_epochs": 200,
    "batch_size": 256,
    "lr": 0.004,
    "random_state": 0,
}


class PlainGAN(TorchDetector):
    """The GAN as it is written in text books.

    Notes
    -----
    For comparison.
    """

    _parameter_constraints: dict = {**TorchDetector._parameter_constraints}
    _optimizers = FenceGAN._optimizers

    def __init__(self, **options):
        super().__init__(**options)

    def _networks(self, shape):
        return {
            "generator": decoder(shape, 3, width=4, output="sigmoid"),
            "critic": critic(shape, width=4),
        }

    def _losses(self, nets, x, t):
        made = nets["generator"](torch.randn(len(x), 3, generator=t.rng))
        (real, _), (fake, _) = nets["critic"](x), nets["critic"](made.detach())
        loss = adversarial(real, real=True) + adversarial(fake, real=False)
        yield ("critic",), loss
        yield ("generator",), adversarial(nets["critic"](made)[0], real=True)

    def _strangeness_of(self, nets, x, t):
        return -nets["critic"](x)[0]


@pytest.fixture
def fitted(images):
    return FenceGAN(**TINY, max_epochs=8).fit(images)


@pytest.fixture(scope="module")
def blob():
    return np.random.default_rng(0).standard_normal((256, 2))


@pytest.fixture(scope="module")
def fenced(blob):
    return FenceGAN(beta=5.0, gamma=0.5, **RING).fit(blob)


def generated(detector, n=500):
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        made = detector.networks_["generator"](
            torch.randn(n, detector.latent_dim, generator=rng)
        )
    return made.numpy() * detector.input_scale_ + detector.input_mean_


def test_the_generated_samples_surround_a_blob(fenced, blob):
    made = generated(fenced)
    nine_tenths = np.quantile(np.hypot(*blob.T), 0.9)
    beyond = (np.hypot(*made.T) > nine_tenths).mean()
    plain = generated(FenceGAN(**PLAIN, **RING).fit(blob))
    assert beyond > 0.7
    assert beyond > (np.hypot(*plain.T) > nine_tenths).mean() + 0.3
    sectors = np.floor(np.arctan2(made[:, 1], made[:, 0]) / np.pi * 4)
    assert len(np.unique(sectors)) == 8


def test_strangeness_grows_with_the_distance_from_a_blob(fenced):
    angle = np.linspace(0, 2 * np.pi, 33)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    rings = [-fenced.score_samples(radius * circle) for radius in (1, 2, 4, 8)]
    assert (np.diff([ring.mean() for ring in rings]) > 0).all()
    assert rings[2].min() > rings[0].max()  # whatever the direction


def test_without_a_fence_it_is_the_plain_gan(images):
    options = {"max_epochs": 5, "device": "cpu", "random_state": 0}
    plain = PlainGAN(**options).fit(images)
    detector = FenceGAN(**{**TINY, **options}, **PLAIN, lr=plain.lr, ema=None)
    np.testing.assert_array_equal(
        detector.fit(images).score_samples(images), plain.score_samples(images)
    )


def test_in_the_warm_up_the_critic_learns_alone(images):
    start = FenceGAN(**TINY, max_epochs=0).fit(images)
    detector = FenceGAN(**TINY, max_epochs=5, warmup_epochs=5).fit(images)
    assert all("generator" not in record for record in detector.history_)
    np.testing.assert_array_equal(generated(detector), generated(start))
    assert detector.history_[-1]["critic"] < detector.history_[0]["critic"]


def test_alpha_is_what_the_critic_says_of_generated_samples(images):
    class FrozenCritic(FenceGAN):
        def _losses(self, nets, x, t):
            for names, loss in super()._losses(nets, x, t):
                if names == ("generator",):
                    yield names, loss

    options = {**TINY, "beta": 0.0, "warmup_epochs": 0, "lr": 0.01, "max_epochs": 150}
    for alpha in (0.47, 0.5):
        detector = FrozenCritic(**options, alpha=alpha).fit(images)
        made = torch.from_numpy(generated(detector)).float()
        with torch.no_grad():
            said = detector.networks_["critic"](made)[0].sigmoid()
        assert abs(float(said.mean()) - alpha) < 0.02


def test_beta_keeps_the_generated_samples_apart(images):
    def spread(beta):
        detector = FenceGAN(**TINY, beta=beta, lr=0.01, max_epochs=60).fit(images)
        return 1 / float(dispersion(torch.from_numpy(generated(detector))))

    assert spread(3.0) > 1.5 * spread(0.0)


def test_early_stopping_watches_the_fence_and_needs_no_labels(fitted, images):
    nets, x = fitted.networks_, to_tensor(fitted, images)
    rng = torch.Generator().manual_seed(3)
    with torch.no_grad():
        key = fitted._keep_key(nets, x, Context(rng))
        noise = torch.randn(24, 3, generator=rng.manual_seed(3))
        said = nets["critic"](nets["generator"](noise))[0].sigmoid().mean()
        own = -nets["critic"](x)[0].sigmoid().log()
    np.testing.assert_allclose(key, own + (said - 0.5).abs(), rtol=1e-5)
    fitted.set_params(max_epochs=100, lr=0.01, early_stopping=10).fit(images)
    watched = [record["validation"] for record in fitted.history_]
    assert len(watched) == np.argmin(watched) + 11 < 100


def test_the_strangeness_is_a_logit(fitted, images):
    with torch.no_grad():
        logit, _ = fitted.networks_["critic"](to_tensor(fitted, images))
    np.testing.assert_allclose(fitted.score_samples(images), logit, rtol=1e-4)


def test_a_map_is_the_gradient_of_the_logit(fitted):
    X = np.random.default_rng(0).random((6, 13, 10, 3), dtype=np.float32)
    detector = FenceGAN(**TINY, max_epochs=1, map_sigma=0).fit(X)
    x = to_tensor(detector, X).requires_grad_()
    detector.networks_["critic"](x)[0].sum().backward()
    maps = detector.anomaly_map(X)
    assert maps.shape == (6, 13, 10)
    np.testing.assert_allclose(maps, x.grad.abs().sum(1), rtol=1e-4)


@pytest.mark.data
@pytest.mark.slow
def test_it_finds_other_digits_among_eights(eights):
    train, X, y = eights

    def found(**params):
        detectors = (FenceGAN(random_state=seed, **params) for seed in range(3))
        return [auroc(y, anomaly_scores(one.fit(train), X)) for one in detectors]

    fenced, plain = found(), found(**PLAIN)
    assert min(fenced) > 0.75
    assert np.mean(fenced) > np.mean(plain) + 0.05
    assert np.mean(fenced) > np.mean(found(max_epochs=0)) + 0.1
