"""
Choose features and detector in one search
==========================================

A system is a scikit-learn pipeline, so that ``GridSearchCV`` swaps its steps. Each fold
trains on normal images only and is tested on both kinds. The recipe
``pipelines.compare`` does the same on a folder of images.
"""

import tempfile

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.model_selection import GridSearchCV

import featad
from featad.features import default_layers

parts = featad.make_spots_and_lines(60, 40)
three = default_layers("vgg_mini")[1]

# %%
# One layer or three, and three detectors: six systems. The cache is filled first, so
# that each image runs through the network once for all of them.
search = GridSearchCV(
    featad.build("mini-stats-kmeans", image_size=128, cache=tempfile.mkdtemp()),
    {
        "features__layer": [three[1], three],
        "detector": [
            featad.OneClassSVM(gamma="median", nu=0.05),
            featad.KMeansDistance(n_clusters=8, random_state=0),
            featad.IsolationForest(random_state=0),
        ],
    },
    scoring=featad.anomaly_roc_auc,
    cv=featad.OneClassKFold(n_splits=2, random_state=0),
)
featad.fill_cache(search, parts.images)
search.fit(parts.images, parts.labels)

# %%
# The best system has been fitted again on all normal images.
results = search.cv_results_
table = pd.DataFrame(
    {
        "layers": [
            "one" if isinstance(layer, str) else "three"
            for layer in results["param_features__layer"]
        ],
        "detector": [type(d).__name__ for d in results["param_detector"]],
        "AUROC": results["mean_test_score"].round(3),
        "spread": results["std_test_score"].round(3),
    }
)
table.sort_values("AUROC", ascending=False)

# %%
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
table.pivot(index="detector", columns="layers", values="AUROC").plot.barh(
    ax=axes, legend=False
)
figure.legend(title="layers", loc="outside right upper")
axes.set(xlim=(0.5, 1), xlabel="mean AUROC of two folds", ylabel="")
