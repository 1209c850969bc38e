"""What ``**options`` may hold is written down where editors and mypy see it."""

from inspect import Parameter, signature

import pytest

from featad.detectors import all_detectors
from featad.neural.detector import TorchDetector
from featad.neural.judged import CriticDetector, CriticOptions
from featad.neural.latent import LatentDetector, LatentOptions
from featad.neural.options import TorchOptions
from featad.neural.reconstruction import (
    ErrorMapDetector,
    ErrorMapOptions,
    ReconstructionDetector,
    ReconstructionOptions,
)
from featad.neural.unet import UNetDetector, UNetOptions

LEARNED = {n: d for n, d in all_detectors().items() if issubclass(d, TorchDetector)}


@pytest.mark.parametrize(
    ("base", "options"),
    [
        (TorchDetector, TorchOptions),
        (LatentDetector, LatentOptions),
        (CriticDetector, CriticOptions),
        (ErrorMapDetector, ErrorMapOptions),
        (ReconstructionDetector, ReconstructionOptions),
        (UNetDetector, UNetOptions),
    ],
)
def test_the_typed_options_are_the_keywords_of_the_base(base, options):
    parameters = signature(base.__init__).parameters.values()
    keywords = {p.name for p in parameters if p.kind is Parameter.KEYWORD_ONLY}
    assert options.__annotations__.keys() <= keywords
    assert {*options.__required_keys__, *options.__optional_keys__} == keywords


@pytest.mark.parametrize("name", LEARNED)
def test_a_detector_s_own_defaults_are_those_it_has(name):
    detector = LEARNED[name]
    for key, value in vars(detector).get("_defaults", {}).items():
        assert signature(detector).parameters[key].default == value
        assert detector().get_params()[key] == value


def test_a_default_of_the_class_yields_to_what_is_passed():
    assert all_detectors()["BiGAN"](ema=None, dense=False).get_params()["ema"] is None


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="latent_dims"):
        all_detectors()["BiGAN"](latent_dims=3)
