"""VGG16's 4096 features, and the distance to the nearest k-means center."""

from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer

from featad import KMeansDistance
from pipelines._recipe import fit_and_save, parse_arguments, run, vgg_features


def main(argv=None):
    """Fit on a folder of normal images and write a calibrated model."""
    args = parse_arguments(__doc__, argv)
    system = Pipeline(
        [
            ("features", vgg_features(args)),
            ("normalize", Normalizer()),
            ("reduce", PCA(0.97, whiten=True)),
            ("detector", KMeansDistance(n_clusters=8, random_state=0)),
        ]
    )
    fit_and_save(system, args)


if __name__ == "__main__":
    run(main)
