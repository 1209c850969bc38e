"""The base of detectors that score by reconstruction: one map, one vocabulary."""

import numpy as np
import pytest

from featad.base import anomaly_scores
from featad.detectors import all_detectors
from featad.neural.losses import error_map
from featad.neural.networks import decoder, encoder
from featad.neural.reconstruction import ErrorMapDetector, ReconstructionDetector
from featad.neural.scores import REDUCTIONS, score_map

REBUILDING = {
    name: detector
    for name, detector in all_detectors().items()
    if issubclass(detector, ErrorMapDetector)
}
OTHER_DEFAULTS = {  # each says why in its docstring
    "CenteredAutoencoder": "combined",
    "ContrastTranslation": "top1%",
    "DualDiscriminatorGAN": "mean",
    "GANomaly": "latent",
    "MADGAN": "mean",
    "PerceptualAutoencoder": "mean",
    "ReconstructionGAN": "mean",
    "SymmetricGAN": "mean",
}


class Copy(ReconstructionDetector):
    _error = "l1"

    def _networks(self, shape):
        return {"encoder": encoder(shape, 2), "decoder": decoder(shape, 2)}

    def _losses(self, nets, x, t):
        yield ("encoder", "decoder"), (self._rebuilt(nets, x, t) - x) ** 2


@pytest.mark.parametrize("how", REDUCTIONS)
def test_a_score_is_the_reduced_map(how, images):
    detector = Copy(score_by=how, max_epochs=0, device="cpu", random_state=0)
    detector.fit(images)
    x = detector._to_tensor(images)
    nets = detector.networks_
    error = error_map("l1", nets["decoder"](nets["encoder"](x)), x)
    expected = score_map("l1", error, x, how, in_unit_range=True).detach()
    np.testing.assert_allclose(
        detector.anomaly_map(images), error.detach(), rtol=1e-5, atol=1e-7
    )
    np.testing.assert_allclose(anomaly_scores(detector, images), expected, rtol=1e-5)


def test_there_is_one_default_but_where_the_docstring_says_why():
    defaults = {name: detector().score_by for name, detector in REBUILDING.items()}
    assert len(defaults) >= 15
    others = {name: how for name, how in defaults.items() if how != "relative"}
    assert others == OTHER_DEFAULTS
    for name in OTHER_DEFAULTS:
        assert "The default is" in " ".join(REBUILDING[name].__doc__.split())


@pytest.mark.parametrize("name", REBUILDING)
def test_reductions_have_one_name_everywhere(name):
    (allowed,) = REBUILDING[name]._parameter_constraints["score_by"]
    own = allowed.options - set(REDUCTIONS)
    assert own <= {"combined", "latent", "features", "logit", "elbo", "nll", "kl"}
