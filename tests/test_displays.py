"""Displays show what scores and maps say, of every kind of system."""

import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_curve
from sklearn.model_selection import GridSearchCV

import featad
from featad.errors import MissingExtraError
from featad.metrics import auroc
from featad.metrics.scores import bootstrap_counts
from featad.model_selection import anomaly_roc_auc

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
pyplot = pytest.importorskip("matplotlib.pyplot")

RNG = np.random.default_rng(0)
Y = np.repeat([1, -1], [40, 20])
X = RNG.normal(0.5, 0.05, (60, 6, 6)).clip(0, 1)
X[40:, 1:4, 2:5] += 0.08
X = X.clip(0, 1).astype(np.float32)
TRAIN = RNG.normal(0.5, 0.05, (40, 6, 6)).clip(0, 1).astype(np.float32)
READER = featad.ImageReader(size=6, mode="L", flatten=True)


@pytest.fixture(autouse=True)
def _closed():
    yield
    pyplot.close("all")


def _systems():
    pipeline = featad.make_pipeline(READER, featad.KMeansDistance(1, random_state=0))
    other = featad.make_pipeline(READER, featad.Mahalanobis())
    return {
        "detector": featad.KMeansDistance(1, random_state=0),
        "pipeline": pipeline,
        "calibrated": featad.calibrate(pipeline, target_fpr=0.1, random_state=0),
        "search": GridSearchCV(
            pipeline,
            {"kmeansdistance__n_clusters": [1, 2]},
            scoring=anomaly_roc_auc,
            cv=featad.OneClassKFold(2, random_state=0),
        ),
        "trimmed": featad.TrimmedDetector(pipeline, random_state=0),
        "ensemble": featad.ScoreEnsemble(
            [("a", pipeline), ("b", other)],
            random_state=0,
        ),
        "tiled": featad.TiledDetector(pipeline, tile_size=6, random_state=0),
    }


@pytest.fixture(scope="module")
def systems():
    return {
        name: system.fit(X, Y) if name == "search" else system.fit(TRAIN)
        for name, system in _systems().items()
    }


NAMES = list(_systems())


@pytest.mark.parametrize("name", NAMES)
def test_scores_threshold_and_counts_are_those_of_the_system(systems, name):
    system = systems[name]
    display = featad.ScoreDisplay.from_estimator(system, X, Y)
    score = featad.anomaly_scores(system, X)
    np.testing.assert_array_equal(display.anomaly_score, score)
    assert display.threshold == featad.anomaly_threshold(system)
    assert display.threshold_line_.get_xdata()[0] == display.threshold
    for told, label in (("normal", 1), ("anomalous", -1)):
        counts = np.histogram(score[label == Y], display.edges_)[0]
        np.testing.assert_array_equal(display.counts_[told], counts)
        assert counts.sum() == (label == Y).sum()
        heights = [bar.get_height() for bar in display.bars_[told]]
        np.testing.assert_array_equal(heights, counts)


@pytest.mark.parametrize("name", NAMES)
def test_the_roc_curve_is_that_of_the_anomaly_score(systems, name):
    score = featad.anomaly_scores(systems[name], X)
    display = featad.RocDisplay.from_estimator(systems[name], X, Y, n_bootstrap=20)
    expected = roc_curve(Y == -1, score)
    np.testing.assert_array_equal(display.fpr[0], expected[0])
    np.testing.assert_array_equal(display.tpr[0], expected[1])
    np.testing.assert_array_equal(display.lines_[0].get_xydata().T, expected[:2])
    assert display.auroc[0] == pytest.approx(auroc(Y, score))


@pytest.mark.parametrize("name", NAMES)
def test_maps_and_outlines_are_those_of_the_system(systems, name):
    system = systems[name]
    scale = featad.MapScale("occlusion", 0.0, 1e-3, n_images=20, target_fpr=0.05)
    if name in ("ensemble", "tiled"):
        scale = featad.fit_map_scale(system, X[:10])
    chosen = X[38:42]
    display = featad.MapDisplay.from_estimator(system, chosen, Y[38:42], scale=scale)
    ratios = scale.ratios(featad.anomaly_maps(system, chosen, method=scale.method))
    np.testing.assert_array_equal(display.maps, ratios)
    for regions, one in zip(display.regions, ratios, strict=True):
        np.testing.assert_array_equal(regions, featad.segment(one)[0])
    assert display.names == ["normal", "normal", "anomalous", "anomalous"]


