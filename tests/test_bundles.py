"""Bundles: one file with a system, its weights and the images it verifies itself by."""

import copy
import json
import shutil
import socket
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone

import featad
from featad.errors import ImageReadError, ModelFileError
from featad.features.presets import DEFAULT
from featad.features.weights import find_weights, load_network
from tests._hostile import Ground

pytest.importorskip("skops")


@pytest.fixture(scope="module")
def paths(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{i}.png" for i in range(12)]
    for path, image in zip(paths, images, strict=False):
        Image.fromarray((255 * image).astype(np.uint8)).save(path)
    return paths


@pytest.fixture(scope="module")
def system(paths):
    system = featad.calibrate(featad.build("pixels-kmeans", size=8), target_fpr=0.2)
    return system.fit(paths)


@pytest.fixture(scope="module")
def bundle(system, paths, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "model.featad"
    featad.save_bundle(system, path, paths[:3], X=paths)
    return path


@pytest.fixture
def network_system(paths, tmp_path):
    """Return a system whose network has weights in a file, and the file."""
    file = tmp_path / "w.pth"
    torch.save(load_network("squeezenet1_1", None, 1)[0].state_dict(), file)
    options = {"weights": file, "image_size": 32, "layer": "features.1"}
    options["preprocessing"] = "imagenet"
    return featad.build("squeezenet1_1-knn", **options).fit(paths), file


def test_scores_survive_to_the_last_bit(bundle, system, paths):
    again = featad.load(bundle)
    np.testing.assert_array_equal(
        again.score_samples(paths), system.score_samples(paths)
    )
    np.testing.assert_array_equal(again.predict(paths), system.predict(paths))


def test_a_bundle_holds_what_its_manifest_lists(bundle, system, paths):
    with zipfile.ZipFile(bundle) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert archive.read("examples/1.png") == paths[1].read_bytes()
        assert {*archive.namelist()} == {"manifest.json", *manifest["files"]}
    scores = [example["score"] for example in manifest["examples"]]
    assert scores == system.score_samples(paths[:3]).tolist()
    assert manifest["training_images"] == 12


def test_paths_of_this_machine_are_not_in_a_bundle(network_system, paths, tmp_path):
    path = tmp_path / "model.featad"
    featad.save_bundle(network_system[0], path, paths[:1])
    assert str(tmp_path).encode() not in path.read_bytes()


def test_weights_come_along_as_safetensors(
    network_system, paths, tmp_path, monkeypatch
):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    (system, file), path = network_system, tmp_path / "model.featad"
    manifest = featad.save_bundle(system, path, paths[:1])
    expected = system.score_samples(paths)
    file.unlink()
    again = featad.load(path)
    np.testing.assert_array_equal(again.score_samples(paths), expected)
    (member,) = [name for name in manifest["files"] if name.startswith("weights/")]
    digest = Path(member).stem
    unpacked = tmp_path / "hub" / "checkpoints" / f"featad-{digest}.safetensors"
    assert again["features"].weights == str(unpacked)
    unpacked.write_bytes(b"damaged")
    assert featad.load(path).score_samples(paths[:1]).shape == (1,)


def test_weights_are_not_mixed_up_where_some_are_equal(
    network_system, paths, tmp_path, monkeypatch
):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    (system, file), other = network_system, tmp_path / "other.pth"
    torch.save(load_network("squeezenet1_1", None, 2)[0].state_dict(), other)
    again = shutil.copy(file, tmp_path / "again.pth")
    features = system["features"]
    system.others_ = [clone(features).set_params(weights=w) for w in (other, again)]
    system.others_.append(clone(features))  # of a list, the last one is found first
    manifest = featad.save_bundle(system, tmp_path / "model.featad", paths[:1])
    assert sum(name.startswith("weights/") for name in manifest["files"]) == 2
    assert featad.load(tmp_path / "model.featad").predict


def test_weights_are_unpacked_where_the_cache_cannot_be_written(
    network_system, paths, tmp_path, monkeypatch
):
    blocked = tmp_path / "blocked"
    blocked.write_bytes(b"")  # a file in the place of a folder
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(blocked))
    featad.save_bundle(network_system[0], tmp_path / "model.featad", paths[:1])
    again = featad.load(tmp_path / "model.featad")
    assert Path(again["features"].weights).is_file()


def test_weights_out_of_a_bundle_are_still_those_of_their_published_set(tmp_path):
    from safetensors.torch import save_file

    state = load_network("squeezenet1_1", None, 1)[0].state_dict()
    for name in ("IMAGENET1K_V1", "evil", DEFAULT):
        file = tmp_path / f"{name}.safetensors"
        save_file(state, file, metadata={"published": name})
        known = name if name == "IMAGENET1K_V1" else DEFAULT
        assert find_weights("squeezenet1_1", file).published == known


@pytest.mark.parametrize("weights", ["default", "generated"])
def test_weights_that_ship_with_featad_are_not_in_a_bundle(paths, tmp_path, weights):
    features = featad.VGGFeatures(
        "vgg_mini", layer="conv1_1", weights=weights, image_size=32
    )
    system = featad.make_pipeline(features, featad.KMeansDistance(2)).fit(paths)
    manifest = featad.save_bundle(system, tmp_path / "model.featad", paths[:1])
    assert {*manifest["files"]} == {"system.skops", "examples/0.png"}
    assert manifest["weights_fingerprints"] == [features.weights_fingerprint_]
    assert featad.load(tmp_path / "model.featad").predict(paths).shape == (12,)


def test_examples_that_score_otherwise_are_an_error(bundle, tmp_path):
    ground = Ground(tmp_path, bundle)
    ground.manifest["examples"][1]["score"] -= 100.0
    message = r"1 of its 3 examples differ by more than 1%.*examples/1.png has"
    with pytest.raises(ModelFileError, match=message):
        featad.load(ground.bundle())
    with pytest.warns(UserWarning, match="does not score as it did"):
        featad.load(ground.bundle(), allow_other_versions=True)


def test_scores_within_the_tolerance_pass(bundle, system, tmp_path):
    ground = Ground(tmp_path, bundle)
    detector = system[-1]
    way = np.median(detector.calibration_scores_) - detector.offset_
    ground.manifest["examples"][1]["score"] += 0.005 * way
    assert featad.load(ground.bundle()).predict


def test_a_system_without_calibration_verifies_itself(paths, tmp_path):
    system = featad.build("pixels-kmeans", size=8).fit(paths)
    featad.save_bundle(system, tmp_path / "model.featad", paths[:2])
    ground = Ground(tmp_path, tmp_path / "model.featad")
    for example in ground.manifest["examples"]:
        example["score"] = 2 * example["score"] - 1
    with pytest.raises(ModelFileError, match="does not score as it did"):
        featad.load(ground.bundle())


def test_another_version_is_refused_with_the_way_out(bundle, tmp_path):
    ground = Ground(tmp_path, bundle)
    packages = ground.manifest["packages"] | {"scikit-learn": "1.2.0"}
    with pytest.raises(ModelFileError, match="fitted with scikit-learn 1.2.0, but"):
        featad.load(ground.bundle(packages=packages))
    assert featad.load(tmp_path / "model.featad", allow_other_versions=True)


def test_bytes_are_examples_too(system, paths, tmp_path):
    path = tmp_path / "model.featad"
    manifest = featad.save_bundle(system, path, [paths[0].read_bytes()])
    assert manifest["examples"][0]["file"] == "examples/0"
    assert featad.load(path).predict


@pytest.mark.parametrize("name", ["a.png-old", "a.tif (1)", "a.écran", "a.png."])
def test_an_example_with_an_unusual_ending_goes_without_it(
    name, system, paths, tmp_path
):
    shutil.copy(paths[0], tmp_path / name)
    manifest = featad.save_bundle(system, tmp_path / "m.featad", [tmp_path / name])
    assert manifest["examples"][0]["file"] == "examples/0"
    assert featad.load(tmp_path / "m.featad").predict


def test_the_record_of_the_training_images_comes_out_of_a_bundle(
    bundle, system, paths, tmp_path
):
    manifest = featad.save(system, tmp_path / "m.joblib", like=bundle)
    assert manifest["training_images"] == 12
    again = featad.save_bundle(system, tmp_path / "m.featad", paths[:1], like=bundle)
    assert again["training_data_digest"] == manifest["training_data_digest"]
    (tmp_path / "m.featad").write_bytes(bundle.read_bytes()[:-200])
    with pytest.raises(ModelFileError, match=r"m\.featad' is not a .* is damaged"):
        featad.save(system, tmp_path / "n.joblib", like=tmp_path / "m.featad")
    assert not (tmp_path / "n.joblib").exists()


def test_a_system_that_could_not_be_loaded_is_refused(system, paths, tmp_path):
    other = copy.deepcopy(system)
    other.words_ = Counter("abc")
    with pytest.raises(ModelFileError, match=r"collections\.Counter"):
        featad.save_bundle(other, tmp_path / "m.featad", paths[:1])
    assert not (tmp_path / "m.featad").exists()


def test_an_example_that_cannot_be_read_is_refused_by_name(system, tmp_path):
    (tmp_path / "a.png").write_bytes(b"not an image")
    with pytest.raises(ImageReadError):
        featad.save_bundle(system, tmp_path / "m.featad", [tmp_path / "a.png"])
    assert not (tmp_path / "m.featad").exists()


@pytest.mark.parametrize("n", [0, 65])
def test_too_few_or_too_many_examples_are_refused(n, system, paths, tmp_path):
    with pytest.raises(ValueError, match=f"takes 1 to 64 examples; got {n}"):
        featad.save_bundle(system, tmp_path / "m.featad", paths[:1] * n)


def test_another_ending_is_refused(system, paths, tmp_path):
    with pytest.raises(ValueError, match=r"should end in \.featad"):
        featad.save_bundle(system, tmp_path / "m.zip", paths[:1])


def test_save_says_how_bundles_are_made(system, tmp_path):
    with pytest.raises(ModelFileError, match=r"save_bundle or `featad bundle`"):
        featad.save(system, tmp_path / "m.featad")


def test_a_bundle_opens_without_a_network(bundle, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("connects"))
    assert featad.load(bundle).predict
