"""GANs against a frozen VGG with a one-class SVM, k-means and an isolation forest.

One ``GridSearchCV`` whose ``features``, ``reduce`` and ``detector`` steps are swapped:
GANs are estimators like the others. Every fold trains on normal images only.
"""

import argparse

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.svm import OneClassSVM

import featad
from pipelines._recipe import data_folder, run

GANS = (
    featad.DiscriminatorGAN,
    featad.FenceGAN,
    featad.GANomaly,
    featad.BiGAN,
    featad.ALAD,
    featad.AnoGAN,
    featad.FAnoGAN,
    featad.TrimmedGAN,
)
SCORERS = (
    OneClassSVM(nu=0.05),
    featad.KMeansDistance(random_state=0),
    featad.IsolationForest(random_state=0),
)


def main(argv=None):
    """Print the mean AUROC of each system, the best first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of IDX files (MNIST, data/README.md)")
    parser.add_argument("--normal", type=int, default=8, help="class (8)")
    parser.add_argument(
        "--n-images", type=int, default=900, help="of the class, and of others (900)"
    )
    parser.add_argument("--arch", default="vgg_mini", help="VGG (vgg_mini)")
    parser.add_argument("--weights", default="default", help="file or 'default'")
    parser.add_argument("--max-epochs", type=int, help="of the GANs (their defaults)")
    parser.add_argument("--n-splits", type=int, default=3, help="folds (3)")
    parser.add_argument("--n-jobs", type=int, default=1, help="processes (1)")
    args = parser.parse_args(argv)
    images, classes = featad.load_idx(args.data or data_folder("mnist"), "test")
    chosen, y = balanced(classes, args.normal, args.n_images)

    options = {} if args.max_epochs is None else {"max_epochs": args.max_epochs}
    vgg = featad.VGGFeatures(args.arch, weights=args.weights, image_size=64)
    search = GridSearchCV(
        Pipeline([("features", vgg), ("reduce", PCA()), ("detector", SCORERS[0])]),
        [
            {"reduce": [PCA(0.97, whiten=True)], "detector": list(SCORERS)},
            {
                "features": [featad.ImageReader(mode="L")],
                "reduce": ["passthrough"],
                "detector": [gan(random_state=0, **options) for gan in GANS],
            },
        ],
        scoring=featad.anomaly_roc_auc,
        cv=featad.OneClassKFold(args.n_splits, random_state=0),
        n_jobs=args.n_jobs,
        refit=False,
    )
    search.fit(images[chosen], y)
    table = summary(search.cv_results_)
    print(f"{len(y)} images, class {args.normal} normal, {args.n_splits} folds.")
    print(table.to_string(index=False))
    return table


def balanced(classes, normal, n_images):
    """Return places of as many normal as anomalous images, and their labels."""
    rng = np.random.default_rng(0)
    usual, odd = (
        rng.permutation(np.flatnonzero((classes == normal) == is_normal))[:n_images]
        for is_normal in (True, False)
    )
    return np.concatenate([usual, odd]), np.repeat([1, -1], [len(usual), len(odd)])


def summary(results):
    """Return one row a system: mean and spread of AUROC over folds, seconds to fit."""
    table = pd.DataFrame(
        {
            "detector": [type(d).__name__ for d in results["param_detector"]],
            "AUROC": results["mean_test_score"],
            "spread": results["std_test_score"],
            "fit s": results["mean_fit_time"],
        }
    )
    return table.sort_values("AUROC", ascending=False).round(3)


if __name__ == "__main__":
    run(main)
