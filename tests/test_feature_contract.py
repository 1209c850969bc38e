import re
import subprocess
import sys
import warnings
from ast import literal_eval
from inspect import getdoc, signature

import pytest

from featad.features import (
    BackboneFeatures,
    PatchFeatures,
    VGGFeatures,
    VGGPatches,
)


def small(**parameters):
    """Return features of a small network at a small size."""
    defaults = {
        "arch": "squeezenet1_1",
        "layer": "features.7",
        "weights": None,
        "image_size": 32,
    }
    return BackboneFeatures(**(defaults | parameters))


@pytest.mark.parametrize(
    "cls", [BackboneFeatures, VGGFeatures, PatchFeatures, VGGPatches]
)
def test_every_parameter_has_a_constraint_and_a_documented_default(cls):
    defaults = {n: p.default for n, p in signature(cls).parameters.items()}
    documented = re.findall(r"^(\w+) : .*default=(.+)$", getdoc(cls), re.M)
    assert {name: literal_eval(text) for name, text in documented} == defaults
    assert set(cls._parameter_constraints) == set(defaults)


def test_fit_and_transform_leave_parameters_and_state_alone(images):
    features = small()
    before = features.get_params()
    assert features.fit(images) is features
    state = dict(vars(features))
    assert all(name in before or name.endswith("_") for name in state)
    features.transform(images)
    assert vars(features) == state
    assert features.get_params() == before


def test_progress_goes_to_stderr(images, capfd):
    small(verbose=True).transform(images)
    out, err = capfd.readouterr()
    assert out == ""
    assert "24/24" in err


def test_nothing_is_said_without_being_asked(images, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small().fit_transform(images)
    assert capfd.readouterr() == ("", "")


def test_torch_is_imported_when_a_network_is_needed():
    code = (
        "import sys; from featad.features import VGGFeatures; VGGFeatures(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
