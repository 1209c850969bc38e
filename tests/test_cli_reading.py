"""How images are read can be said on the command line, and warnings say how."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from featad.cli import main

FIT = ["fit", "--system", "pixels-kmeans", "--set", "detector__n_clusters=1"]
FIT += ["--target-fpr", "0.2"]


@pytest.fixture
def deep_parts(tmp_path):
    """Return a folder of twelve 16-bit images of 12-bit values."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "parts"
    folder.mkdir()
    for index in range(12):
        values = rng.integers(0, 4096, (16, 16)).astype(np.uint16)
        Image.fromarray(values).save(folder / f"{index}.png")
    return folder


def _fit(folder, model, *more):
    return main([*FIT, "--data", str(folder), "-o", str(model), *more])


def test_a_depth_of_12_bits_is_said_once_by_fit_and_once_by_score(
    deep_parts, tmp_path, capsys
):
    model = tmp_path / "m.joblib"
    assert _fit(deep_parts, model) == 0
    err = capsys.readouterr().err
    assert err.count("--max-value 4095") == 1
    assert "of 12 16-bit images uses 12 of 16 bits" in err
    assert main(["score", str(model), str(deep_parts), "--batch-size", "3"]) == 0
    assert capsys.readouterr().err.count("of 12 16-bit images") == 1


def test_max_value_is_taken_and_stands_in_the_manifest(deep_parts, tmp_path, capsys):
    model = tmp_path / "m.joblib"
    assert _fit(deep_parts, model, "--max-value", "4095") == 0
    assert "16-bit" not in capsys.readouterr().err
    manifest = (tmp_path / "m.joblib.json").read_text(encoding="utf-8")
    assert "4095" in json.dumps(
        [v for k, v in _leaves(json.loads(manifest)) if k.endswith("max_value")]
    )


def test_a_model_keeps_how_files_are_decoded(deep_parts, tmp_path):
    model = tmp_path / "m.joblib"
    assert _fit(deep_parts, model, "--decode", "draft") == 0
    manifest = (tmp_path / "m.joblib.json").read_text(encoding="utf-8")
    leaves = _leaves(json.loads(manifest))
    assert "draft" in [value for key, value in leaves if key.endswith("decode")]


def _leaves(value, name=""):
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield from _leaves(inner, key)
    if not isinstance(value, dict):
        yield name, value


def test_compare_takes_max_value(deep_parts, tmp_path, capsys):
    bad = tmp_path / "bad"
    bad.mkdir()
    for index in range(4):
        Image.fromarray(np.full((16, 16), 4000, np.uint16)).save(bad / f"{index}.png")
    code = main(
        ["compare", "--data", str(tmp_path), "--normal", "parts", "--anomaly", "bad"]
        + ["--systems", "pixels-kmeans", "--cv", "2", "--max-value", "4095"]
    )
    captured = capsys.readouterr()
    assert code == 0, captured.err
    assert "16-bit" not in captured.err


def test_large_images_are_read_when_max_pixels_allows_them(
    deep_parts, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    model = tmp_path / "m.joblib"
    assert _fit(deep_parts, model, "--max-value", "4095") == 1
    assert "--max-pixels 256" in capsys.readouterr().err
    more = ["--max-value", "4095", "--max-pixels", "256"]
    (deep_parts / "broken.png").write_bytes(b"")  # left out; the others stay
    assert _fit(deep_parts, model, *more) == 0
    assert "left out 1 images" in capsys.readouterr().err
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "large.png")
    assert main(["score", str(model), str(tmp_path / "large.png")]) == 1
    options = ["--max-pixels", "400"]
    assert main(["score", str(model), str(tmp_path / "large.png"), *options]) == 0


def test_truncated_files_are_scored_when_accepted(part_folder, tmp_path, capsys):
    model, path = tmp_path / "m.joblib", tmp_path / "cut.jpg"
    assert _fit(part_folder, model) == 0
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    path.write_bytes(buffer.getvalue()[:-200])
    capsys.readouterr()
    assert main(["score", str(model), str(path)]) == 1
    assert "truncated" in capsys.readouterr().err
    assert main(["score", str(model), str(path), "--truncated", "accept"]) == 0
    assert "1 image without the last bytes" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-1", "white", "nan"])
def test_a_max_value_that_is_none_is_refused(value, tmp_path, capsys):
    assert _fit(tmp_path, tmp_path / "m.joblib", "--max-value", value) == 2
    assert "a number above 0" in capsys.readouterr().err
