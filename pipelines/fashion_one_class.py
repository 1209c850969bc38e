"""Fashion-MNIST, T-shirts normal: what labeled anomalies in training are worth."""

import argparse

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import featad
from featad.metrics import auroc
from pipelines._recipe import data_folder, run

NORMAL = 0


def main(argv=None):
    """Print the AUROC on kinds of anomalies seen in training, and on one unseen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder of IDX files (see data/README.md)")
    parser.add_argument("--n-train", type=int, default=300, help="per class (300)")
    parser.add_argument("--n-test", type=int, default=1000, help="per class (1000)")
    parser.add_argument(
        "--unseen", type=int, default=8, choices=range(1, 10), help="not trained on (8)"
    )
    parser.add_argument("--max-epochs", type=int, default=15, help="epochs (15)")
    args = parser.parse_args(argv)
    folder = args.data or data_folder("fashion_mnist")

    X, kinds = first_of_each(*featad.load_idx(folder, "train"), args.n_train)
    X, kinds = X[kinds != args.unseen], kinds[kinds != args.unseen]
    y = np.where(kinds == NORMAL, 1, -1)
    X_test, kinds_test = first_of_each(*featad.load_idx(folder, "test"), args.n_test)

    options = {
        "score_by": "mean",
        "dense": True,
        "batch_size": 32,
        "random_state": 0,
    }
    # With labels an epoch has 16 times the batches: 8 anomalous kinds, half of a batch.
    labeled = featad.Autoencoder(
        anomaly_weight=0.1, balance=0.5, max_epochs=args.max_epochs, **options
    )
    alone = featad.Autoencoder(max_epochs=16 * args.max_epochs, **options)
    logistic = LogisticRegression(max_iter=1000)
    pca = featad.PCAReconstruction(n_components=32)
    tests = {
        "autoencoder, labels": scores_of(labeled.fit(X, y), X_test),
        "logistic regression, labels": -logistic.fit(flat(X), y).decision_function(
            flat(X_test)
        ),
        "autoencoder": scores_of(alone.fit(X[y == 1]), X_test),
        "PCA reconstruction": scores_of(pca.fit(X[y == 1]), X_test),
    }
    unseen = kinds_test == args.unseen
    normal = kinds_test == NORMAL
    table = pd.DataFrame(
        {
            "seen kinds": {n: area(s, normal, ~unseen) for n, s in tests.items()},
            f"unseen kind {args.unseen}": {
                n: area(s, normal, unseen | normal) for n, s in tests.items()
            },
        }
    )
    print(table.round(4).to_string())
    return table


def first_of_each(images, labels, n):
    """Return the first n images of each class, in [0, 1], and their labels."""
    chosen = np.concatenate(
        [np.flatnonzero(labels == k)[:n] for k in np.unique(labels)]
    )
    return images[chosen].astype(np.float32) / 255, labels[chosen]


def flat(images):
    """Return one row per image."""
    return images.reshape(len(images), -1)


def scores_of(system, images):
    """Return anomaly scores: high = anomalous."""
    return featad.anomaly_scores(system, images)


def area(scores, normal, chosen):
    """Return the AUROC on the chosen images."""
    return auroc(np.where(normal, 1, -1)[chosen], scores[chosen])


if __name__ == "__main__":
    run(main)
