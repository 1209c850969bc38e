"""Pictures of scores are drawn, and say what is missing where they cannot be."""

import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from featad.errors import MissingExtraError
from featad.plots import (
    plot_histogram,
    plot_most_anomalous,
    plot_overlay,
    plot_roc,
)

Y = np.repeat([1, -1], 12)
SCORES = np.linspace(0, 1, 24)


def _ink(path):
    return (np.asarray(Image.open(path).convert("L")) < 200).mean()


def test_the_histogram_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    assert _ink(plot_histogram(Y, SCORES, 0.5, tmp_path / "h.png")) > 0.01


def test_the_roc_curve_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    assert _ink(plot_roc({"a": (Y, SCORES)}, tmp_path / "r.png")) > 0.005


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_curves_of_a_table_of_scores_are_drawn(ending, tmp_path):
    pytest.importorskip("matplotlib")
    rows = {"fold": 1, "sample": range(24), "label": Y, "anomaly_score": SCORES}
    scores = pd.concat([pd.DataFrame({"system": name} | rows) for name in "ab"])
    path = plot_roc(scores, tmp_path / f"r.{ending}")
    assert path.stat().st_size > 2000


def test_the_strangest_images_are_drawn_without_those_unread(images, tmp_path):
    pytest.importorskip("matplotlib")
    scores = np.where(np.arange(24) == 3, np.nan, SCORES)
    path = plot_most_anomalous(images, scores, tmp_path / "m.png", threshold=0.9)
    assert _ink(path) > 0.1


def test_a_picture_looks_the_same_whatever_is_beside_it(images, tmp_path, monkeypatch):
    axes = pytest.importorskip("matplotlib.axes").Axes
    shown, imshow = [], axes.imshow

    def recorded(self, image, *args, **options):
        artist = imshow(self, image, *args, **options)
        shown.append(artist.make_image(None, unsampled=True)[0][..., :3])
        return artist

    monkeypatch.setattr(axes, "imshow", recorded)
    dim = images[0] / 4
    plot_most_anomalous([dim], [1.0], tmp_path / "alone.png")
    plot_most_anomalous([dim, images[1]], [1.0, 0.5], tmp_path / "both.png")
    np.testing.assert_array_equal(shown[0], shown[1])
    assert shown[0].max() < 70


def test_labels_0_and_1_are_refused(tmp_path):
    with pytest.raises(ValueError, match="np.where"):
        plot_histogram(Y == 1, SCORES, 0.5, tmp_path / "h.png")


def test_a_missing_matplotlib_is_told_with_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'featad\[report\]'"):
        plot_roc({"a": (Y, SCORES)}, tmp_path / "r.png")


@pytest.mark.parametrize(
    ("score", "shown"), [(38072.1, "38070"), (0.00123456, "0.001235"), (12, "12")]
)
def test_scores_above_pictures_are_no_powers_of_ten(score, shown):
    from featad.plots.style import as_number

    assert as_number(score) == shown


def _color(path):
    """Return the share of colored pixels of the left two thirds: no legend."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return (np.ptp(pixels[:, : 2 * pixels.shape[1] // 3], axis=2) > 40).mean()


def test_an_overlay_has_color_where_the_map_is_high(tmp_path):
    pytest.importorskip("matplotlib")
    image, ratios = np.full((40, 50, 3), 0.5), np.zeros((40, 50))
    good = plot_overlay(image, ratios, tmp_path / "good.png")
    ratios[10:20, 10:30] = 2
    odd = plot_overlay(image, ratios, tmp_path / "odd.png", regions=ratios > 1)
    assert _color(good) == 0
    assert _color(odd) > 0.02


@pytest.mark.parametrize("shape", [(3000, 40), (40, 3000), (2000, 1500)])
def test_overlays_of_long_and_large_images_are_of_one_size(shape, tmp_path):
    pytest.importorskip("matplotlib")
    image = np.full((*shape, 1), 0.5)
    path = plot_overlay(image, np.zeros(shape), tmp_path / "overlay.png")
    assert max(Image.open(path).size) < 2000
