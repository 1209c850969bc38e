"""
A training set with anomalies in it
===================================

One digit is normal, and one training image in ten is another digit. Nobody has said
which. ``TrimmedDetector`` fits a detector again and again without the images that score
worst. The recipe ``pipelines.contaminated_mnist`` compares more detectors on MNIST.
"""

import matplotlib.pyplot as plt
import pandas as pd

import featad
from featad.metrics import auroc

images, digits = featad.load_digits_images()  # 8 x 8 pixels, from scikit-learn
data = featad.one_vs_rest(
    images / 255, digits, normal=0, contamination=0.1, random_state=0
)
train, test = data.part("train"), data.part("test")

# %%
detectors = {
    "PCA": featad.PCAReconstruction(16),
    "PCA, trimmed": featad.TrimmedDetector(
        featad.PCAReconstruction(16), contamination=0.1
    ),
    "nearest neighbor": featad.NearestNeighbors(),
    "nearest neighbor, trimmed": featad.TrimmedDetector(
        featad.NearestNeighbors(), contamination=0.1
    ),
}
scores = {
    name: featad.anomaly_scores(detector.fit(train.images), test.images)
    for name, detector in detectors.items()
}
pd.Series({name: auroc(test.labels, s) for name, s in scores.items()}).round(3)

# %%
# The training images that the trimmed nearest neighbors find most anomalous:
trimmed = detectors["nearest neighbor, trimmed"]
worst = featad.anomaly_scores(trimmed, train.images).argsort()[::-1]
figure, axes = plt.subplots(1, 9, figsize=(8, 1.3), layout="constrained")
for ax, place in zip(axes, worst, strict=False):
    ax.imshow(train.images[place], cmap="gray_r")
    ax.set_title("other" if train.labels[place] == -1 else "0", fontsize=9)
    ax.axis("off")
