"""Few photos of one part: autoencoder, U-Net, and k-means on the U-Net's bottleneck."""

import argparse
import json
import platform
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
import torch
from PIL import Image

import featad
from featad.metrics import auroc
from pipelines._recipe import data_folder, run, with_parts


def main(argv=None):
    """Write scores, red overlays, the configuration and the split to a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", help="MVTec layout or two folders (hazelnut, see data/README.md)"
    )
    parser.add_argument("--size", type=int, default=64, help="pixels (64)")
    parser.add_argument("--max-epochs", type=int, default=200, help="epochs (200)")
    parser.add_argument("-o", "--output", required=True, help="folder to write")
    args = parser.parse_args(argv)
    folder = args.data or data_folder("mvtec_reduced/hazelnut")
    dataset = with_parts(featad.load_folder(folder))
    output = Path(args.output)
    output.mkdir(parents=True, exist_ok=True)

    images = featad.ImageReader(args.size, mode="L").transform(dataset.images)
    train = images[(dataset.parts == "train") & (dataset.labels == 1)]
    options = {"batch_size": 8, "max_epochs": args.max_epochs, "random_state": 0}
    systems = {
        "autoencoder": featad.Autoencoder(**options),
        "u_net": featad.UNetAutoencoder(corruption="mixed", **options),
    }
    places = zip(dataset.parts, dataset.kinds, dataset.images, strict=True)
    names = [f"{part}-{kind}-{Path(path).stem}" for part, kind, path in places]
    table = pd.DataFrame(
        {"name": names, "label": dataset.labels, "part": dataset.parts}
    )
    for name, system in systems.items():
        table[name] = featad.anomaly_scores(system.fit(train), images)
        # The map is the squared difference: its root marks brighter and darker alike.
        threshold = np.quantile(np.sqrt(system.anomaly_map(train)), 0.995)
        marked = np.sqrt(system.anomaly_map(images)) > threshold
        save_overlays(images[..., 0], marked, names, output / "overlays" / name)
    unet = systems["u_net"].networks_["unet"]
    systems["k_means"] = featad.KMeansDistance(n_clusters=2, random_state=0)
    systems["k_means"].fit(bottleneck(unet, train))
    table["k_means"] = featad.anomaly_scores(
        systems["k_means"], bottleneck(unet, images)
    )

    table.to_csv(output / "scores.csv", index=False)
    featad.save_split(dataset, output / "split.csv")
    save_config(systems, args, output / "config.json")
    test = table[table.part == "test"]
    if test.label.nunique() == 2:
        for name in systems:
            print(f"{name}: AUROC {auroc(test.label, test[name]):.3f}")
    print(f"Trained on {len(train)} images. Wrote {output}.")


def bottleneck(unet, images):
    """Return the U-Net's innermost features, 2 x 2 max-pooled and flattened."""
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        features = torch.nn.functional.max_pool2d(unet.bottleneck(x), 2)
    return features.flatten(1).numpy()


def save_overlays(images, marked, names, folder):
    """Write every image with its marked pixels in red."""
    folder.mkdir(parents=True, exist_ok=True)
    for image, mark, name in zip(images, marked, names, strict=True):
        picture = np.repeat(np.uint8(np.round(255 * image))[..., None], 3, axis=2)
        picture[mark] = (255, 0, 0)
        Image.fromarray(picture).save(folder / f"{name}.png")


def save_config(systems, args, path):
    """Write the parameters of the systems, and the versions they ran with."""
    packages = {"featad": featad, "torch": torch, "scikit-learn": sklearn, "numpy": np}
    config = {
        "arguments": vars(args),
        "systems": {name: system.get_params() for name, system in systems.items()},
        "versions": {name: package.__version__ for name, package in packages.items()},
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
    }
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