def test_the_outline_holds_the_pixels_of_the_regions_and_no_others():
    ratios = np.zeros((20, 30))
    ratios[4:8, 10:20] = ratios[12:15, 3:5] = 3
    scale = featad.MapScale("own", 0.0, 1.0, n_images=20, target_fpr=0.05)
    display = featad.MapDisplay.from_predictions(
        [np.zeros((20, 30))], [ratios], scale=scale
    )
    pixels = np.stack(np.meshgrid(np.arange(30), np.arange(20)), axis=-1).reshape(-1, 2)
    assert len(display.contours_) == 2
    for outline in display.contours_:
        inside = sum(p.contains_points(pixels) for p in outline.get_paths())
        np.testing.assert_array_equal(inside.reshape(20, 30) > 0, ratios > 0)


def test_colors_of_maps_mean_the_same_whatever_is_beside_them():
    image, scale = np.full((8, 8), 0.5), featad.MapScale("own", 0.0, 1.0, 20, 0.05)
    dim, bright = np.full((8, 8), 0.9), np.full((8, 8), 9.0)
    alone = featad.MapDisplay.from_predictions([image], [dim], scale=scale)
    both = featad.MapDisplay.from_predictions([image] * 2, [bright, dim], scale=scale)
    seen = [d.axes_[-1, 1].images[0].get_array() for d in (alone, both)]
    np.testing.assert_array_equal(*seen)


def test_typical_pixels_have_no_color():
    image = np.full((4, 4, 3), 0.3)
    np.testing.assert_allclose(featad.plots.overlaid(image, np.zeros((4, 4))), image)


def test_maps_without_a_scale_have_common_ends_and_no_regions():
    maps = [np.full((4, 4), 2.0), np.full((4, 4), 5.0)]
    display = featad.MapDisplay.from_predictions(np.zeros((2, 4, 4)), maps)
    assert display.limits == (2.0, 5.0)
    assert display.regions is None
    told = [label.get_text() for label in display.colorbar_.ax.get_yticklabels()]
    assert told == ["2", "3.5", "5"]


def test_masks_have_a_panel_of_their_own():
    mask = np.eye(4) > 0
    display = featad.MapDisplay.from_predictions(
        np.zeros((2, 4, 4)), np.zeros((2, 4, 4)), masks=[mask, None]
    )
    assert display.axes_.shape == (2, 3)
    shown = [row[2].images[0].get_array() for row in display.axes_]
    np.testing.assert_array_equal(shown, [mask, np.zeros((4, 4))])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"maps": np.zeros((1, 4, 4))}, "maps has 1 entries, but there are 2 images"),
        ({"maps": np.zeros((2, 5, 4))}, r"of the size of its image, \(4, 4\), got \(5"),
        ({"names": ["a"]}, "names has 1 entries"),
        ({"ax": [None]}, "ax should hold 4 axes, 2 for each of 2 images, got 1"),
    ],
)
def test_maps_that_do_not_fit_are_refused(changed, message):
    given = {"images": np.zeros((2, 4, 4)), "maps": np.zeros((2, 4, 4))} | changed
    with pytest.raises(ValueError, match=message):
        featad.MapDisplay.from_predictions(**given)


def test_kinds_of_anomalies_have_counts_of_their_own():
    kinds = ["good"] * 40 + ["spot"] * 12 + ["line"] * 7 + ["normal"]
    display = featad.ScoreDisplay.from_predictions(Y, np.arange(60.0), kinds=kinds)
    found = {name: counts.sum() for name, counts in display.counts_.items()}
    assert found == {"normal": 40, "spot": 12, "line": 7, "anomalous: normal": 1}


def test_rare_kinds_share_a_color():
    kinds = ["good"] * 40 + [f"k{i % 10}" for i in range(20)]
    display = featad.ScoreDisplay.from_predictions(Y, np.arange(60.0), kinds=kinds)
    assert list(display.counts_)[-1] == "5 other kinds"
    assert sum(counts.sum() for counts in display.counts_.values()) == 60


def test_scores_without_labels_are_one_group():
    display = featad.ScoreDisplay.from_predictions(None, np.arange(9.0), threshold=3)
    assert {name: counts.sum() for name, counts in display.counts_.items()} == {
        "images": 9
    }


