"""Scaling: tables and other images are standardized, images in [0, 1] are not."""

import numpy as np
import pytest
import torch

from featad.neural.tensors import Scaling


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_images_in_the_unit_range_are_only_turned_to_channels_first(rng):
    X = rng.random((4, 5, 6, 3))
    scaling = Scaling.fit(X)
    assert scaling.in_unit_range
    assert scaling.network_shape == (3, 5, 6)
    expected = torch.from_numpy(X.transpose(0, 3, 1, 2).astype(np.float32))
    assert torch.equal(scaling.to_tensor(X), expected)


def test_gray_images_get_one_channel(rng):
    scaling = Scaling.fit(rng.random((4, 5, 6)))
    assert scaling.network_shape == (1, 5, 6)
    assert scaling.to_tensor(rng.random((2, 5, 6))).shape == (2, 1, 5, 6)


@pytest.mark.parametrize(
    ("shape", "axes"), [((50, 4), 0), ((9, 5, 6), None), ((9, 5, 6, 3), (0, 2, 3))]
)
def test_other_samples_are_standardized_by_feature_or_channel(rng, shape, axes):
    X = rng.normal(3, 2, shape)
    scaling = Scaling.fit(X)
    assert not scaling.in_unit_range
    x = scaling.to_tensor(X).double().numpy()
    np.testing.assert_allclose(x.mean(axis=axes), 0, atol=1e-6)
    np.testing.assert_allclose(x.std(axis=axes), 1, rtol=1e-5)


def test_a_table_in_the_unit_range_is_standardized_too(rng):
    assert not Scaling.fit(np.array([[0.0], [1.0]])).in_unit_range


def test_a_constant_feature_is_not_divided_by_its_rounding():
    scaling = Scaling.fit(np.full((10, 1), 0.1) + 1e-9 * np.arange(10)[:, None])
    assert scaling.scale == [1]
