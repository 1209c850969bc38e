"""Draw the sheet of the README's first screen: generated parts, and where they are odd.

    python -m docs.sheet

It writes ``docs/where.png``. Nothing is downloaded.
"""

import io
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

import featad
from featad.plots import overlaid

matplotlib.use("Agg")
from matplotlib import pyplot as plt

PATH = Path(__file__).with_name("where.png")
SYSTEM = "mini-patches-gaussian"
SHOWN = ("line", "spot", "line", "spot", "good", "good")


def draw_sheet(path: Path = PATH) -> None:
    """Fit a system on clean parts, and draw new ones with their maps in one scale."""
    parts = featad.make_spots_and_lines(80, 12, size=224)
    train, test = parts.part("train"), parts.part("test")
    system = featad.build(SYSTEM).fit(train.images[:60])
    scale = featad.fit_map_scale(system, train.images[60:])
    chosen = _first_of(SHOWN, test.kinds)
    images = test.images[chosen]
    ratios = scale.ratios(featad.anomaly_maps(system, images))
    figure, axes = plt.subplots(2, len(chosen), figsize=(1.25 * len(chosen), 2.55))
    for image, ratio, (plain, mapped) in zip(images, ratios, axes.T, strict=True):
        plain.imshow(image)
        mapped.imshow(overlaid(image / 255, ratio))
    for ax in axes.ravel():
        ax.axis("off")
    figure.subplots_adjust(0, 0, 1, 1, wspace=0.04, hspace=0.04)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100)
    plt.close(figure)
    octree = Image.Quantize.FASTOCTREE  # a small file that keeps rare colors
    colors = Image.open(drawn).convert("RGB").quantize(256, method=octree)
    colors.save(path, optimize=True)


def _first_of(kinds, found):
    """Return the index of a sample of each kind, none twice."""
    left = {kind: list(np.flatnonzero(found == kind)) for kind in set(kinds)}
    return [left[kind].pop(0) for kind in kinds]


if __name__ == "__main__":
    draw_sheet()
