"""``featad score --maps`` writes where images are odd, and their regions."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from featad.cli import main, maps
from featad.map_files import REGION_COLUMNS

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def written(part_model, part_folder, tmp_path_factory):
    """Return a folder of maps of three images with defects, and a file of regions."""
    folder = tmp_path_factory.mktemp("written")
    defects = [p for p in sorted((part_folder / "test").rglob("*.png"))
               if p.parent.name != "good"][:3]  # fmt: skip
    images = [shutil.copy(path, folder / path.name) for path in defects]
    regions = folder / "regions.csv"
    command = ["score", str(part_model), *map(str, images), "-o", str(folder / "s.csv")]
    command += ["--maps", str(folder / "maps"), "--regions", str(regions)]
    assert main(command) == 0
    return folder, command


def test_each_image_has_an_overlay_and_a_map_of_its_size(written):
    folder, _ = written
    overlays, values = (
        sorted((folder / "maps").glob(f"*{e}")) for e in (".png", ".npy")
    )
    assert [p.stem for p in overlays] == [p.stem for p in values]
    assert len(values) == 3
    for path in values:
        assert np.load(path).shape == (32, 32)
    assert Image.open(overlays[0]).width > 600
    assert not list((folder / "maps").glob(".*"))  # files that are not whole


def test_regions_are_rows_with_the_path_of_their_image(written):
    rows = pd.read_csv(written[0] / "regions.csv")
    assert tuple(rows.columns) == REGION_COLUMNS
    assert set(rows["path"]) <= {str(p) for p in written[0].glob("*.png")}
    assert (rows["peak"] > 1).all()
    assert (rows["top"] + rows["height"] <= 32).all()


def test_a_second_run_makes_what_is_missing(written, capsys):
    folder, command = written
    first, *others = sorted((folder / "maps").glob("*.npy"))
    times = [path.stat().st_mtime_ns for path in others]
    before = np.load(first)
    regions = (folder / "regions.csv").read_text()
    first.unlink()
    assert main(command) == 0
    assert "2 of them in an earlier run" in capsys.readouterr().err
    np.testing.assert_array_equal(np.load(first), before)
    assert [path.stat().st_mtime_ns for path in others] == times
    assert (folder / "regions.csv").read_text() == regions


def test_good_images_that_are_named_fix_the_scale(written, part_folder, tmp_path):
    _, command = written
    good = part_folder / "test" / "good"
    command = [*command[:3], "--maps", str(tmp_path), "--map-scale", str(good)]
    assert main([*command, "--regions", str(tmp_path / "r.jsonl")]) == 0
    scale = json.loads((tmp_path / "scale.json").read_text())
    assert scale["n_images"] == len(list(good.iterdir()))
    assert scale["method"] == "occlusion"


def test_a_scale_of_another_model_is_refused(written, tmp_path, capsys):
    folder, command = written
    found = json.loads((folder / "maps" / "scale.json").read_text())
    (tmp_path / "other.json").write_text(json.dumps(found | {"model": "another"}))
    command = [*command[:3], "--maps", str(tmp_path / "maps")]
    assert main([*command, "--map-scale", str(tmp_path / "other.json")]) == 1
    assert "is the scale of another model" in capsys.readouterr().err


def test_a_model_without_its_list_of_images_needs_good_ones(
    written, part_model, tmp_path, capsys
):
    _, command = written
    model = shutil.copy(part_model, tmp_path / "model.joblib")
    shutil.copy(f"{part_model}.json", tmp_path / "model.joblib.json")
    command = ["score", str(model), command[2], "--maps", str(tmp_path / "maps")]
    assert main(command) == 1
    assert "Pass --map-scale GOOD" in capsys.readouterr().err


def test_an_image_that_cannot_be_read_is_counted(written, tmp_path, capsys):
    folder, command = written
    (tmp_path / "broken.png").write_bytes(b"")
    arguments = [*command[:3], str(tmp_path / "broken.png")]
    arguments += ["-o", str(tmp_path / "s.csv"), "--maps", str(folder / "maps")]
    assert main(arguments) == 0
    assert "could not map 1 images; first: Cannot read" in capsys.readouterr().err


def test_a_lower_threshold_gives_larger_regions(written, tmp_path, capsys):
    folder, command = written
    lower = [*command, "--map-threshold", "0.5", "--regions", str(tmp_path / "r.csv")]
    assert main(lower) == 0
    rows, usual = pd.read_csv(tmp_path / "r.csv"), pd.read_csv(folder / "regions.csv")
    assert rows["area"].sum() > usual["area"].sum()
    assert rows["peak"].min() < 1 or len(rows) >= len(usual)


def test_images_without_regions_that_are_anomalous_are_explained(written, capsys):
    _, command = written
    assert main([*command, "--map-threshold", "1000", "--target-fpr", "0.5"]) == 0
    told = capsys.readouterr().err
    assert "images are called anomalous by their scores, 0 have regions" in told
    assert "Lower it by --map-threshold" in told


@pytest.mark.parametrize("option", ["--regions", "--map-scale"])
def test_options_of_maps_need_maps(option, written, capsys):
    assert main([*written[1][:3], option, "x.csv"]) == 2
    assert "need --maps" in capsys.readouterr().err


def test_what_takes_minutes_is_said_before_it_starts(capsys):
    maps._announce("maps of", 100, "occlusion", 0.05)
    maps._announce("maps of", 100, "contribution", 0.05)
    said = capsys.readouterr().err
    assert said == (
        "maps of 100 images: 98 passes of the system for each, about 8 min\n"
    )
