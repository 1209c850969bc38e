"""Parts of reports: nearest images, pixel figures, courses in time, drift, memory."""

import os
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, TransformerMixin

import featad
from featad import KMeansDistance, Mahalanobis, make_spots_and_lines
from featad.drift import drift_in_words
from featad.metrics import aupro, pixel_auroc
from featad.report import (
    NearestNormal,
    locate,
    locating,
    nearest,
    summarize,
    summarize_batch,
    to_html,
)
from featad.report.over_time import over_time
from featad.report.pictures import illustrate


def _reader(size=8, **options):
    return featad.ImageReader(size=size, flatten=True, **options)


@pytest.fixture(scope="module")
def grays():
    return [np.full((8, 8, 3), gray) for gray in np.linspace(0, 1, 11)]


@pytest.fixture(scope="module")
def system(grays):
    return featad.make_pipeline(_reader(), KMeansDistance(1)).fit(grays)


def test_nearest_images_have_the_smallest_distance_of_features(system, grays):
    found = NearestNormal(system, grays)
    distances, places = found.find([np.full((8, 8, 3), 0.52)])
    assert places[0].tolist() == [5, 6, 4]
    assert distances[0, 0] == pytest.approx(0.02 * np.sqrt(192), rel=1e-3)
    assert "the 11 normal training images" in found.says


