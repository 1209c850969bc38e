"""VGG16 features with a one-class SVM, k-means distance and an isolation forest.

One pipeline whose ``features`` and ``detector`` steps are swapped by a grid: plain
``GridSearchCV``. Every fold trains on normal images only and is tested on both.
"""

import argparse

import pandas as pd
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer
from sklearn.svm import OneClassSVM

import featad
from pipelines._recipe import add_network, network_options, run

DETECTORS = {
    "one-class SVM": OneClassSVM(nu=0.05),
    "k-means distance": featad.KMeansDistance(n_clusters=8, random_state=0),
    "isolation forest": IsolationForest(n_estimators=200, random_state=0),
}


def main(argv=None):
    """Print the mean AUROC of each combination, the best first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="images with known anomalies")
    parser.add_argument("--normal", help="name of the folder of normal images")
    parser.add_argument("--anomaly", help="name of the folder of anomalous images")
    add_network(parser)
    parser.add_argument("--n-jobs", type=int, default=1, help="processes (1)")
    args = parser.parse_args(argv)
    dataset = featad.load_folder(args.data, normal=args.normal, anomaly=args.anomaly)

    options = network_options(args)
    features = {  # the last fully connected layer; statistics of a middle layer
        name: featad.build(f"{args.arch}-{name}", **options)["features"]
        for name in ("ocsvm", "stats-knn")
    }
    search = GridSearchCV(
        Pipeline(
            [
                ("features", "passthrough"),
                ("normalize", Normalizer()),
                ("reduce", PCA(0.97, whiten=True)),
                ("detector", OneClassSVM()),
            ]
        ),
        {"features": list(features.values()), "detector": list(DETECTORS.values())},
        scoring=featad.anomaly_roc_auc,
        cv=featad.OneClassKFold(n_splits=3, random_state=0),
        n_jobs=args.n_jobs,
        refit=False,
    )
    search.fit(dataset.images, dataset.labels)
    print(summarize(search, features).to_string(index=False))
    return search


def summarize(search, features):
    """Return one row per combination: features, detector, mean and spread of AUROC."""
    names = {type(detector): name for name, detector in DETECTORS.items()}
    layers = {str(f): f.layer or "last" for f in features.values()}
    results = search.cv_results_
    table = pd.DataFrame(
        {
            "features": [layers[str(f)] for f in results["param_features"]],
            "detector": [names[type(d)] for d in results["param_detector"]],
            "AUROC": results["mean_test_score"].round(4),
            "spread": results["std_test_score"].round(4),
        }
    )
    return table.sort_values("AUROC", ascending=False)


if __name__ == "__main__":
    run(main)
