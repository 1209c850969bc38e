"""``featad bundle``: a model as one file that others can open and verify."""

import json
import zipfile

import pytest

import featad
from featad.cli import main

pytest.importorskip("skops")


@pytest.fixture(scope="module")
def bundle(plates, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "plates.featad"
    images = [str(plates / "new"), str(plates / "odd")]
    command = ["bundle", str(plates / "model.joblib"), *images, "-o", str(path)]
    assert main([*command, "--examples", "4"]) == 0
    return path


def test_examples_are_spread_over_the_images(bundle, plates):
    with zipfile.ZipFile(bundle) as archive:
        first, last = (archive.read(f"examples/{i}.png") for i in (0, 3))
    assert first == (plates / "new" / "new00.png").read_bytes()
    assert last == (plates / "odd" / "odd19.png").read_bytes()


def test_the_record_of_the_training_images_comes_along(bundle):
    with zipfile.ZipFile(bundle) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["training_images"] == 60


def test_commands_take_a_bundle_as_they_take_a_model(bundle, plates, tmp_path):
    images, outputs = str(plates / "odd"), (tmp_path / "a.csv", tmp_path / "b.csv")
    for model, output in zip((bundle, plates / "model.joblib"), outputs, strict=True):
        assert main(["score", str(model), images, "-o", str(output)]) == 0
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert main(["check", str(bundle), str(plates / "new")]) == 0


def test_a_bundle_is_recalibrated_into_another_file(bundle, tmp_path, capsys):
    command = ["recalibrate", str(bundle), "--target-fpr", "0.1"]
    before = bundle.read_bytes()
    assert main(command) == 1
    assert "has the ending of a bundle" in capsys.readouterr().err
    assert bundle.read_bytes() == before
    assert main([*command, "-o", str(tmp_path / "m.joblib")]) == 0
    assert featad.load(tmp_path / "m.joblib").predict


@pytest.mark.parametrize("wrong", [["-o", "m.zip"], ["--examples", "65"]])
def test_another_ending_or_number_is_wrong_use(wrong, plates, tmp_path):
    images, model = str(plates / "odd"), str(plates / "model.joblib")
    output = ["-o", str(tmp_path / "m.featad")]
    assert main(["bundle", model, images, *output, *wrong]) == 2


def test_fit_does_not_write_bundles(plates, tmp_path, capsys):
    output = ["-o", str(tmp_path / "m.featad")]
    assert main(["fit", str(plates / "fit"), "--system", "pixels-knn", *output]) == 1
    assert "make a bundle of it with" in capsys.readouterr().err
