"""VAE: its bound, its maps against finite differences, and real digits."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from torch.distributions import Normal, kl_divergence

from featad.base import anomaly_scores
from featad.datasets.idx import load_idx
from featad.detectors import VAE, NearestNeighbors
from featad.metrics import auroc

from _probe import to_tensor

TINY = {"latent_dim": 3, "width": 4, "random_state": 0}
MAPS = ["reconstruction", "kl_gradient", "elbo_gradient", "product"]


@pytest.fixture
def fitted(images):
    return VAE(**TINY, max_epochs=3, beta=0.5, score_by="elbo").fit(images)


def test_the_bound_falls_in_training(images):
    history = VAE(**TINY, max_epochs=30).fit(images).history_
    name = "encoder+decoder+spread"
    assert history[-1][name] < history[0][name]


def test_the_strangeness_is_the_bound_by_torch_distributions(fitted, images):
    x = to_tensor(fitted, images)
    nets = fitted.networks_
    mean, log_variance = nets["encoder"](x).chunk(2, 1)
    posterior = Normal(mean, (0.5 * log_variance).exp())
    kl = kl_divergence(posterior, Normal(0.0, 1.0)).sum(1)
    likelihood = Normal(nets["decoder"](mean), nets["spread"]().exp())
    nll = -likelihood.log_prob(x).flatten(1).sum(1)
    for score_by, expected in {
        "kl": kl, "nll": nll, "elbo": nll + 0.5 * kl
    }.items():  # fmt: skip
        fitted.set_params(score_by=score_by)
        np.testing.assert_allclose(-fitted.score_samples(images), expected, rtol=1e-4)


def test_scoring_samples_nothing(fitted, images):
    np.testing.assert_array_equal(
        fitted.score_samples(images), fitted.score_samples(images)
    )
    np.testing.assert_array_equal(
        fitted.anomaly_map(images), fitted.anomaly_map(images)
    )


def test_sigma_can_be_learned_or_given(images):
    learned = VAE(**TINY, max_epochs=40).fit(images)
    residual = (images - rebuilt(learned, images)).std()
    sigma = float(learned.networks_["spread"]().exp())
    assert sigma == pytest.approx(residual, rel=0.5)
    given = VAE(**TINY, max_epochs=5, sigma=0.2).fit(images)
    assert float(given.networks_["spread"]().exp()) == pytest.approx(0.2)


def rebuilt(detector, images):
    with torch.no_grad():
        code = detector.networks_["encoder"](to_tensor(detector, images))
        return (
            detector.networks_["decoder"](code.chunk(2, 1)[0])
            .numpy()
            .transpose(0, 2, 3, 1)
        )


def test_the_bound_sums_over_pixels():
    shade = np.random.default_rng(0).random((60, 1, 1))
    X = (shade * np.ones((1, 16, 16))).astype(np.float32)
    detector = VAE(2, width=8, sigma=0.1, max_epochs=40, random_state=0, score_by="kl")
    divergence = -detector.fit(X).score_samples(X).mean()
    assert divergence > 1  # a mean over pixels would collapse the code


def test_a_large_beta_collapses_the_code(images):
    def kl(beta):
        detector = VAE(**TINY, sigma=0.1, beta=beta, max_epochs=60, score_by="kl")
        return -detector.fit(images).score_samples(images).mean()

    assert kl(1000.0) < 0.1 * kl(0.01)


@pytest.mark.parametrize("map_by", MAPS)
def test_maps_have_the_size_of_the_image(images, map_by):
    X = images[:, :7, :5]
    detector = VAE(**TINY, max_epochs=1, map_by=map_by).fit(X)
    maps = detector.anomaly_map(X)
    assert maps.shape == (24, 7, 5)
    assert maps.dtype == np.float32
    assert (maps >= 0).all()
    assert maps.std() > 0


@pytest.mark.parametrize("map_by", MAPS)
def test_a_map_does_not_depend_on_the_other_images(images, map_by):
    fitted = VAE(**TINY, max_epochs=2, map_by=map_by).fit(images)
    together = fitted.anomaly_map(images)[5]
    np.testing.assert_allclose(
        fitted.anomaly_map(images[5:6])[0], together, rtol=1e-3, atol=1e-6
    )


@pytest.mark.parametrize("kind", ["kl", "elbo"])
def test_gradient_maps_equal_finite_differences(kind):
    rng = np.random.default_rng(0)
    X = rng.random((5, 2, 3)).astype(np.float32)  # six pixels
    detector = VAE(
        1, width=4, depth=1, max_epochs=2, random_state=0, map_sigma=0,
        map_by=f"{kind}_gradient",
    ).fit(X)  # fmt: skip
    for net in detector.networks_.values():
        net.double()
    detector.set_params(score_by=kind)
    x = torch.from_numpy(X).double()[:, None]
    expected = torch.empty(5, 2, 3)
    step = 1e-5
    for i in range(2):
        for j in range(3):
            moved = torch.zeros_like(x)
            moved[:, :, i, j] = step
            rise = detector._strangeness_of(detector.networks_, x + moved, None)
            fall = detector._strangeness_of(detector.networks_, x - moved, None)
            expected[:, i, j] = ((rise - fall) / (2 * step)).abs().detach()
    maps = detector._one_map(f"{kind}_gradient", detector.networks_, x, None)
    np.testing.assert_allclose(maps.detach(), expected, rtol=1e-3, atol=1e-6)


def test_the_product_is_scaled_by_training_images(images):
    fitted = VAE(**TINY, max_epochs=2, map_by="product").fit(images)
    factors = []
    for kind in ("reconstruction", "kl_gradient"):
        factor = fitted.set_params(map_by=kind).anomaly_map(images)
        quantile = np.quantile(factor.reshape(24, -1), 0.99, axis=1).mean()
        np.testing.assert_allclose(fitted.statistics_[kind], quantile, rtol=1e-4)
        factors.append(factor / quantile)
    product = fitted.set_params(map_by="product").anomaly_map(images)
    np.testing.assert_allclose(product, factors[0] * factors[1], rtol=1e-3, atol=1e-6)


def test_gradients_are_measured_for_the_product_alone(fitted, images):
    assert fitted.statistics_ == {}
    with pytest.raises(ValueError, match=r"map_by='product' of VAE .* Fit again"):
        fitted.set_params(map_by="product").anomaly_map(images)


def test_a_planted_square_is_found_by_every_factor():
    rng = np.random.default_rng(0)
    shade = rng.uniform(0.3, 0.7, (80, 1, 1))
    slope = rng.uniform(-0.2, 0.2, (80, 1, 1)) * np.linspace(-1, 1, 16)
    X = shade + slope * np.ones((1, 16, 1)) + rng.normal(0, 0.01, (80, 16, 16))
    X = X.clip(0, 1).astype(np.float32)
    planted, mask = X[:20].copy(), np.zeros((20, 16, 16), dtype=bool)
    mask[:, 5:9, 6:10] = True
    planted[mask] = 1.0
    options = {"max_epochs": 60, "lr": 3e-3, "random_state": 0}
    detector = VAE(4, width=8, map_by="product", **options).fit(X)

    def pixel_auroc(map_by):
        maps = detector.set_params(map_by=map_by).anomaly_map(planted)
        return roc_auc_score(mask.ravel(), maps.ravel())

    product = pixel_auroc("product")
    assert product > 0.9
    assert product >= pixel_auroc("reconstruction") - 0.02
    assert product >= pixel_auroc("kl_gradient") - 0.02


def test_without_noise_and_divergence_it_is_an_autoencoder(images):
    class Certain(VAE):
        def _networks(self, shape):
            nets = super()._networks(shape)
            with torch.no_grad():  # a posterior without width
                nets["encoder"][-1].bias[self.latent_dim :] = -60
                nets["encoder"][-1].weight[self.latent_dim :] = 0
            return nets

    detector = Certain(**TINY, beta=0.0, sigma=1.0, max_epochs=1, batch_size=24)
    detector.fit(images)
    start = clone(detector).set_params(max_epochs=0).fit(images)
    squared = ((images - rebuilt(start, images)) ** 2).sum((1, 2, 3)).mean()
    constant = 0.5 * np.log(2 * np.pi) * images[0].size
    loss = detector.history_[0]["encoder+decoder+spread"]
    assert loss == pytest.approx(0.5 * squared + constant, rel=1e-4)


@pytest.mark.data
@pytest.mark.slow
def test_zeros_among_nine_digits_are_found_better_than_by_the_nearest_neighbor(
    real_data,
):
    train, digits = load_idx(real_data / "mnist", "train")
    test, test_digits = load_idx(real_data / "mnist", "test")
    train, test = train[digits != 0] / np.float32(255), test / np.float32(255)
    y = np.where(test_digits == 0, -1, 1)
    detector = VAE(5, dense=True, score_by="elbo", max_epochs=150, random_state=0)
    found, line = (
        auroc(y, anomaly_scores(one.fit(train), test))
        for one in (detector, NearestNeighbors())
    )
    assert found > max(0.966, line)
