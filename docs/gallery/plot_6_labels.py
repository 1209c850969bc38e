"""
What labeled anomalies are worth
================================

A classifier that is trained on known kinds of anomalies may miss a new kind. Detectors
that learn from normal images alone do not know any kind. The recipe
``pipelines.fashion_one_class`` asks this question on clothes.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import featad
from featad.metrics import auroc

# %%
# Eights are normal. Nines are anomalies that are never trained on; of the other digits,
# a few are labeled.
images, digits = featad.load_digits_images()
X = images.reshape(len(images), -1) / 255
rng = np.random.default_rng(0)
order = rng.permutation(len(X))
eights, nines = order[digits[order] == 8], order[digits[order] == 9]
others = order[(digits[order] < 8)]
train, labeled = eights[:90], others[:40]
tests = {"seen kinds": others[40:], "nines, unseen": nines}

# %%
X_both = np.concatenate([X[train], X[labeled]])
y_both = np.repeat([1, -1], [len(train), len(labeled)])
logistic = LogisticRegression(max_iter=1000).fit(X_both, y_both)
sad = featad.DeepSAD(max_epochs=100, random_state=0).fit(X_both, y_both)
svdd = featad.DeepSVDD(max_epochs=100, random_state=0).fit(X[train])
pca = featad.PCAReconstruction(16).fit(X[train])
scored = {
    "logistic regression, labels": lambda X: -logistic.decision_function(X),
    "DeepSAD, labels": lambda X: featad.anomaly_scores(sad, X),
    "DeepSVDD": lambda X: featad.anomaly_scores(svdd, X),
    "PCA reconstruction": lambda X: featad.anomaly_scores(pca, X),
}
rows = {}
for name, score in scored.items():
    normal = score(X[eights[90:]])
    rows[name] = {
        kind: auroc(
            np.repeat([1, -1], [len(normal), len(odd)]),
            np.concatenate([normal, score(X[odd])]),
        )
        for kind, odd in tests.items()
    }
table = pd.DataFrame.from_dict(rows, orient="index")
table.round(3)

# %%
figure, axes = plt.subplots(figsize=(6.4, 3), layout="constrained")
table.plot.barh(ax=axes, legend=False)
figure.legend(loc="outside upper center", ncols=2)
axes.set(xlim=(0.5, 1), xlabel="AUROC")
