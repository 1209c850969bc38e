"""Statistics have the same names and values for tensors and for arrays."""

import numpy as np
import pytest
import torch

from featad.features.pooling import ARRAY_POOLING, POOLING


def test_tensors_and_arrays_have_the_same_statistics():
    assert list(POOLING) == list(ARRAY_POOLING)


@pytest.mark.parametrize("name", POOLING)
def test_a_statistic_has_one_value_for_tensors_and_arrays(name):
    values = np.random.default_rng(0).random(50)
    of_tensor = POOLING[name](torch.from_numpy(values))
    np.testing.assert_allclose(of_tensor, ARRAY_POOLING[name](values))
