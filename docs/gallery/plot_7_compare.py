"""
Compare systems, with uncertainty
=================================

``featad.compare`` runs systems on the same folds. Its table has an interval for each
figure, and says whether a system is as good as the best one.
"""

import tempfile
from pathlib import Path

import featad
from featad.report import summarize, write_report

parts = featad.make_spots_and_lines(80, 60)
table, scores = featad.compare(
    {
        "mini-stats-mahalanobis": featad.build(
            "mini-stats-mahalanobis", image_size=128
        ),
        "filters-mahalanobis": featad.build("filters-mahalanobis"),
        "pixels-pca": featad.build("pixels-pca"),
    },
    parts.images,
    parts.labels,
    cv=[((parts.parts == "train").nonzero()[0], (parts.parts == "test").nonzero()[0])],
    return_scores=True,
)
table

# %%
# The same scores as a page for a browser, with a threshold to move.
page = Path(tempfile.mkdtemp(), "report.html")
write_report(summarize(scores, parts, table=table), page)
print(f"{page.name}: {page.stat().st_size / 1e6:.1f} MB")

# %%
# And as ROC curves, with bands of 95 %.
featad.RocDisplay.from_scores(scores)
