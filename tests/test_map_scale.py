"""One scale for maps, and the regions above its threshold."""

import numpy as np
import pytest

import featad
from featad.images import ImageReader
from featad.map_files import MapFolder


@pytest.fixture(scope="module")
def plates():
    rng = np.random.default_rng(0)
    return rng.normal(0.5, 0.02, (60, 16, 16)).clip(0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def system(plates):
    reader = ImageReader(size=8, mode="L", flatten=True, n_jobs=1)
    return featad.make_pipeline(reader, featad.KMeansDistance(1)).fit(plates[:30])


@pytest.fixture(scope="module")
def scale(system, plates):
    return featad.fit_map_scale(system, plates[30:])


def test_few_new_normal_images_pass_the_threshold(system, scale):
    new = np.random.default_rng(1).normal(0.5, 0.02, (60, 16, 16)).clip(0, 1)
    peaks = scale.ratios(featad.anomaly_maps(system, new)).max(axis=(1, 2))
    assert np.mean(peaks > 1) < 0.2


def test_a_blob_passes_the_threshold_and_is_a_region(system, scale, plates):
    image = plates[40].copy()
    image[10:14, 2:8] = 0.9
    [found] = featad.anomaly_maps(system, image[None])
    regions, table = featad.segment(scale.ratios(found))
    assert regions[12, 4] == 1
    assert table.loc[0, "peak"] > 2
    assert abs(table.loc[0, "row"] - 11.5) < 2
    assert abs(table.loc[0, "column"] - 4.5) < 2


def test_a_constant_image_has_no_regions(system, scale):
    [found] = featad.anomaly_maps(system, np.full((1, 16, 16), 0.5, np.float32))
    regions, table = featad.segment(scale.ratios(found))
    assert not regions.any()
    assert len(table) == 0


def test_a_scale_of_constant_maps_is_finite():
    scale = featad.MapScale("own", 2.0, 2.0, n_images=5, target_fpr=0.05)
    assert scale.ratios(np.full((2, 2), 2.0)).max() == 0
    assert np.isfinite(scale.transform(np.full((2, 2), 3.0))).all()


def test_images_that_a_system_knows_are_held_out_of_a_copy(system, plates):
    scale = featad.fit_map_scale(system, plates[:30], cv=0.5, random_state=0)
    again = featad.fit_map_scale(system, plates[:30], cv=0.5, random_state=0)
    assert scale.n_images == 15
    assert scale == again


def test_images_of_a_group_are_held_out_together(system, plates, monkeypatch):
    mapped = []
    monkeypatch.setattr(
        "featad.maps.scale.iter_maps",
        lambda system, X, method: (mapped.append(x) or x[..., 0] for x in X),
    )
    X = np.repeat(np.arange(10, dtype=float), 3)[:, None, None, None] * np.ones(
        (8, 8, 1)
    )
    system = featad.make_pipeline(
        featad.ImageReader(size=8, flatten=True), featad.KMeansDistance(1)
    )
    groups = np.repeat(np.arange(10), 3)
    featad.fit_map_scale(
        system.fit(X / 10), X / 10, cv=0.3, groups=groups, random_state=0
    )
    held_out = [round(10 * x.max()) for x in mapped]
    assert sorted(held_out) == sorted(np.repeat(np.unique(held_out), 3))


def test_groups_without_a_share_are_refused(system, plates):
    with pytest.raises(ValueError, match="Pass cv, too"):
        featad.fit_map_scale(system, plates[:4], groups=[0, 0, 1, 1])


def test_a_share_is_refused_where_networks_are_trained(plates):
    detector = featad.Autoencoder(2, width=4, max_epochs=1, device="cpu")
    with pytest.raises(ValueError, match="Autoencoder trains networks"):
        featad.fit_map_scale(detector.fit(plates), plates, cv=0.3)


def test_a_scale_is_read_as_it_was_saved(scale, tmp_path):
    scale.save(tmp_path / "scale.json")
    assert featad.MapScale.load(tmp_path / "scale.json") == scale
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match=r"other\.json' is not a scale of maps"):
        featad.MapScale.load(tmp_path / "other.json")


def test_regions_are_numbered_by_their_peaks():
    ratios = np.zeros((20, 30))
    ratios[2:5, 3:6] = 2
    ratios[10:18, 20:22] = 5
    regions, table = featad.segment(ratios)
    assert table["area"].tolist() == [16, 9]
    assert table[["top", "left", "height", "width"]].to_numpy().tolist() == [
        [10, 20, 8, 2],
        [2, 3, 3, 3],
    ]
    assert regions[11, 20] == 1
    assert table.loc[0, ["row", "column"]].tolist() == [13.5, 20.5]


def test_small_regions_are_left_out_by_share_or_by_pixels():
    ratios = np.zeros((20, 30))
    ratios[2, 3], ratios[10:13, 10:13] = 9, 2
    assert featad.segment(ratios, min_area=4)[1]["peak"].tolist() == [2]
    assert featad.segment(ratios, min_area=0.01)[1]["peak"].tolist() == [2]
    assert len(featad.segment(ratios, min_area=1)[1]) == 2


def test_superpixels_bring_regions_to_the_edges_of_the_image():
    image = np.zeros((32, 32, 3))
    image[8:24, 8:24] = 1
    ratios = np.zeros((32, 32))
    ratios[10:22, 10:22] = 3
    regions, table = featad.segment(ratios, image, n_superpixels=16)
    assert table["area"].sum() == 256
    assert regions[8, 8] > 0
    with pytest.raises(ValueError, match="Superpixels need the image"):
        featad.segment(ratios, n_superpixels=16)


def test_a_map_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="without NaN"):
        featad.segment([[0.0, np.nan]])


def test_files_of_two_images_of_one_name_have_two_places(scale, tmp_path):
    folder = MapFolder(tmp_path / "maps", scale, min_area=1)
    places = {folder.place(f"{name}/ä 1.png", ".npy") for name in "ab"}
    assert len(places) == 2
    assert all(place.name.isascii() and " " not in place.name for place in places)


def test_maps_of_another_scale_are_made_again(scale, tmp_path):
    image, one = np.zeros((8, 8, 3)), np.ones((8, 8), np.float32)
    (tmp_path / "1.png").touch()
    folder = MapFolder(tmp_path / "maps", scale, min_area=1)
    folder.write(tmp_path / "1.png", image, one)
    again = MapFolder(tmp_path / "maps", scale, min_area=1)
    np.testing.assert_array_equal(again.known(tmp_path / "1.png"), one)
    other = featad.MapScale("own", 0.0, 9.0, n_images=5, target_fpr=0.05)
    assert MapFolder(tmp_path / "maps", other).known(tmp_path / "1.png") is None
