"""Maps: checks for detectors that say how strange every pixel is."""

from typing import Any

import numpy as np

from featad.testing.tools import fitted, only, refused


@only(lambda e: hasattr(e, "anomaly_map"))
def check_maps_are_finite_float32_of_the_input_s_size(
    detector: Any, images: np.ndarray
) -> None:
    """One value per pixel, finite."""
    found = fitted(detector, images).anomaly_map(images[:2])
    assert found.shape == images[:2].shape[:3]
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


@only(lambda e: hasattr(e, "anomaly_map"))
def check_maps_do_not_depend_on_the_batch(detector: Any, images: np.ndarray) -> None:
    """An image has the same map alone as among others."""
    detector = fitted(detector, images)
    one_by_one = np.concatenate([detector.anomaly_map(x[None]) for x in images[:3]])
    np.testing.assert_allclose(
        detector.anomaly_map(images[:3]), one_by_one, rtol=1e-3, atol=1e-5
    )


@only(lambda e: hasattr(e, "anomaly_map"))
def check_maps_of_tables_are_refused(detector: Any, images: np.ndarray) -> None:
    """A table has no pixels."""
    table = images.reshape(len(images), -1)
    with refused("anomaly_map needs images"):
        fitted(detector, table).anomaly_map(table)
