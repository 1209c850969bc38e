"""What type checkers see of featad: nothing runs this file, `make lint` checks it.

An unneeded ``type: ignore`` is an error, so each of them is a mistake that is found.
"""

import numpy as np
from typing_extensions import assert_type

import featad
from featad import detectors
from featad.metrics import aupro

assert_type(featad.VGGFeatures(batch_size=4), featad.VGGFeatures)
assert_type(featad.VGGFeatures().transform([]), np.ndarray)
assert_type(featad.VGGPatches(grid=28, batch_size=4), featad.VGGPatches)
assert_type(featad.PatchFeatures().fit([]), featad.PatchFeatures)
assert_type(aupro([], []), float)
featad.VGGFeatures(batch_size="4")  # type: ignore[arg-type]
featad.VGGFeatures(colour="red")  # type: ignore[call-arg]
featad.KMeansDistance(colour="red")  # type: ignore[call-arg]
print(featad.no_such_name)  # type: ignore[attr-defined]
print(detectors.NoSuchDetector)  # type: ignore[attr-defined]
