"""Print a digest of every system's scores, to see whether code has changed one.

    python -m benchmarks.digest > before.txt    # on one commit
    python -m benchmarks.digest > after.txt     # on another, same machine
    diff before.txt after.txt

Networks have seeded random weights (``vgg_mini`` its own), learned detectors train two
epochs, all on one thread. Digests are those of a machine and its versions of packages.
"""

import hashlib
import warnings

import numpy as np
import torch

from featad import make_spots_and_lines
from featad.detectors import all_detectors
from featad.registry import build, list_systems

_SIZE = 32
_N_TRAIN, _N_TEST = 24, 12


def main() -> None:
    """Print a line for every named system, and for every detector by itself."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    parts = make_spots_and_lines(random_state=0)
    images, test = (
        np.stack([np.asarray(image) for image in parts.part(name).images[:n]])
        for name, n in (("train", _N_TRAIN), ("test", _N_TEST))
    )
    features: dict[str, tuple] = {}
    for info in list_systems():
        system = build(info.name, **_quick(info.name))
        first = repr(system["features"])
        if first not in features:
            step = system["features"]
            features = {first: (step.fit_transform(images), step.transform(test))}
        X, X_test = features[first]
        print(info.name, _digest(system[1:].fit(X).score_samples(X_test)), flush=True)
    X, X_test = features[first]
    labels = np.where(np.arange(_N_TRAIN) % 6 == 0, -1, 1)
    for name, detector in all_detectors().items():
        for kind, size in (("images", None), ("table", (-1, 48))):
            seen = [
                x if size is None else x[:, :4, :4].reshape(size) for x in (X, X_test)
            ]
            one = detector().set_params(**_only_its_own(detector()))
            scores = one.fit(seen[0], labels).score_samples(seen[1])
            maps = [one.anomaly_map(seen[1])] if _maps(one) and size is None else []
            print(name, kind, _digest(scores, *maps), flush=True)


def _quick(name):
    if name.startswith("images-"):
        detector = build(name)["detector"]
        own = _only_its_own(detector)
        return {"size": _SIZE} | {f"detector__{key}": v for key, v in own.items()}
    if name.startswith(("pixels-", "filters-")):
        return {}
    weights = {} if name.startswith("mini-") else {"weights": None}
    return {"image_size": 64, "device": "cpu", **weights}


def _only_its_own(detector):
    quick = {"max_epochs": 2, "device": "cpu", "random_state": 0, "width": 4}
    quick |= {"arch": "vgg_mini"} if "arch" in detector.get_params() else {}
    return {key: v for key, v in quick.items() if key in detector.get_params()}


def _maps(detector):
    return hasattr(detector, "anomaly_map")


def _digest(*arrays):
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()[:16]


if __name__ == "__main__":
    main()
