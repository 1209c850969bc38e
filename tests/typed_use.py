"""What type checkers see of featad: `make lint` runs mypy on this file, nothing else does.

An unneeded ``type: ignore`` is an error, so each of them is a mistake that is found.
"""

import numpy as np
from typing_extensions import assert_type

import featad

assert_type(featad.VGGFeatures(batch_size=4), featad.VGGFeatures)
assert_type(featad.VGGFeatures().transform([]), np.ndarray)
assert_type(featad.metrics.aupro([], []), float)
featad.VGGFeatures(batch_size="4")  # type: ignore[arg-type]
featad.VGGFeatures(colour="red")  # type: ignore[call-arg]
featad.KMeansDistance(colour="red")  # type: ignore[call-arg]
featad.no_such_name  # type: ignore[attr-defined]
featad.detectors.NoSuchDetector  # type: ignore[attr-defined]
