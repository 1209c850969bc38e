"""Large images in tiles: small defects, maps, thresholds of images, memory."""

import tracemalloc

import joblib
import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone

import featad
from featad import (
    BaseDetector,
    ImageReader,
    KMeansDistance,
    Mahalanobis,
    TiledDetector,
    make_pipeline,
)
from featad.errors import ImageReadError

pytestmark = pytest.mark.filterwarnings("ignore:.* too few for target_fpr")


def textures(n, size=(120, 160), seed=0):
    """Return images of squares of 8 pixels, each of another gray."""
    rng = np.random.default_rng(seed)
    squares = rng.uniform(0.35, 0.65, (n, size[0] // 8 + 1, size[1] // 8 + 1))
    images = np.kron(squares, np.ones((1, 8, 8))).astype(np.float32)
    return list(images[:, : size[0], : size[1]])


def spotted(image, row=60, column=100, side=8):
    image = image.copy()
    image[row : row + side, column : column + side] = 0
    return image


def of_tiles():
    reader = ImageReader(size=10, mode="L", flatten=True, n_jobs=1)
    return make_pipeline(reader, Mahalanobis())


def tiled(system=None, **options):
    options = {"tile_size": 40, "random_state": 0, **options}
    return TiledDetector(system or of_tiles(), **options)


class Counting(ImageReader):
    """Note the size of each batch of tiles."""

    batches: list = []

    def transform(self, X):
        assert isinstance(X, np.ndarray)
        self.batches.append(X.shape)
        return super().transform(X)


class Brightness(BaseDetector):
    """An image's map is its own gray."""

    def _fit(self, X):
        self.fitted_ = True

    def _strangeness(self, X):
        return X.mean(axis=(1, 2, 3))

    def anomaly_map(self, X):
        return X[..., 0]


class Darkest(BaseDetector):
    """An image is as strange as its darkest pixel is dark."""

    def _fit(self, X):
        self.fitted_ = True

    def _strangeness(self, X):
        return 1 - X.min(axis=1)


def test_a_small_spot_is_found_that_the_whole_image_hides():
    system = make_pipeline(of_tiles()[0], Darkest())
    train, new = textures(8, (240, 320)), textures(8, (240, 320), seed=1)
    odd = [spotted(image) for image in new]
    y = np.repeat([1, -1], 8)
    tiles, whole = tiled(system).fit(train), clone(system).fit(train)
    assert featad.anomaly_roc_auc(tiles, new + odd, y) == 1
    assert featad.anomaly_roc_auc(whole, new + odd, y) < 0.8


def test_the_map_is_as_large_as_the_image_and_highest_at_the_spot():
    system = tiled().fit(textures(20))
    [found] = system.anomaly_map([spotted(textures(1, seed=1)[0])])
    assert found.shape == (120, 160)
    assert found.dtype == np.float32
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert abs(row - 63) < 30
    assert abs(column - 103) < 30


def test_maps_of_tiles_are_stitched_where_the_system_has_them():
    system = make_pipeline(ImageReader(size=20, mode="L"), Brightness())
    tiles = tiled(system, overlap=0.5).fit(textures(4))
    image = np.add.outer(np.linspace(0, 0.6, 120), np.linspace(0, 0.4, 160))
    np.testing.assert_allclose(tiles.anomaly_map([image])[0], image, atol=0.02)


def test_anomaly_maps_take_the_stitched_map_of_a_calibrated_system():
    system = featad.calibrate(tiled(), target_fpr=0.2).fit(textures(10))
    images = textures(2, seed=1)
    found = featad.anomaly_maps(system, images)
    np.testing.assert_array_equal(found, system[-1].estimator_.anomaly_map(images))


@pytest.mark.parametrize("kind", ["arrays", "batch", "paths", "pil"])
def test_any_sources_are_taken(kind, tmp_path):
    images = [(255 * image).astype(np.uint8) for image in textures(6)]
    X = {
        "arrays": images,
        "batch": np.stack(images),
        "paths": [tmp_path / f"{i}.png" for i in range(6)],
        "pil": [Image.fromarray(image) for image in images],
    }[kind]
    if kind == "paths":
        for image, path in zip(images, X, strict=True):
            Image.fromarray(image).save(path)
    expected = tiled().fit(images).score_samples(images)
    np.testing.assert_allclose(tiled().fit(X).score_samples(X), expected, rtol=1e-6)


def test_images_may_have_different_sizes_and_be_smaller_than_a_tile():
    images = textures(4) + textures(3, size=(30, 200)) + textures(3, size=(90, 35))
    system = tiled().fit(images)
    assert system.score_samples(images).shape == (10,)
    maps = system.anomaly_map(images)
    assert [found.shape for found in maps] == [image.shape for image in images]


def test_scores_do_not_depend_on_the_batch():
    images = textures(6)
    system = tiled().fit(images)
    expected = system.score_samples(images)
    for size in (1, 7, 1000):
        found = system.set_params(batch_size=size).score_samples(images[::-1])
        np.testing.assert_allclose(found[::-1], expected, rtol=1e-6)


@pytest.mark.parametrize("score_by", ["max", "mean", "top1%"])
def test_the_image_score_is_the_rule_over_its_tiles(score_by):
    images = textures(6)
    system = tiled(score_by=score_by, overlap=0.0, tile_size=60).fit(images)
    image = images[0]
    corners = [(r, c) for r in (0, 60) for c in (0, 50, 100)]
    tiles = [image[r : r + 60, c : c + 60] for r, c in corners]
    scores = system.estimator_.score_samples(tiles)
    expected = scores.mean() if score_by == "mean" else scores.min()
    assert system.score_samples([image])[0] == pytest.approx(expected)


def test_the_threshold_is_one_of_images_and_holds_for_new_ones():
    system = tiled(target_fpr=0.1).fit(textures(60, size=(80, 80)))
    flagged = system.predict(textures(100, size=(80, 80), seed=1)) == -1
    assert flagged.mean() == pytest.approx(0.1, abs=0.07)
    assert system.held_out_scores_.shape == (60,)


def test_calibrating_needs_no_further_fit_and_keeps_groups():
    images, groups = textures(12), np.arange(12) // 2
    system = featad.calibrate(tiled(), target_fpr=0.2)
    system.fit(images, detector__groups=groups)
    own = tiled().fit(images, groups=groups)
    np.testing.assert_array_equal(system[-1].held_out_scores_, own.held_out_scores_)
    assert system[-1].n_calibration_ == 6
    assert (own.held_out_scores_ != tiled().fit(images).held_out_scores_).any()


def test_tiles_of_one_image_are_on_one_side_of_a_split():
    rng = np.random.default_rng(0)  # images differ, tiles of one image do not
    images = [np.full((50, 50), level) for level in rng.uniform(0.2, 0.8, 20)]
    system = tiled(make_pipeline(ImageReader(4, flatten=True), KMeansDistance(15)))
    system.fit(images)
    assert np.median(-system.held_out_scores_) > 10 * np.median(
        -system.score_samples(images)
    )


def test_a_system_that_takes_groups_is_told_which_tiles_are_of_one_image():
    inner = featad.CalibratedDetector(of_tiles(), target_fpr=0.3)
    system = tiled(inner, max_tiles=60).fit(textures(6))
    assert system.estimator_.n_calibration_ == 6
    assert len(system.estimator_.calibration_scores_) == 60


def test_no_more_tiles_are_learned_than_asked_and_some_of_each_image():
    assert tiled(max_tiles=30).fit(textures(6)).n_tiles_ == 30
    assert tiled(max_tiles=2).fit(textures(6)).n_tiles_ == 6


def test_tiles_go_through_the_system_in_batches():
    system = make_pipeline(Counting(10, mode="L", flatten=True), Mahalanobis())
    images = textures(4)
    found = tiled(system, batch_size=5).fit(images)
    Counting.batches.clear()
    found.score_samples(images[:1])
    assert [shape[0] for shape in Counting.batches] == [5, 5, 5, 5]


def test_memory_is_that_of_one_image_not_of_all_tiles():
    system = tiled(overlap=0.75, tile_size=100).fit(textures(4, size=(120, 120)))
    images = [np.zeros((600, 600), np.uint8)] * 3
    tracemalloc.start()
    system.score_samples(images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    image, batch = 600 * 600 * 3 * 4, 32 * 100 * 100 * 3 * 4
    assert peak < 3 * image + 2 * batch  # all tiles of one image: twelve times as much


def test_white_is_told_to_the_reader_of_images_alone():
    deep = [(4095 * image).astype(np.uint16) for image in textures(6)]
    system = tiled(max_value=4095)
    featad.systems.set_everywhere(system, "max_value", 4095)
    expected = tiled().fit([image / 4095 for image in deep])
    np.testing.assert_allclose(
        system.fit(deep).held_out_scores_, expected.held_out_scores_, rtol=1e-4
    )


def test_images_labeled_anomalous_are_left_out():
    images = textures(8)
    odd = [spotted(image, side=30) for image in images[:2]]
    system = tiled().fit(images + odd, np.repeat([1, -1], [8, 2]))
    np.testing.assert_allclose(
        system.score_samples(odd), tiled().fit(images).score_samples(odd)
    )
    assert np.isnan(system.held_out_scores_[8:]).all()


def test_an_unreadable_image_is_an_error_that_names_it(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"text")
    with pytest.raises(ImageReadError, match=r"bad\.png"):
        tiled().fit([*textures(3), tmp_path / "bad.png"])


def test_a_table_is_refused():
    with pytest.raises(ValueError, match="TiledDetector expects .* got a table"):
        tiled().fit(np.zeros((8, 40)))


def test_the_same_seed_gives_the_same_scores_and_storage_keeps_them(tmp_path):
    images = textures(6)
    system = tiled(max_tiles=20).fit(images)
    expected = system.score_samples(images)
    again = clone(system).fit(images)
    np.testing.assert_array_equal(again.score_samples(images), expected)
    joblib.dump(system, tmp_path / "a.joblib")
    featad.save(system, tmp_path / "b.joblib")
    for load, name in ((joblib.load, "a.joblib"), (featad.load, "b.joblib")):
        found = load(tmp_path / name).score_samples(images)
        np.testing.assert_array_equal(found, expected)


def test_a_skops_file_holds_it(tmp_path):
    pytest.importorskip("skops")
    images = textures(4)
    system = tiled(max_tiles=20).fit(images)
    featad.save(system, tmp_path / "a.skops")
    found = featad.load(tmp_path / "a.skops").score_samples(images)
    np.testing.assert_array_equal(found, system.score_samples(images))


def test_constraints_cover_the_parameters():
    system = tiled()
    assert system._parameter_constraints.keys() == system.get_params(deep=False).keys()


def _surface(seed, size=2000):
    """Return a rough surface, uint8 (size, size)."""
    rng = np.random.default_rng(seed)
    fine = rng.standard_normal((size // 4, size // 4), dtype=np.float32)
    rough = Image.fromarray(fine).resize((size, size), Image.Resampling.BICUBIC)
    return (128 + 20 * np.asarray(rough)).clip(60, 200).astype(np.uint8)


@pytest.mark.slow
def test_a_spot_of_12_pixels_in_2000_is_found_in_tiles_and_lost_in_the_whole_image():
    train, new = [_surface(seed) for seed in range(3)], _surface(9)
    odd = spotted(new, row=500, column=1500, side=12)
    network = featad.build("mini-stats-mahalanobis", device="cpu")
    tiles = tiled(network, tile_size=448, max_tiles=60).fit(train)
    plain, strange = -tiles.score_samples([new, odd])
    assert strange > 1.5 * max(plain, *-tiles.held_out_scores_)
    [found] = tiles.anomaly_map([odd])
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert max(abs(row - 506), abs(column - 1506)) < 448
    whole = network.fit(train)
    plain, strange = -whole.score_samples([new, odd])
    assert strange < 1.1 * plain