class _Halves(TransformerMixin, BaseEstimator):
    """Maps of two positions: the mean colors of the upper and the lower half."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        X = np.asarray(X)
        halves = [X[:, :4].mean(axis=(1, 2)), X[:, 4:].mean(axis=(1, 2))]
        return np.stack(halves, axis=1)[:, :, None]


def test_maps_of_features_are_averaged_over_positions(grays):
    X = np.asarray(grays)
    system = featad.make_pipeline(_Halves(), featad.PatchKMeans(2)).fit(X)
    found = NearestNormal(system, X)
    assert "averaged over their positions" in found.says
    turned = X[3:4].copy()
    turned[:, :4] += 0.1
    turned[:, 4:] -= 0.1
    distances, places = found.find(turned, 1)
    assert places.tolist() == [[3]]
    assert distances[0, 0] == pytest.approx(0, abs=1e-3)


def test_only_a_part_of_many_training_images_is_compared_with(
    system, grays, monkeypatch
):
    monkeypatch.setattr(nearest, "AT_MOST", 3)
    found = NearestNormal(system, grays)
    assert [one[0, 0, 0] for one in found.sources] == [0, 0.5, 1]
    assert "3 of the 11 normal training images" in found.says


@pytest.fixture(scope="module")
def located():
    """Return a fitted system with maps of its own, and parts with masks."""
    parts = make_spots_and_lines(16, 12, size=32, random_state=0)
    reader = featad.ImageReader(size=16)
    detector = featad.Autoencoder(2, width=4, max_epochs=1, random_state=0)
    fitted = featad.make_pipeline(reader, detector).fit(parts.part("train").images)
    return fitted, parts, np.flatnonzero(parts.parts == "test")


def test_a_system_without_features_says_so(located):
    system, parts, _ = located
    with pytest.raises(TypeError, match="Autoencoder takes the images themselves"):
        NearestNormal(system[-1], parts.images)


def test_pixel_figures_are_those_of_all_maps(located):
    system, parts, test = located
    found = locate(system, parts, test)
    maps = featad.anomaly_maps(system, parts.images[test])
    masks = [
        np.zeros((32, 32), bool) if parts.masks[i] is None else parts.masks[i]
        for i in test
    ]
    assert found["pixel_auroc"] == pytest.approx(pixel_auroc(masks, maps))
    assert found["aupro"] == pytest.approx(aupro(masks, maps))
    assert (found["n_images"], found["shrunk"]) == (12, False)


def test_pixel_figures_take_bounded_memory(located, monkeypatch):
    system, parts, test = located
    monkeypatch.setattr(locating, "_PIXELS", 12 * 16 * 16)
    monkeypatch.setattr(locating, "AT_MOST", 12)
    found = locate(system, parts, test)
    assert found["shrunk"]
    assert 0 < found["pixel_auroc"] <= 1


def test_without_masks_there_are_no_pixel_figures(located):
    system, parts, test = located
    normal = [i for i in test if parts.labels[i] == 1]
    assert locate(system, parts, normal) is None


def _files(folder, times):
    paths = []
    for i, when in enumerate(times):
        path = folder / f"{i}.png"
        path.touch()
        os.utime(path, (when, when))
        paths.append(path)
    return paths


def test_shares_are_told_by_hour_and_by_day(tmp_path):
    hours = np.repeat(np.arange(4), 6) * 3600.0
    paths = _files(tmp_path, 1.7e9 + hours)
    course = over_time(paths, hours > 2 * 3600)
    assert course["unit"] == "hour"
    assert [point["share"] for point in course["points"]] == [0, 0, 0, 1]
    paths = _files(tmp_path, 1.7e9 + 24 * hours)
    assert over_time(paths, hours > 0)["unit"] == "day"


def test_files_of_one_time_tell_of_no_course(tmp_path):
    paths = _files(tmp_path, [1.7e9] * 30)
    assert over_time(paths, np.zeros(30, bool)) is None
    assert over_time([np.zeros((2, 2))] * 30, np.zeros(30, bool)) is None


def test_a_batch_that_is_mostly_flagged_is_said_to_be_a_drift_or_defective():
    low = dict.fromkeys((0.05, 0.1, 0.2, 0.5), 58)
    said = drift_in_words(60, 58, low, 200, target_fpr=0.05)
    assert said.startswith("97 % of the images are called anomalous where 5 %")
    assert "the camera, the light or the parts have changed, or most" in said


def test_nothing_is_said_of_fewer_than_thirty_images():
    low = dict.fromkeys((0.05, 0.1, 0.2, 0.5), 29)
    assert drift_in_words(29, 0, low, 200, target_fpr=0.01) is None
    assert drift_in_words(30, 0, low, 200, target_fpr=0.01) is not None


def test_a_batch_tells_what_the_test_of_p_values_gives():
    X = np.random.default_rng(0).random((200, 8, 8))
    system = featad.make_pipeline(_reader(), Mahalanobis())
    system = featad.calibrate(system, target_fpr=0.05, random_state=0).fit(X)
    rows = pd.DataFrame(
        {
            "path": [f"{i}" for i in range(80)],
            "anomaly_score": 0.0,
            "threshold": 1.0,
            "is_anomaly": False,
            "p_value": np.linspace(0.055, 0.2, 80),
            "error": None,
        }
    )
    summary = summarize_batch(rows, [None] * 80, system=system, max_images=0)
    told = [one["text"] for one in summary["batch"]["says"]]
    assert any("Kolmogorov-Smirnov" in text and "not spread" in text for text in told)
    uniform = rows.assign(p_value=np.linspace(0.0125, 1, 80))
    summary = summarize_batch(uniform, [None] * 80, system=system, max_images=0)
    assert "they are spread as" in summary["batch"]["says"][-1]["text"]


def test_size_and_depth_are_those_of_the_file(tmp_path):
    Image.fromarray(np.zeros((4, 6), np.uint16)).save(tmp_path / "deep.png")
    Image.new("RGB", (5, 3)).save(tmp_path / "color.png")
    images = [{}, {}, {}]
    sources = [
        tmp_path / "deep.png",
        tmp_path / "color.png",
        np.zeros((2, 2), np.uint8),
    ]
    illustrate(images, dict(enumerate(sources)))
    assert [(i["size"], i["depth"]) for i in images] == [
        ("6 x 4", "16 bits, 1 channel"),
        ("5 x 3", "8 bits, 3 channels"),
        ("2 x 2", "uint8, 1 channel"),
    ]


def test_what_was_left_out_is_named_with_its_reason(tmp_path):
    for part in ("good", "bad"):
        (tmp_path / part).mkdir()
        for i in range(3):
            Image.new("L", (8, 8), 20 * i).save(tmp_path / part / f"{i}.png")
    (tmp_path / "good" / "notes.txt").write_text("no image")
    with pytest.warns(UserWarning, match="notes.txt"):
        dataset = featad.load_folder(tmp_path, normal="good", anomaly="bad")
    scores = pd.DataFrame(
        {
            "system": "a",
            "fold": 1,
            "sample": range(6),
            "label": dataset.labels,
            "anomaly_score": np.arange(6.0),
        }
    )
    card = summarize(scores, dataset)["data"]
    assert card["left_out"][0]["n"] == 1
    assert card["left_out"][0]["first"][0].endswith("notes.txt")
    assert "does not end in" in card["left_out"][0]["why"]


def test_an_earlier_summary_gives_its_pictures_and_its_digest(monkeypatch):
    parts = make_spots_and_lines(6, 6, size=16, random_state=0)
    test = np.flatnonzero(parts.parts == "test")
    scores = pd.DataFrame(
        {
            "system": "a",
            "fold": 1,
            "sample": test,
            "label": parts.labels[test],
            "anomaly_score": np.arange(6.0),
        }
    )
    first = summarize(scores, parts)
    monkeypatch.setattr("featad.report.pictures.as_url", None)
    monkeypatch.setattr("featad.report.data_card.hashlib", None)
    again = summarize(scores, parts, earlier=first)
    assert again["images"] == first["images"]
    assert again["data"] == first["data"]


class _Made:
    """Images that are made when they are asked for, and then let go."""

    def __init__(self, n_images):
        self.n_images = n_images

    def __len__(self):
        return self.n_images

    def __getitem__(self, i):
        return np.random.default_rng(i).integers(0, 255, (120, 120, 3), np.uint8)


def test_memory_does_not_grow_with_the_images():
    peaks = []
    for n_images in (50, 500):
        rows = pd.DataFrame(
            {
                "path": [f"image {i}" for i in range(n_images)],
                "anomaly_score": np.arange(float(n_images)),
                "threshold": 2.0,
                "is_anomaly": True,
                "p_value": np.nan,
                "error": None,
            }
        )
        tracemalloc.start()
        to_html(summarize_batch(rows, _Made(n_images), max_images=20))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    an_image = 120 * 120 * 3
    assert peaks[1] - peaks[0] < 450 * an_image / 10
