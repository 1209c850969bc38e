"""
Score new parts
===============

The whole job in a few lines: fit a system on normal images, give it a threshold with a
known rate of false alarms, save it, and score new images into a table.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import featad

# %%
# The parts are generated: brushed plates, some with a dark spot or a dark line. Real
# images come as paths, which ``featad.load_folder`` or ``featad.list_images`` finds.
parts = featad.make_spots_and_lines(100, 30)
train, new = parts.part("train"), parts.part("test")

# %%
# A calibrated system holds out samples to learn how normal images score. Its threshold
# is set so that about 5 % of normal images are beyond it.
system = featad.calibrate(
    featad.build("mini-stats-mahalanobis", image_size=96),
    target_fpr=0.05,
    random_state=0,
)
system.fit(train.images)

# %%
# A saved model is checked when it is loaded. It scores into a CSV, Parquet or JSON
# lines file, one row for each image.
folder = Path(tempfile.mkdtemp())
featad.save(system, folder / "plates.joblib")
model = featad.load(folder / "plates.joblib")
summary = featad.score_to_file(model, new.images, folder / "scores.csv")
table = pd.read_csv(folder / "scores.csv")
table["kind"] = new.kinds
print(f"{summary.scored} scored, {summary.anomalous} anomalous")
table[["kind", "score_ratio", "p_value", "is_anomaly"]].tail()

# %%
# A ``score_ratio`` of 0 is typical of normal images, and 1 is the threshold.
figure, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
for kind, color in (("good", "#3b75af"), ("spot", "#c8553d"), ("line", "#e0a030")):
    ratios = table.score_ratio[table.kind == kind]
    axes.plot(ratios, np.full(len(ratios), kind), "|", color=color, markersize=18)
axes.axvline(1, color="gray", linestyle="--")
axes.set_xlabel("score_ratio")
axes.margins(y=0.4)
