"""scikit-learn's checks that mean something for transformers of images."""

import pytest
from sklearn.base import clone
from sklearn.utils import estimator_checks

from featad.features import (
    BackboneFeatures,
    FilterBankFeatures,
    PatchFeatures,
    VGGFeatures,
    VGGPatches,
)
from featad.images import ImageReader

TRANSFORMERS = [
    ImageReader(),
    FilterBankFeatures(size=16),
    BackboneFeatures("squeezenet1_1", weights=None, image_size=20),
    VGGFeatures("vgg11", layer="conv4_2", weights=None, image_size=20),
    PatchFeatures("squeezenet1_1", weights=None, image_size=40),
    VGGPatches("vgg_mini", image_size=20),
]
CHECKS = [  # the others need tables; check_estimators_unfitted: these are stateless
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_complex_data",
    "check_estimators_empty_data_messages",
    "check_estimator_sparse_array",
    "check_estimator_sparse_matrix",
    "check_fit1d",
    "check_param_validation",
    *{"check_estimator_sparse_tag"} & vars(estimator_checks).keys(),  # not in 1.6.0
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("estimator", TRANSFORMERS, ids=lambda e: type(e).__name__)
def test_scikit_learn_check(estimator, check):
    getattr(estimator_checks, check)(type(estimator).__name__, clone(estimator))
