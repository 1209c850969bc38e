"""What it changes that the decoder shrinks JPEG files (``decode="draft"``).

    python -m benchmarks.draft

Real images, as JPEG files of quality 95 where they are not JPEG files already, are
described both ways by the statistics of ``mini-stats-mahalanobis``. Sizes are such that
files are shrunk: most of these images are too small for it at 224 pixels.
"""

import argparse
import io
import sys

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

import featad
from benchmarks._report import DATA, heading, markdown_table, write
from featad.images import read_image

SETS = {
    "brain_mri": (224, 112, 64),
    "magnetic_tile": (112, 64),
    "elpv": (112, 64),
    "deep_pcb": (112, 64),
    "breast_ultrasound": (112, 64),
    "mvtec_reduced/hazelnut": (112, 64),
    "mvtec_reduced/transistor": (112, 64),
}


def main() -> None:
    """Measure and write ``results/draft.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--most", type=int, default=200, help="images of a part")
    args = parser.parse_args()
    rows = []
    for name in args.sets:
        train, test, labels = _parts(name, args.most)
        for size in SETS[name]:
            rows.append([name, size, *_row(train, test, labels, size)])
            print(*rows[-1], file=sys.stderr)
            write("draft.md", _page(rows))  # so far


def _page(rows):
    text = heading("Images that the decoder shrinks", "benchmarks.draft")
    text += (
        '\nFeatures with `decode="draft"` beside those with `"exact"`, of '
        "`mini-stats-mahalanobis`. Cosines are of the images that were shrunk. The "
        "AUROC is that of fits and scores both exact, both drafts, and of exact fits "
        "whose scores are of drafts.\n\n"
    )
    header = ["set", "pixels", "shrunk", "cosine, median", "smallest"]
    header += ["AUROC, exact", "draft", "exact, then draft"]
    return text + markdown_table(header, rows)


def _parts(name, most):
    """Return JPEG files to train and test on, and the labels of the latter."""
    if name == "brain_mri":
        dataset = featad.load_folder(DATA / name, normal="no", anomaly="yes")
        is_train = (dataset.labels == 1) & (np.arange(len(dataset)) % 10 < 7)
    else:
        dataset = featad.load_folder(DATA / name)
        is_train = dataset.parts == "train"
    rng = np.random.default_rng(0)
    train, test = (
        rng.permutation(np.flatnonzero(part))[:most] for part in (is_train, ~is_train)
    )
    files = [[_as_jpeg(dataset.images[i]) for i in part] for part in (train, test)]
    return *files, dataset.labels[test]


def _as_jpeg(path):
    with Image.open(path) as image:
        if image.format == "JPEG":
            return str(path)
        file = io.BytesIO()
        image.convert("RGB").save(file, "JPEG", quality=95)
    return file.getvalue()


def _row(train, test, labels, size):
    system = featad.build("mini-stats-mahalanobis", image_size=size)
    tables = {}
    for decode in ("exact", "draft"):
        features = system["features"].set_params(decode=decode)
        tables[decode] = [features.fit_transform(files) for files in (train, test)]
    aurocs = []
    for fitted, scored in (("exact", "exact"), ("draft", "draft"), ("exact", "draft")):
        scorer = system[1:].fit(tables[fitted][0])
        scores = scorer.score_samples(tables[scored][1])
        aurocs.append(f"{roc_auc_score(labels, scores):.3f}")
    shrunk = [_is_shrunk(file, size) for file in train + test]
    both = [np.concatenate(tables[decode])[shrunk] for decode in ("exact", "draft")]
    if not any(shrunk):
        return [f"0 of {len(shrunk)}", "", "", *aurocs]
    lengths = np.linalg.norm(both[0], axis=1) * np.linalg.norm(both[1], axis=1)
    cosines = (both[0] * both[1]).sum(axis=1) / lengths
    counts = f"{sum(shrunk)} of {len(shrunk)}"
    return [counts, f"{np.median(cosines):.5f}", f"{cosines.min():.5f}", *aurocs]


def _is_shrunk(file, size):
    both = [read_image(file, size=size, decode=d) for d in ("exact", "draft")]
    return not np.array_equal(*both)


if __name__ == "__main__":
    main()
