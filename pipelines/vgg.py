"""A frozen VGG's features, whitened, and a one-class SVM, k-means or a forest.

By default the features are statistics of three layers. ``--layer fc7`` takes the 4096
values of the last fully connected layer instead.
"""

from featad import (
    IsolationForest,
    KMeansDistance,
    OneClassSVM,
    Pipeline,
    ShrunkWhitening,
    VGGFeatures,
)
from featad.features import default_layers
from pipelines._recipe import fit_and_save, network_options, recipe_parser, run

DETECTORS = {
    "ocsvm": OneClassSVM(gamma="median", nu=0.05),
    "kmeans": KMeansDistance(n_clusters=8, random_state=0),
    "iforest": IsolationForest(random_state=0),
}


def main(argv=None):
    """Fit on a folder of normal images and write a calibrated model."""
    parser = recipe_parser(__doc__)
    parser.add_argument("--detector", choices=DETECTORS, default="ocsvm", help="ocsvm")
    parser.add_argument("--layer", nargs="+", help="layers (three of the network)")
    args = parser.parse_args(argv)
    features = VGGFeatures(
        args.arch,
        layer=tuple(args.layer or default_layers(args.arch)[1]),
        pooling=("mean", "std", "max"),
        normalize=True,
        **network_options(args),
    )
    steps = [
        ("features", features),
        ("reduce", ShrunkWhitening()),
        ("detector", DETECTORS[args.detector]),
    ]
    fit_and_save(Pipeline(steps), args)


if __name__ == "__main__":
    run(main)
