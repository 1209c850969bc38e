"""False alarm rates that calibration promises, and those that new parts meet.

Parts are points of a normal distribution in eight dimensions. Each is there once,
or three times with hardly a difference (bursts). A system is calibrated on them and
judges 500 new parts, at three targets, under ten seeds.
"""

import argparse
import sys
import warnings
from time import perf_counter

import numpy as np
from scipy.stats import beta, binom
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.svm import OneClassSVM
from threadpoolctl import threadpool_limits

import featad
from benchmarks._report import heading, markdown_table, write
from featad.systems import trains_networks

TARGETS = (0.01, 0.05, 0.1)
N_FEATURES, N_FRAMES, N_FRESH, JITTER = 8, 3, 500, 1e-3
SETTINGS = {  # frames of each part, and whether calibration is told of parts
    "apart": (1, False),
    "bursts, groups": (N_FRAMES, True),
    "bursts, no groups": (N_FRAMES, False),
}
TINY = {"width": 8, "max_epochs": 5, "device": "cpu"}
GAN = {**TINY, "lr": 0.005}
DETECTORS = {
    "NearestNeighbors": featad.NearestNeighbors(1),
    "Mahalanobis": featad.Mahalanobis(),
    "KMeansDistance": featad.KMeansDistance(),
    "PCAReconstruction": featad.PCAReconstruction(4),
    "OneClassSVM": featad.OneClassSVM(gamma="median"),
    "scikit-learn's OneClassSVM": OneClassSVM(nu=0.1),
    "IsolationForest": IsolationForest(n_estimators=30),
    "LocalOutlierFactor": LocalOutlierFactor(novelty=True),
    "Autoencoder": featad.Autoencoder(2, **TINY),
    "GANomaly": featad.GANomaly(2, **GAN),
    "AnoGAN": featad.AnoGAN(2, n_steps=20, **GAN),
    "DiscriminatorGAN": featad.DiscriminatorGAN(2, **GAN),
    "FenceGAN": featad.FenceGAN(2, gamma=0.5, **GAN),
}


def main() -> None:
    """Calibrate, judge new parts, and write ``results/false_alarms.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds")
    parser.add_argument(
        "--only", nargs="+", choices=DETECTORS, help="print these, write nothing"
    )
    args = parser.parse_args()
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    rows = {setting: [] for setting in SETTINGS}
    for name in args.only or DETECTORS:
        start = perf_counter()
        for setting in SETTINGS:
            rows[setting].append([name, *_row(DETECTORS[name], setting, seeds)])
        print(f"{name}: {perf_counter() - start:.0f} s", file=sys.stderr)
    header = ["detector", "held out", *(f"{target:.0%}" for target in TARGETS)]
    sections = "".join(
        f"\n## {setting}\n\n"
        + markdown_table(header + ["seeds with a warning"], rows[setting])
        for setting in SETTINGS
    )
    if args.only:
        print(sections)
        return
    notes = (
        f"\nShare of {N_FRESH} new normal parts that are called anomalous, mean of "
        f"{len(seeds)} seeds, at three targets. In brackets the 99 % interval of that "
        "mean if the target holds; **bold**: outside of it, as one entry in a hundred "
        "is by chance. All detectors meet the same parts. Parts are points of a "
        f"normal distribution in {N_FEATURES} dimensions; in bursts, each is there "
        f"{N_FRAMES} times, with a difference of {JITTER}. 'Held out' counts parts, or "
        "samples where calibration is not told of parts. Networks are calibrated on a "
        "share, the others in five folds or by one fit. The warning is that of "
        "near-copies.\n"
    )
    text = heading("False alarm rates", "benchmarks.false_alarms") + notes
    write("false_alarms.md", text + sections)


def _row(detector, setting, seeds):
    """Return how many were held out, a rate for each target, and who was warned."""
    n_frames, told = SETTINGS[setting]
    # so many that each target is a whole number of held-out parts
    n_parts = 330 if trains_networks(detector) else 299
    rates, n_warned = [], 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        X = np.repeat(rng.normal(size=(n_parts, N_FEATURES)), n_frames, axis=0)
        X += JITTER * rng.normal(size=X.shape) if n_frames > 1 else 0
        groups = np.repeat(np.arange(n_parts), n_frames) if told else None
        system = featad.CalibratedDetector(detector, random_state=seed)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            system.fit(X, groups=groups)
        n_warned += any("near-copies" in str(one.message) for one in caught)
        scores = system.score_samples(rng.normal(size=(N_FRESH, N_FEATURES)))
        rates.append(
            [
                (scores < system.set_threshold(target_fpr=target).offset_).mean()
                for target in TARGETS
            ]
        )
    n = n_parts if n_frames == 1 or told else n_parts * n_frames
    cells = [
        _cell(rate, target, system.n_calibration_, len(seeds))
        for rate, target in zip(np.mean(rates, axis=0), TARGETS, strict=True)
    ]
    return [f"{system.n_calibration_} of {n}", *cells, n_warned]


def _cell(rate, target, n, n_seeds):
    """Return a rate with the interval of the mean over seeds, bold if outside."""
    rng = np.random.default_rng(0)
    k = max(1, int(target * (n + 1) + 1e-9))
    true = beta.rvs(k, n + 1 - k, size=(20000, n_seeds), random_state=rng)
    means = binom.rvs(N_FRESH, true, random_state=rng).mean(axis=1) / N_FRESH
    low, high = np.quantile(means, [0.005, 0.995])
    shown = f"{rate:.2%}" if low <= rate <= high else f"**{rate:.2%}**"
    return f"{shown} ({low:.2%} to {high:.2%})"


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
