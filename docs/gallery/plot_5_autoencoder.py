"""
Train a network on few images
=============================

Learned detectors take the images themselves. Here a U-Net and an autoencoder learn to
rebuild 60 gray disks, and then rebuild holes poorly. The
recipe ``pipelines.cookies`` does this with few photos of one part.
"""

import matplotlib.pyplot as plt
import numpy as np

import featad
from featad.metrics import auroc

rng = np.random.default_rng(0)


def draw(n, *, hole):
    """Draw gray disks of different sizes, some with a dark hole."""
    rows, columns = np.mgrid[:32, :32] - 15.5
    images = np.empty((n, 32, 32, 1))
    for image in images:
        radius = rng.uniform(10, 13)
        image[..., 0] = 0.2 + 0.5 * (np.hypot(rows, columns) < radius)
        if hole:
            r, c = rng.uniform(-6, 6, 2)
            image[np.hypot(rows - r, columns - c) < 2.5] = 0.25
        image += rng.normal(0, 0.02, image.shape)
    return np.clip(images, 0, 1).astype(np.float32)


train = draw(60, hole=False)
new = np.concatenate([draw(20, hole=False), draw(20, hole=True)])
labels = np.repeat([1, -1], 20)

# %%
options = {"max_epochs": 20, "batch_size": 8, "random_state": 0}
detectors = {
    "autoencoder": featad.Autoencoder(**options),
    "U-Net": featad.UNetAutoencoder(corruption="mixed", **options),
}
for name, detector in detectors.items():
    scores = featad.anomaly_scores(detector.fit(train), new)
    print(f"{name}: AUROC {auroc(labels, scores):.3f}")

# %%
# Where an image differs from what the network makes of it, it is odd.
shown = new[-5:]
figure, axes = plt.subplots(3, 5, figsize=(7, 4.4), layout="constrained")
rows = {
    "image": shown[..., 0],
    "autoencoder": detectors["autoencoder"].anomaly_map(shown),
    "U-Net": detectors["U-Net"].anomaly_map(shown),
}
for row, (name, pictures) in zip(axes, rows.items(), strict=True):
    for ax, picture in zip(row, pictures, strict=True):
        ax.imshow(picture, cmap="gray" if name == "image" else "inferno")
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(name)
