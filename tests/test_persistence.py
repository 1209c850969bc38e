"""Models survive the trip to a file; damaged and foreign files are refused."""

import io
import json
import shutil
import zipfile

import joblib
import numpy as np
import pytest
import torch
from PIL import Image

from featad.calibration import calibrate
from featad.cli import main
from featad.detectors import KMeansDistance, PerceptualAutoencoder
from featad.errors import ModelFileError, WeightsChangedError, WeightsNotFoundError
from featad.features.weights import load_network
from featad.images import ImageReader
from featad.model_records import data_digest, manifest_path
from featad.persistence import load, save
from featad.pipeline import make_pipeline
from featad.registry import build


def unchecked():
    """Return the context of the warning that a file has no manifest."""
    return pytest.warns(UserWarning, match="was not checked")


@pytest.fixture
def system(images):
    return calibrate(build("pixels-kmeans"), target_fpr=0.1, random_state=0).fit(images)


@pytest.fixture
def network_system(images):
    return build("squeezenet1_1-knn", weights=None, image_size=32).fit(images)


@pytest.fixture
def model(system, tmp_path, images):
    path = tmp_path / "models" / "parts.joblib"
    save(system, path, X=images)
    return path


@pytest.mark.parametrize("suffix", [".joblib", ".skops"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pixels-ocsvm", {}),
        ("filters-iforest", {}),
        ("pixels-mahalanobis", {}),
        ("images-vae", {"size": 16, "detector__max_epochs": 1}),
    ],
)
def test_scores_survive_to_the_last_bit(name, options, suffix, images, tmp_path):
    pytest.importorskip("skops") if suffix == ".skops" else None
    system = calibrate(build(name, **options), target_fpr=0.1, cv=2, random_state=0)
    system.fit(images)
    path = tmp_path / f"model{suffix}"
    save(system, path)
    again = load(path)
    np.testing.assert_array_equal(
        again.score_samples(images), system.score_samples(images)
    )
    np.testing.assert_array_equal(again.predict(images), system.predict(images))


def test_a_plain_joblib_dump_scores_the_same_to_the_last_bit(
    network_system, images, tmp_path
):
    joblib.dump(network_system, tmp_path / "plain.joblib")
    again = joblib.load(tmp_path / "plain.joblib")
    np.testing.assert_array_equal(
        again.score_samples(images), network_system.score_samples(images)
    )


def test_a_plain_joblib_dump_loads_with_a_warning_that_it_is_unchecked(
    system, tmp_path
):
    joblib.dump(system, tmp_path / "plain.joblib")
    with pytest.warns(UserWarning, match="was not checked"):
        load(tmp_path / "plain.joblib")


def test_the_manifest_tells_what_a_person_asks(model, system, images):
    manifest = json.loads(manifest_path(model).read_text("utf-8"))
    assert manifest["threshold"] == pytest.approx(0 - system[-1].offset_)
    assert manifest["packages"]["scikit-learn"]
    assert manifest["parameters"]["detector__target_fpr"] == 0.1
    assert manifest["training_images"] == 24
    assert manifest["training_data_digest"] == data_digest(images)


def test_the_manifest_holds_the_weights_fingerprint(network_system, tmp_path):
    manifest = save(network_system, tmp_path / "m.joblib")
    expected = network_system["features"].weights_fingerprint_
    assert manifest["weights_fingerprints"] == [expected]


def test_the_data_digest_does_not_depend_on_the_order(images):
    assert data_digest(images) == data_digest(images[::-1])
    assert data_digest(images) != data_digest(images[1:])


def test_a_file_with_a_network_inside_its_system_stays_small(network_system, tmp_path):
    save(network_system, tmp_path / "m.joblib")
    assert (tmp_path / "m.joblib").stat().st_size < 200_000


def test_a_file_cut_short_is_refused(model):
    model.write_bytes(model.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match="is damaged or was replaced"):
        load(model)


