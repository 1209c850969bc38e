"""VGG16 features with a one-class SVM, k-means distance and an isolation forest.

One pipeline whose features, layers and detector are swapped by a grid: plain
``GridSearchCV``. Every fold trains on normal images only and is tested on both, and the
best pipeline is fitted again on all normal images. With ``--cache`` every image runs
through the network once per choice of layers.
"""

import argparse

import pandas as pd
from sklearn.model_selection import GridSearchCV

import featad
from featad.features import default_layers
from pipelines._recipe import add_network, network_options, run

DETECTORS = {
    "one-class SVM": featad.OneClassSVM(gamma="median", nu=0.05),
    "k-means distance": featad.KMeansDistance(n_clusters=8, random_state=0),
    "isolation forest": featad.IsolationForest(random_state=0),
}


def main(argv=None):
    """Print the mean AUROC of each combination, the best first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="images with known anomalies")
    parser.add_argument("--normal", help="name of the folder of normal images")
    parser.add_argument("--anomaly", help="name of the folder of anomalous images")
    add_network(parser)
    parser.add_argument("--n-jobs", type=int, default=1, help="processes (1)")
    parser.add_argument("-o", "--output", help="model file to write, of the best")
    args = parser.parse_args(argv)
    dataset = featad.load_folder(args.data, normal=args.normal, anomaly=args.anomaly)

    system = featad.build(f"{args.arch}-stats-kmeans", **network_options(args))
    three = default_layers(args.arch)[1]
    search = GridSearchCV(
        system,
        {
            "features": [system["features"]],
            "features__layer": [three[1], three],
            "detector": list(DETECTORS.values()),
        },
        scoring=featad.anomaly_roc_auc,
        cv=featad.OneClassKFold(n_splits=3, random_state=0),
        n_jobs=args.n_jobs,
    )
    search.fit(dataset.images, dataset.labels)
    print(summarize(search).to_string(index=False))
    if args.output:
        featad.save(search.best_estimator_, args.output)
        print(f"Wrote {args.output}.")
    return search


def summarize(search):
    """Return one row per combination: layers, detector, mean and spread of AUROC."""
    names = {type(detector): name for name, detector in DETECTORS.items()}
    results = search.cv_results_
    table = pd.DataFrame(
        {
            "layers": [
                layer if isinstance(layer, str) else ", ".join(layer)
                for layer in results["param_features__layer"]
            ],
            "detector": [names[type(d)] for d in results["param_detector"]],
            "AUROC": results["mean_test_score"].round(4),
            "spread": results["std_test_score"].round(4),
        }
    )
    return table.sort_values("AUROC", ascending=False)


if __name__ == "__main__":
    run(main)
