"""CSI: contrast among samples and their shifted copies."""

import numpy as np
import pytest
import torch

from featad.detectors import CSI, SSD
from featad.neural.context import Context
from featad.neural.views import SHIFTS

TINY = {"width": 4, "latent_dim": 8, "max_epochs": 2, "random_state": 0}


@pytest.fixture(scope="module")
def upright():
    """Return images (32, 8, 8) that are light above, and the same upside down."""
    X = np.zeros((32, 8, 8))
    X[:, :3] = np.random.default_rng(0).uniform(0.5, 1, (32, 3, 8))
    return X, X[:, ::-1]


def test_without_copies_the_loss_is_ssd_s(images):
    x = torch.from_numpy(np.moveaxis(images, 3, 1).copy())
    csi, ssd = CSI(shift=None, **TINY).fit(images), SSD(**TINY).fit(images)
    losses = [
        detector._keep_key(csi.networks_, x, Context(torch.Generator().manual_seed(0)))
        for detector in (csi, ssd)
    ]
    assert torch.equal(*losses)


def test_it_learns_which_way_is_up(upright):
    X, upside_down = upright
    options = {**TINY, "shift": "rotate", "width": 8, "max_epochs": 30}
    detector = CSI(**options).fit(X)
    assert detector.statistics_["shift_accuracy"] > 0.625
    assert detector.score_samples(X).min() > detector.score_samples(upside_down).max()


def test_it_warns_where_copies_look_like_the_images(images):
    with pytest.warns(UserWarning, match=r"shift='rotate'.*Try 'cutperm', 'noise'"):
        CSI(shift="rotate", **TINY).fit(images)


@pytest.mark.filterwarnings("ignore:CSI names")
@pytest.mark.parametrize("score_by", ["bank", "mahalanobis"])
@pytest.mark.parametrize("shift", [*SHIFTS, None])
def test_scores_do_not_depend_on_the_batch(shift, score_by, images):
    detector = CSI(shift=shift, score_by=score_by, n_crops=2, **TINY).fit(images)
    alone = np.concatenate([detector.score_samples(x[None]) for x in images[:4]])
    np.testing.assert_allclose(detector.score_samples(images)[:4], alone, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:CSI names")
def test_the_bank_is_the_paper_s(images):
    detector = CSI(shift="cutperm", n_crops=0, score_by="bank", **TINY).fit(images[:16])
    x = torch.from_numpy(np.moveaxis(images, 3, 1).copy())
    expected = 0
    with torch.no_grad():
        for k, move in enumerate([(0, 0), (0, 4), (4, 0), (4, 4)]):
            features = detector.networks_["encoder"](x.roll(move, (2, 3)))
            z = detector.networks_["head"](features).double().numpy()
            logit = detector.networks_["shift_head"](features)[:, k].double().numpy()
            length = np.linalg.norm(z, axis=1)
            bank = z[:16] / length[:16, None]
            likeness = (z[16:] @ bank.T).max(axis=1) / length[:16].mean()
            expected += likeness + logit[16:] / max(logit[:16].mean(), 0.1)
    np.testing.assert_allclose(detector.score_samples(images[16:]), expected / 4, 1e-4)


def test_what_logits_are_divided_by_has_a_floor(images):
    detector = CSI(score_by="bank", **{**TINY, "max_epochs": 0}).fit(images)
    assert detector.statistics_["logit"].min() == pytest.approx(0.1)


@pytest.mark.parametrize("n_crops", [0, 3])
def test_crops_are_averaged(n_crops, images):
    options = {**TINY, "max_epochs": 0, "score_by": "bank"}
    scores = CSI(n_crops=n_crops, **options).fit(images).score_samples(images)
    assert np.isfinite(scores).all()


def test_images_that_are_not_square_can_be_turned(images):
    X = images[:, :, :5]
    options = {**TINY, "max_epochs": 0, "shift": "rotate"}
    scores = CSI(**options).fit(X).score_samples(X)
    assert np.isfinite(scores).all()