def test_a_file_cut_short_is_refused_without_its_manifest(model):
    manifest_path(model).unlink()
    model.write_bytes(model.read_bytes()[:200])
    with (
        pytest.warns(UserWarning, match="is missing"),
        pytest.raises(ModelFileError, match="is not a model file, or is damaged"),
    ):
        load(model)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="There is no model file"):
        load(tmp_path / "none.joblib")


def _change_manifest(model, **changes):
    path = manifest_path(model)
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes))


def test_another_version_of_scikit_learn_is_refused_with_the_way_out(model):
    _change_manifest(model, packages=_packages(model) | {"scikit-learn": "1.2.0"})
    with pytest.raises(ModelFileError, match="fitted with scikit-learn 1.2.0, but"):
        load(model)
    assert load(model, allow_other_versions=True).predict


def test_another_major_version_of_numpy_is_refused_before_unpickling(model):
    other = f"{int(np.__version__.split('.')[0]) + 1}.0.4"
    _change_manifest(model, packages=_packages(model) | {"numpy": other})
    with pytest.raises(ModelFileError, match=rf"fitted with numpy {other}, but"):
        load(model)


def test_another_minor_version_of_numpy_is_accepted(model, images):
    numpy = np.__version__.split(".")
    other = ".".join([numpy[0], str(int(numpy[1]) + 1), "0"])
    _change_manifest(model, packages=_packages(model) | {"numpy": other})
    assert load(model).predict(images).shape == (24,)


def _packages(model):
    return json.loads(manifest_path(model).read_text("utf-8"))["packages"]


def test_a_dump_of_another_numpy_says_so(tmp_path):
    path = tmp_path / "m.joblib"
    path.write_bytes(b"cnumpy._kernel.multiarray\n_reconstruct\n.")
    with unchecked(), pytest.raises(ModelFileError, match="another version of numpy"):
        load(path)


def test_another_file_format_is_refused(model):
    _change_manifest(model, format=99)
    with pytest.raises(ModelFileError, match="has file format 99"):
        load(model)


def test_another_file_format_is_refused_whatever_versions_are_allowed(model):
    _change_manifest(model, format=1)
    with pytest.raises(ModelFileError, match=r"format 1, but .* Fit the model again"):
        load(model, allow_other_versions=True)


def test_a_broken_manifest_is_refused(model):
    manifest_path(model).write_text("{")
    with pytest.raises(ModelFileError, match="is not a featad manifest"):
        load(model)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04."])
def test_what_is_no_model_is_refused(content, tmp_path):
    path = tmp_path / "m.joblib"
    path.write_bytes(content)
    with unchecked(), pytest.raises(ModelFileError, match="not a model file"):
        load(path)


def test_a_dump_of_something_else_is_refused(tmp_path):
    joblib.dump({"a": 1}, tmp_path / "m.joblib")
    with (
        unchecked(),
        pytest.raises(ModelFileError, match="holds a dict, which has no"),
    ):
        load(tmp_path / "m.joblib")


def test_other_weights_than_at_fit_are_refused(network_system, tmp_path):
    network_system["features"].weights_fingerprint_ = "0" * 64
    save(network_system, tmp_path / "m.joblib")
    with pytest.raises(WeightsChangedError):
        load(tmp_path / "m.joblib")


def test_a_failed_save_leaves_the_old_model_and_no_rest(model):
    before = model.read_bytes()
    detector = KMeansDistance().fit(np.eye(9))
    detector.unpicklable = lambda: None
    with pytest.raises(Exception, match="local object"):
        save(detector, model)
    assert model.read_bytes() == before
    assert {p.name for p in model.parent.iterdir()} == {
        "parts.joblib",
        "parts.joblib.json",
    }


def test_a_skops_file_with_foreign_types_is_refused(tmp_path):
    skops = pytest.importorskip("skops.io")
    from collections import Counter

    skops.dump(Counter("abc"), tmp_path / "m.skops")
    with unchecked(), pytest.raises(ModelFileError, match="neither"):
        load(tmp_path / "m.skops")


