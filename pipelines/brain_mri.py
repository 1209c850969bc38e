"""Slices of brain MRI: what has to be restored before a VAE calls them healthy."""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import featad
from featad.metrics import auroc
from pipelines._recipe import data_folder, run, with_parts


def main(argv=None):
    """Print the AUROC of four systems; draw the strangest slices with their maps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", help="folder with 'no' and 'yes' (see data/README.md)"
    )
    parser.add_argument("--size", type=int, default=64, help="pixels (64)")
    parser.add_argument("--max-epochs", type=int, default=200, help="epochs (200)")
    parser.add_argument("--n-pictures", type=int, default=8, help="slices drawn (8)")
    parser.add_argument("-o", "--output", required=True, help="folder to write")
    args = parser.parse_args(argv)
    folder = args.data or data_folder("brain_mri")
    dataset = with_parts(featad.load_folder(folder, normal="no", anomaly="yes"))
    output = Path(args.output)
    output.mkdir(parents=True, exist_ok=True)

    reader = featad.ImageReader(args.size, mode="L")
    train = reader.transform(dataset.part("train").images)
    test = dataset.part("test")
    images = reader.transform(test.images)

    options = {"batch_size": 16, "max_epochs": args.max_epochs, "random_state": 0}
    systems = {
        "VAE restoration": featad.VAERestoration(**options),
        "untrained": featad.VAERestoration(**{**options, "max_epochs": 0}),
        "VAE": featad.VAE(**options),
        "PCA reconstruction": featad.PCAReconstruction(),
    }
    scores = {}
    for name, system in systems.items():
        scores[name] = featad.anomaly_scores(system.fit(train), images)
        print(f"{name}: AUROC {auroc(test.labels, scores[name]):.3f}")

    featad.save_split(dataset, output / "split.csv")
    strangest = np.argsort(scores["VAE restoration"])[::-1][: args.n_pictures]
    restoration = systems["VAE restoration"]
    limit = np.quantile(restoration.anomaly_map(train), 0.999)
    maps = restoration.anomaly_map(images[strangest])
    save_sheet(images[strangest, ..., 0], maps / limit, output / "strangest.png")
    print(f"Trained on {len(train)} slices, tested on {len(test)}. Wrote {output}.")
    return scores


def save_sheet(images, maps, path, *, zoom=2):
    """Write images in a row, and below each its map in black to white."""
    rows = [np.concatenate(list(row), axis=1) for row in (images, maps)]
    sheet = Image.fromarray(np.uint8(255 * np.clip(np.concatenate(rows), 0, 1)))
    sheet.resize((zoom * sheet.width, zoom * sheet.height)).save(path)


if __name__ == "__main__":
    run(main)
