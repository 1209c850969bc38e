"""ASCNet: two sets, two cuts, one critic, and blobs that the reference lacks."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from featad.base import anomaly_scores
from featad.datasets import load_idx
from featad.detectors import ASCNet, PCAReconstruction
from featad.metrics import auroc, pixel_auroc
from featad.neural.context import Context

from _probe import build, to_tensor

TINY = {"width": 4, "depth": 2, "device": "cpu", "random_state": 0}
SETS = np.repeat([1, 0], 12)  # of the fixture's images


@pytest.fixture(scope="module")
def fitted(images):
    return ASCNet(**TINY, max_epochs=3).fit(images, SETS)


def textures(n, rng, n_blobs=0, size=16):
    """Return cloudy textures, the first ones with a dark blob, and masks of these."""
    coarse = torch.from_numpy(rng.uniform(0.5, 0.8, (n, 1, 6, 6)))
    fine = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic")
    X = fine[:, 0].numpy() + rng.normal(0, 0.03, (n, size, size))
    inside = np.zeros(X.shape, dtype=bool)
    rows, columns = np.mgrid[:size, :size]
    for blob in inside[:n_blobs]:
        row, column = rng.uniform(4, size - 4, 2)
        blob[:] = (rows - row) ** 2 + (columns - column) ** 2 < 9
    X[inside] -= 0.25
    return X.clip(0, 1).astype(np.float32), inside


@pytest.fixture(scope="module")
def trained():
    rng = np.random.default_rng(0)
    X = np.concatenate([textures(96, rng)[0], textures(96, rng, n_blobs=32)[0]])
    detector = ASCNet(depth=2, n_critic=2, max_epochs=60, device="cpu", random_state=0)
    return detector.fit(X, np.repeat([1, 0], 96))


def untrained(detector, X, y):
    return clone(detector).set_params(max_epochs=0).fit(X, y)


def cuts(detector, X):
    """Return both cuts of each image, as arrays."""
    x = to_tensor(detector, X)
    with torch.no_grad():
        first = detector._rebuilt(detector.networks_, x, None)
    return first.numpy(), (x - first).numpy()


def overlap(first, second):
    """Return the Dice overlap of the absolute values, from 0 to 1."""
    return 2 * np.abs(first * second).sum() / (first**2 + second**2).sum()


@pytest.mark.slow
def test_planted_blobs_are_found_by_image_and_by_pixel(trained):
    X, inside = textures(80, np.random.default_rng(1), n_blobs=40)
    y = np.repeat([-1, 1], 40)
    before = untrained(trained, X, y)
    assert pixel_auroc(inside, before.anomaly_map(X)) < 0.75
    assert pixel_auroc(inside, trained.anomaly_map(X)) >= 0.9
    found, before = (auroc(y, anomaly_scores(one, X)) for one in (trained, before))
    assert found > max(0.9, before)


@pytest.mark.slow
def test_the_overlap_of_the_cuts_falls_in_training(trained):
    X, _ = textures(40, np.random.default_rng(2), n_blobs=20)
    before = untrained(trained, X, np.repeat([0, 1], 20))
    assert overlap(*cuts(trained, X)) < 0.2 * overlap(*cuts(before, X))


@pytest.mark.slow
def test_dark_blobs_are_cut_off_by_making_them_brighter(trained):
    X, inside = textures(40, np.random.default_rng(2), n_blobs=40)
    _, second = cuts(trained, X)
    assert second[:, 0][inside].mean() < -0.03


@pytest.mark.slow
def test_of_a_mixed_set_like_the_reference_nothing_is_cut_off(trained):
    X, _ = textures(192, np.random.default_rng(3))
    detector = clone(trained).fit(X, np.repeat([1, 0], 96))
    _, second = cuts(detector, X)
    assert np.abs(second).mean() < 0.02 * X.mean()


@pytest.mark.data
@pytest.mark.slow
def test_it_finds_digits_that_only_the_mixed_set_holds(real_data, eights):
    train, test, y = eights
    images, digits = load_idx(real_data / "mnist", "train")
    others = np.random.default_rng(0).permutation(images[digits != 8])[:50]
    X = np.concatenate([train[:450], others / np.float32(255)])
    sets = np.repeat([1, 0], [250, 250])  # 50 in 250 mixed ones are no eights
    detector = ASCNet(max_epochs=60, device="cpu", random_state=0)
    found = auroc(y, anomaly_scores(detector.fit(X, sets), test))
    before = auroc(y, anomaly_scores(untrained(detector, X, sets), test))
    pca = auroc(y, anomaly_scores(PCAReconstruction(32).fit(train[:250]), test))
    linear = LogisticRegression(C=0.01).fit(X.reshape(500, -1), sets)
    linear = auroc(y, -linear.decision_function(test.reshape(len(test), -1)))
    assert found > max(pca, linear, before) + 0.03


@pytest.mark.parametrize("y", [None, np.ones(24, int), np.zeros(24, int)])
def test_two_sets_are_needed(images, y):
    with pytest.raises(
        ValueError, match=r"learns from two sets: .* of 24 labels are 1"
    ):
        ASCNet(**TINY).fit(images, y)


def test_labeled_anomalies_belong_to_the_mixed_set(images, fitted):
    y = np.where(np.arange(24) < 18, SETS, -1)
    detector = ASCNet(**TINY, max_epochs=3).fit(images, y)
    scores = fitted.score_samples(images)
    np.testing.assert_array_equal(detector.score_samples(images), scores)


def test_the_sets_matter(images, fitted):
    other = ASCNet(**TINY, max_epochs=3).fit(images, SETS[::-1])
    scores = other.score_samples(images)
    assert np.abs(scores - fitted.score_samples(images)).max() > 1e-5


def test_the_sparser_the_less_is_cut_off(images):
    params = {**TINY, "max_epochs": 20, "lr": 0.01, "n_critic": 1}
    sizes = [
        ASCNet(sparsity=sparsity, **params).fit(images, SETS).anomaly_map(images).mean()
        for sparsity in (0.0, 0.3, 3.0)
    ]
    assert sizes[0] > 2 * sizes[1] > 4 * sizes[2]


def test_contamination_is_a_share_of_the_reference_set(images):
    detector = ASCNet(**TINY, max_epochs=2, contamination=0.25).fit(images, SETS)
    assert (detector.predict(images[SETS == 1]) == -1).sum() == 3


def test_tables_are_scaled_by_the_reference_set():
    X = np.random.default_rng(0).normal(5, 2, (40, 3))
    X[20:] += 100
    detector = ASCNet(**TINY, max_epochs=1).fit(X, np.repeat([1, 0], 20))
    np.testing.assert_allclose(detector.input_mean_, X[:20].mean(axis=0))


def test_the_critic_takes_its_steps_before_the_network(fitted, images):
    names = [names for names, _ in losses(fitted, images, SETS)]
    assert names == [("critic",)] * 3 + [("unet",)]


def test_the_critic_has_the_beginning_for_itself(fitted, images):
    names = [names for names, _ in losses(fitted, images, SETS, progress=0.1)]
    assert names == [("critic",)] * 3


def test_the_critic_s_loss_does_not_reach_the_network(fitted, images):
    nets = build(fitted)
    _, loss = next(losses(fitted, images, SETS, nets))
    weights = list(nets["unet"].parameters())
    found = torch.autograd.grad(loss.sum(), weights, allow_unused=True)
    assert found == (None,) * len(weights)


def test_the_critic_s_opinion_moves_the_cuts_of_the_mixed_set_alone(fitted, images):
    detector = clone(fitted).set_params(sparsity=0.0)
    detector.fit(images, SETS)
    *_, (_, loss) = losses(detector, images, SETS)
    assert (loss[:12] == 0).all()
    assert (loss[12:] != 0).all()


@pytest.mark.parametrize("kind", [1, 0])
def test_a_batch_of_one_set_trains_the_network_alone(fitted, images, kind):
    names = [names for names, _ in losses(fitted, images, np.full(24, kind))]
    assert names == [("unet",)]


def losses(detector, X, sets, nets=None, progress=0.5):
    y = torch.from_numpy(np.where(sets == 1, 1, -1))
    t = Context(torch.Generator().manual_seed(0), y=y, progress=progress)
    return detector._losses(nets or detector.networks_, to_tensor(detector, X), t)


def test_half_of_every_batch_is_mixed(images):
    seen = []

    class Watched(ASCNet):
        def _losses(self, nets, x, t):
            seen.append(int((t.y == -1).sum()))
            return super()._losses(nets, x, t)

    y = np.repeat([1, 0], [18, 6])
    Watched(**TINY, batch_size=8, max_epochs=2).fit(images, y)
    assert seen == [4] * 10  # 18 reference images, 4 at a time, twice


def test_the_cuts_sum_to_the_image_and_the_map_is_the_second(fitted, images):
    first, second = cuts(fitted, images)
    expected = np.moveaxis(images, -1, 1)
    np.testing.assert_allclose(first + second, expected, atol=1e-6)
    maps = np.abs(second).mean(axis=1)
    np.testing.assert_allclose(fitted.anomaly_map(images), maps, rtol=1e-4, atol=1e-7)


def test_a_score_does_not_depend_on_how_strange_the_others_are(fitted, images):
    together = fitted.score_samples(np.concatenate([images, 8 * images[:1]]))
    np.testing.assert_allclose(together[:-1], fitted.score_samples(images), rtol=1e-4)


def test_maps_have_the_input_s_size():
    X = np.random.default_rng(0).random((6, 13, 10, 3), dtype=np.float32)
    y = np.repeat([1, 0], 3)
    maps = ASCNet(**TINY, max_epochs=1).fit(X, y).anomaly_map(X)
    assert maps.shape == (6, 13, 10)
    assert maps.dtype == np.float32


def test_batches_of_one_sample_and_no_balance_are_survived(images):
    for params in ({"batch_size": 1}, {"balance": None, "batch_size": 3}):
        detector = ASCNet(**TINY, **params, max_epochs=2)
        detector.fit(images[8:16], SETS[8:16])
        assert np.isfinite(detector.score_samples(images)).all()
