"""
Where a part is odd
===================

Detectors of patches judge every position of an image. Their maps have one scale for
all images: 0 is typical of normal pixels, and 1 is the threshold.
"""

import numpy as np

import featad

parts = featad.make_spots_and_lines(50, 8, size=128)
train, new = parts.part("train"), parts.part("test")

# %%
# Fit on most of the clean plates, and measure the scale of the maps on the others.
system = featad.build("mini-patches-gaussian", image_size=128)
system.fit(train.images[:40])
scale = featad.fit_map_scale(system, train.images[40:])
ratios = scale.ratios(featad.anomaly_maps(system, new.images))

# %%
# Connected pixels beyond the threshold are regions. The display outlines them, on the
# image and on its map, beside the mask.
featad.MapDisplay.from_estimator(
    system, new.images[-3:], scale=scale, masks=new.masks[-3:], names=new.kinds[-3:]
)

# %%
# The plates come with masks, which tell how well the maps find the defects.
from featad.metrics import aupro, pixel_auroc

masks = [
    np.zeros(ratio.shape, bool) if mask is None else mask.astype(bool)
    for mask, ratio in zip(new.masks, ratios, strict=True)
]
print(f"pixel AUROC {pixel_auroc(masks, ratios):.3f}, AUPRO {aupro(masks, ratios):.3f}")