def test_what_calibrates_a_system_is_expected_of_normal_samples(systems):
    system = systems["calibrated"]
    display = featad.ScoreDisplay.from_estimator(system, X, Y)
    held_out = -system[-1].calibration_scores_
    share = np.histogram(held_out, display.edges_)[0] / len(held_out)
    np.testing.assert_allclose(display.expected_, 40 * share)
    np.testing.assert_allclose(display.expected_line_.get_data().values, 40 * share)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"y": Y == 1}, "Labels must be 1"),
        ({"anomaly_score": np.full(60, np.nan)}, "finite"),
        ({"kinds": ["a"]}, "kinds has 1 entries, but there are 60 samples"),
    ],
)
def test_scores_that_do_not_fit_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        featad.ScoreDisplay.from_predictions(
            **({"y": Y, "anomaly_score": np.arange(60.0)} | changed)
        )


def _two():
    rng = np.random.default_rng(0)
    return {
        "weak": rng.normal(size=60) + (Y == -1),
        "good": rng.normal(size=60) - 3 * Y,
    }


def test_intervals_are_those_of_the_table_of_a_comparison():
    rows = pd.concat(
        pd.DataFrame(
            {"system": name, "fold": np.arange(60) % 2, "sample": np.arange(60)}
            | {"label": Y, "anomaly_score": score}
        )
        for name, score in _two().items()
    )
    table = featad.compare_scores(rows, n_bootstrap=100)
    display = featad.RocDisplay.from_scores(rows, n_bootstrap=100)
    expected = table.loc[display.name, ["auroc_low", "auroc_high"]].to_numpy()
    np.testing.assert_allclose(display.auroc_interval, expected)
    np.testing.assert_allclose(display.auroc, table.loc[display.name, "auroc"])


def test_bands_are_percentiles_of_the_curves_of_draws():
    score = _two()["weak"]
    display = featad.RocDisplay.from_predictions(Y, score, n_bootstrap=50)
    shares, low, high = display.band[0]
    [counts] = bootstrap_counts(Y, 50, 0)
    curves = [roc_curve(Y == -1, score, sample_weight=drawn)[:2] for drawn in counts]
    found = [np.interp(shares, *curve) for curve in curves]
    np.testing.assert_allclose([low, high], np.percentile(found, [2.5, 97.5], axis=0))


def test_the_best_system_comes_first_in_the_legend():
    display = featad.RocDisplay.from_predictions(Y, _two(), confidence=None)
    told = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert [text.split(":")[0] for text in told] == ["good", "weak"]


def test_detection_errors_are_misses_against_false_alarms():
    display = featad.RocDisplay.from_predictions(
        Y, _two()["weak"], kind="det", n_bootstrap=5
    )
    points = display.lines_[0].get_xydata().T
    np.testing.assert_array_equal(points, [display.fpr[0], 1 - display.tpr[0]])


def test_bands_of_many_systems_are_drawn_when_asked_for():
    many = {f"system {i}": _two()["weak"] for i in range(4)}
    display = featad.RocDisplay.from_predictions(Y, many, n_bootstrap=10)
    assert display.bands_ == []
    assert len(display.plot(bands=True).bands_) == 4


def test_an_unknown_kind_of_curve_is_refused():
    with pytest.raises(ValueError, match="kind should be 'roc' or 'det', got 'pr'"):
        featad.RocDisplay.from_predictions(Y, _two(), kind="pr")


@pytest.mark.parametrize("name", ["$a$ $", "_hidden", "a\nb\0c", 500 * "x", "<b>"])
def test_names_are_drawn_letter_by_letter(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        roc = featad.RocDisplay.from_predictions(
            Y, {name: _two()["weak"]}, n_bootstrap=5
        )
        scores = featad.ScoreDisplay.from_predictions(
            Y, Y, kinds=[name] * 60, name=name
        )
        for display in (roc, scores):
            display.figure_.canvas.draw()
    assert len(roc.ax_.get_legend().get_texts()) == 1


def test_displays_are_drawn_where_they_are_asked_to():
    figure, (left, right) = pyplot.subplots(1, 2)
    scores = featad.ScoreDisplay.from_predictions(Y, np.arange(60.0), ax=left)
    roc = featad.RocDisplay.from_predictions(
        Y, np.arange(60.0), confidence=None, ax=right
    )
    assert (scores.ax_, roc.ax_) == (left, right)
    assert scores.figure_ is roc.figure_ is figure


@pytest.mark.parametrize("name", ["ScoreDisplay", "RocDisplay", "MapDisplay"])
def test_displays_name_the_extra_that_is_missing(name, systems, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'featad\[report\]'"):
        getattr(featad, name).from_estimator(systems["detector"], X, Y)
