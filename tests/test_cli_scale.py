"""Fitting says how much smaller than the images what a system sees is."""

import pytest
from PIL import Image

from featad import KMeansDistance, VGGPatches, build, load, make_pipeline
from featad.cli import main
from featad.cli.scale import scale_note


@pytest.fixture
def photos(tmp_path):
    """Return photographs of 448 x 672 pixels."""
    paths = [tmp_path / "photos" / f"{index}.png" for index in range(4)]
    paths[0].parent.mkdir()
    for index, path in enumerate(paths):
        Image.new("L", (672, 448), 40 * index).save(path)
    return paths


def test_a_pixel_of_the_network_is_told_in_pixels_of_the_images(photos):
    note = scale_note(build("mini-stats-mahalanobis"), photos)
    assert "Images are 448 x 672 pixels, and the system sees 224 x 224" in note
    assert "is 2.0 x 3.0 of yours" in note
    assert "--set features__image_size=N" in note


def test_the_size_that_was_asked_for_is_told(photos):
    system = build("mini-stats-mahalanobis", features__image_size=(112, 224))
    assert "sees 112 x 224: one of its pixels is 4.0 x 3.0" in scale_note(
        system, photos
    )


def test_an_ensemble_tells_the_scale_of_its_members(photos):
    note = scale_note(build("mini-ensemble"), photos)
    assert note == scale_note(build("mini-stats-mahalanobis"), photos)


def test_images_that_are_hardly_larger_need_no_word(photos):
    system = build("mini-stats-mahalanobis", features__image_size=448)
    assert scale_note(system, photos) == ""


def test_what_a_position_of_the_layers_sees_is_told_with_it(photos):
    note = scale_note(build("mini-stats-mahalanobis"), photos)
    assert "One position of its layers sees 63 x 63 to 207 x 207 of its pixels" in note
    assert "which are 126 x 189 to 414 x 621 of yours" in note


def test_a_layer_without_positions_needs_no_word_of_them(photos):
    assert "position" not in scale_note(build("mini-mahalanobis"), photos)


@pytest.mark.parametrize("size", [224, 448])
def test_what_a_position_of_maps_sees_is_always_told(photos, size):
    features = VGGPatches("vgg_mini", layer="conv3_1", grid=28, image_size=size)
    note = scale_note(make_pipeline(features, KMeansDistance()), photos)
    stride = size // 28
    seen = 47 + 2 * 8 + stride  # its own, its neighbors', and what the grid spans
    assert f"sees {seen} x {seen} of its pixels" in note
    assert f"the next position is {stride} x {stride} further, 16 x 24 of yours" in note


def test_images_that_cannot_be_opened_need_no_word(tmp_path):
    (tmp_path / "a.png").write_bytes(b"text")
    assert scale_note(build("pixels-pca"), [tmp_path / "a.png"]) == ""


def test_fit_tells_it(photos, tmp_path, capsys):
    arguments = ["--data", str(photos[0].parent), "-o", str(tmp_path / "m.joblib")]
    fit = ["fit", "--system", "pixels-kmeans", "--set", "detector__n_clusters=2"]
    assert main([*fit, *arguments, "--cv", "2", "--target-fpr", "0.3"]) == 0
    assert "the system sees 32 x 32" in capsys.readouterr().err


def test_the_note_names_tiles_and_tells_the_scale_of_large_ones(photos):
    system = build("mini-stats-mahalanobis")
    assert "and so does --tile 224, part by part." in scale_note(system, photos)
    assert scale_note(system, photos, tile=224) == ""
    note = scale_note(system, photos, tile=448)
    assert note.startswith("Tiles are 448 x 448 pixels, and the system sees 224 x 224")
    assert "and so does a smaller --tile." in note


def test_fit_on_tiles_writes_a_model_that_scores_whole_images(photos, tmp_path):
    model, scores = str(tmp_path / "m.joblib"), tmp_path / "scores.csv"
    fit = ["fit", "--system", "pixels-kmeans", "--set", "detector__n_clusters=2"]
    how = ["--tile", "224", "--cv", "2", "--target-fpr", "0.3", "-o", model]
    assert main([*fit, *how, "--data", str(photos[0].parent)]) == 0
    tiled = load(model)[-1].estimator_
    assert (type(tiled).__name__, tiled.tile_size, tiled.n_tiles_) == (
        "TiledDetector",
        224,
        4 * 3 * 4,
    )
    assert main(["score", model, *map(str, photos), "-o", str(scores)]) == 0
    assert len(scores.read_text().splitlines()) == 1 + 4
