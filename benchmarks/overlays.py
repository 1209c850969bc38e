"""Pages of overlays for each set: defects, misses, good parts and false alarms.

A system is fitted and calibrated on the normal training images of a set, and the maps
of its test images are drawn in one scale, that of held-out normal images. The page has
four blocks: the clearest and the weakest of the defects that were found, those that
were missed, the most ordinary good parts, and the good parts that were called odd.
Pages show images of the data sets and are not part of the project. What is seen on them
is told in ``results/overlays.md``.
"""

import argparse
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

import featad
from benchmarks.localization import NETWORKS, SETS, load_part
from featad.report import summarize_batch, write_report
from featad.report.pictures import overlays_of

matplotlib.use("Agg")
from matplotlib import pyplot as plt

COLUMNS = 6
SIZE = 224
TARGET_FPR = 0.1


def main() -> None:
    """Draw a page for each set that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="folder of the pages")
    parser.add_argument("--only", nargs="+", help="names of data sets", default=SETS)
    parser.add_argument("--system", default="squeezenet1_1-patches-gaussian")
    parser.add_argument("--limit", type=int, default=100, help="images of each part")
    parser.add_argument(
        "--report",
        action="store_true",
        help="also write what `featad score --maps --report` does, an HTML page",
    )
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for name in args.only:
        path = args.output / f"{name}_{args.system}.png"
        part = load_part(name, args.limit)
        system, scale = _fitted(part, args.system)
        draw_page(part, args.system, system, scale, path)
        print(f"wrote {path}", file=sys.stderr)
        if args.report:
            rows = pd.concat(featad.score_images(system, part.test))
            overlays, title = overlays_of(system, scale), f"{name}, {args.system}"
            summary = summarize_batch(
                rows, part.test, system=system, overlays=overlays, title=title
            )
            page = write_report(summary, path.with_suffix(".html"))
            print(f"wrote {page}", file=sys.stderr)


def draw_page(part, name: str, system, scale, path: Path) -> None:
    """Draw the maps of a set's test images, of a fitted system."""
    scores = -system.score_samples(part.test)
    is_odd = system.predict(part.test) == -1
    is_bad = part.labels == -1
    blocks = {
        "found": _both_ends(scores, is_bad & is_odd),
        "missed": _ordered(scores, is_bad & ~is_odd)[:COLUMNS],
        "good": _both_ends(scores, ~is_bad & ~is_odd),
        "false alarms": _ordered(scores, ~is_bad & is_odd)[:COLUMNS],
    }
    counts = {
        "found": f"{(is_bad & is_odd).sum()} of {is_bad.sum()} defects found",
        "missed": f"{(is_bad & ~is_odd).sum()} missed",
        "good": f"{(~is_bad & ~is_odd).sum()} of {(~is_bad).sum()} good parts passed",
        "false alarms": f"{(~is_bad & is_odd).sum()} false alarms",
    }
    blocks = {kind: chosen for kind, chosen in blocks.items() if len(chosen)}
    size = (1.6 * COLUMNS, 3.4 * len(blocks) + 0.6)
    figure, axes = plt.subplots(2 * len(blocks), COLUMNS, figsize=size)
    for ax in axes.ravel():
        ax.axis("off")
    for block, (kind, chosen) in enumerate(blocks.items()):
        axes[2 * block, 0].set_title(counts[kind], loc="left", fontsize=9)
        maps = featad.anomaly_maps(system, [part.test[i] for i in chosen], resize=False)
        for column, (i, ratios) in enumerate(
            zip(chosen, scale.ratios(maps), strict=True)
        ):
            image = featad.read_image(part.test[i], size=SIZE)
            mask = part.masks[i] if part.masks is not None else None
            _draw(axes[2 * block : 2 * block + 2, column], image, ratios, mask)
    figure.suptitle(
        f"{part.name}, {name}: outlined is the mask; bright is beyond the threshold\n"
        f"{'; '.join(counts.values())}",
        fontsize=10,
    )
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _fitted(part, name):
    """Return a calibrated system, and the scale of its maps."""
    arch, weights = NETWORKS[name.split("-")[0]]
    options = {"weights": str(weights)}
    if weights != "default":
        options["preprocessing"] = "imagenet"
    system = featad.calibrate(
        featad.build(name, **options), target_fpr=TARGET_FPR, cv=0.3, random_state=0
    ).fit(part.train)
    held_out = [part.train[i] for i in system[-1].calibration_indices_]
    return system, featad.fit_map_scale(system, held_out, target_fpr=TARGET_FPR)


def _ordered(scores, which):
    """Return the indices of some samples, the highest score first."""
    chosen = np.flatnonzero(which)
    return chosen[np.argsort(-scores[chosen])]


def _both_ends(scores, which):
    """Return the indices of the highest and of the lowest scores among some samples."""
    chosen = _ordered(scores, which)
    half = COLUMNS // 2
    return chosen if len(chosen) <= COLUMNS else np.r_[chosen[:half], chosen[-half:]]


def _draw(axes, image, ratios, mask):
    plain, mapped = axes
    extent = (0, SIZE, SIZE, 0)
    plain.imshow(image, extent=extent)
    mapped.imshow(image.mean(axis=2), cmap="gray", vmin=0, vmax=1, extent=extent)
    mapped.imshow(
        np.clip(ratios, 0, 2),
        cmap="inferno",
        vmin=0,
        vmax=2,
        alpha=np.clip(0.8 * ratios, 0, 0.8),
        extent=extent,
        interpolation="bilinear",
    )
    if mask is not None and mask.any():
        plain.contour(mask, [0.5], colors="#00e5ff", linewidths=0.8)
        mapped.contour(mask, [0.5], colors="#00e5ff", linewidths=0.8)


if __name__ == "__main__":
    main()