def test_a_model_moves_with_its_manifest(model, tmp_path, images):
    elsewhere = tmp_path / "elsewhere.joblib"
    shutil.copy(model, elsewhere)
    shutil.copy(manifest_path(model), manifest_path(elsewhere))
    assert load(elsewhere).predict(images).shape == (24,)


@pytest.mark.parametrize(
    ("module", "name"),
    [("featad.torch_detector", "TorchDetector"), ("featad.detectors", "AutoEncoder")],
)
def test_a_dump_of_an_older_featad_says_so(module, name, tmp_path):
    path = tmp_path / "old.joblib"
    path.write_bytes(f"c{module}\n{name}\n.".encode())  # a pickle of that class
    with unchecked(), pytest.raises(ModelFileError, match="another version of featad"):
        load(path)


def test_a_dump_that_needs_another_package_does_not_blame_featad(tmp_path):
    path = tmp_path / "m.joblib"
    path.write_bytes(b"cnot_installed_anywhere\nThing\n.")
    with unchecked(), pytest.raises(ModelFileError, match="is not a model file"):
        load(path)


def test_a_skops_file_of_an_older_featad_says_so(tmp_path):
    skops = pytest.importorskip("skops.io")
    detector = KMeansDistance(1).fit(np.eye(3))
    path = tmp_path / "old.skops"
    path.write_bytes(_renamed(skops.dumps(detector)))
    with unchecked(), pytest.raises(ModelFileError, match="another version of featad"):
        load(path)


def _renamed(dumped):
    """Return a skops file in which the detector's module has another name."""
    old, new = io.BytesIO(dumped), io.BytesIO()
    with zipfile.ZipFile(old) as source, zipfile.ZipFile(new, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data.replace(b"featad.detectors", b"featad.detect"))
    return new.getvalue()


@pytest.fixture
def moved(images, tmp_path):
    """Return a model, images, its scores, and where its weights have moved."""
    file, elsewhere = tmp_path / "w.pth", tmp_path / "elsewhere" / "w.pth"
    torch.save(load_network("squeezenet1_1", None, 1)[0].state_dict(), file)
    options = {"arch": "squeezenet1_1", "layer": "features.1", "weights": file}
    detector = PerceptualAutoencoder(**options, width=4, max_epochs=1, random_state=0)
    system = calibrate(make_pipeline(ImageReader(), detector), cv=2).fit(images)
    save(system, tmp_path / "m.joblib")
    elsewhere.parent.mkdir()
    file.rename(elsewhere)
    return tmp_path / "m.joblib", system.score_samples(images), elsewhere


def test_weights_that_have_moved_are_told_as_such(moved):
    with pytest.raises(WeightsNotFoundError, match="not where they were.*--weights"):
        load(moved[0])


def test_a_name_of_250_bytes_is_saved(tmp_path):
    path = tmp_path / ("m" * 243 + ".joblib")
    save(KMeansDistance(1).fit([[0.0], [1.0]]), path)
    assert len(path.name) == 250
    assert load(path).n_clusters == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_weights_that_have_moved_can_be_given(moved, images):
    path, expected, elsewhere = moved
    system = load(path, weights=elsewhere)
    np.testing.assert_array_equal(system.score_samples(images), expected)
    system.fit(images)  # the templates know the place as well


def test_weights_that_have_moved_can_be_given_on_the_command_line(moved, tmp_path):
    path, _, elsewhere = moved
    picture = tmp_path / "picture.png"
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(picture)
    command = ["score", str(path), str(picture), "-o", str(tmp_path / "scores.csv")]
    assert main(command) == 1
    assert main([*command, "--weights", str(elsewhere)]) == 0


def test_other_weights_than_a_trained_network_saw_are_refused(moved):
    path, _, elsewhere = moved
    torch.save(load_network("squeezenet1_1", None, 2)[0].state_dict(), elsewhere)
    with pytest.raises(WeightsChangedError, match="its weights are others here"):
        load(path, weights=elsewhere)


def test_weights_for_a_model_without_any_are_a_warning(model):
    with pytest.warns(UserWarning, match=r"no pretrained weights: 'w\.pth' is not"):
        load(model, weights="w.pth")
