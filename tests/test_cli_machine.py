"""Device, cache and progress bars are this machine's: they reach every part."""

import sys

import pytest

from featad.cli import main
from featad.cli.machine import set_machine_options
from featad.machine import set_machine_params
from featad.persistence import load, save
from featad.registry import build
from featad.systems import last_step

IMAGES = ["fit", "--system", "images-autoencoder", "--target-fpr", "0.1", "--cv", "2"]
IMAGES += ["--set", "size=16", "--set", "detector__max_epochs=1"]


@pytest.fixture(scope="module")
def image_model(part_folder, tmp_path_factory):
    """Return a model that trained a network, fitted as if on a terminal."""
    path = tmp_path_factory.mktemp("images") / "model.joblib"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        assert main([*IMAGES, "--data", str(part_folder), "-o", str(path)]) == 0
    return path


def test_a_trained_model_keeps_nothing_of_the_machine(image_model):
    system = load(image_model)
    for detector in (system[-1].estimator, system[-1].estimator_):
        assert (last_step(detector).device, last_step(detector).verbose) == (
            "auto",
            False,
        )


def test_a_trained_model_takes_a_device(image_model, part_folder, capsys):
    arguments = ["score", str(image_model), str(part_folder / "test" / "good")]
    assert main([*arguments, "--device", "cpu"]) == 0
    assert "no effect" not in capsys.readouterr().err


def test_fit_gives_the_device_to_the_network_that_trains(part_folder, tmp_path, capsys):
    arguments = [*IMAGES, "--data", str(part_folder), "-o", str(tmp_path / "m.joblib")]
    assert main([*arguments, "--device", "cuda:77"]) == 1
    assert "cuda:77" in _error(capsys)


@pytest.mark.parametrize(
    "option", [["--device", "cpu"], ["--engine", "auto"], ["--cache", "folder"]]
)
def test_an_option_that_nothing_takes_is_a_warning(
    option, part_folder, tmp_path, capsys
):
    data, model = ["--data", str(part_folder)], str(tmp_path / "m.joblib")
    fit = ["fit", "--system", "pixels-kmeans", "--target-fpr", "0.1"]
    commands = (
        [*fit, *data, "-o", model],
        ["score", model, str(part_folder / "test" / "good")],
        ["check", model, str(part_folder)],
        ["calibrate", model, str(part_folder), "-o", f"{model}.new.joblib"],
        ["compare", *data, "--systems", "pixels-knn"],
    )
    for command in commands:
        assert main([*command, *option]) == 0
        assert f"warning: {' '.join(option)} has no effect" in capsys.readouterr().err


def test_a_model_without_its_engine_takes_another(
    part_folder, tmp_path, capsys, monkeypatch
):
    good = sorted(map(str, (part_folder / "test" / "good").iterdir()))
    system = build("mini-stats-kmeans", image_size=32).fit(good)
    system.set_params(features__engine="openvino")
    model = str(tmp_path / "m.joblib")
    save(system, model)
    monkeypatch.setitem(sys.modules, "openvino", None)
    command = ["score", model, *good, "--on-error", "raise"]
    assert main(command) == 1
    assert "pip install 'featad[openvino]'; or take --engine torch" in _error(capsys)
    assert main([*command, "--engine", "torch"]) == 0


def test_a_system_that_takes_an_option_is_enough(part_folder, tmp_path, capsys):
    systems = [build("pixels-kmeans"), build("images-autoencoder")]
    set_machine_options(systems, device="cpu")
    assert systems[1]["detector"].device == "cpu"
    assert capsys.readouterr().err == ""


def test_only_networks_become_verbose():
    system = build("pixels-ocsvm")  # its verbose is libsvm's
    assert set_machine_params(system, verbose=True) == set()


def test_options_that_hold_for_the_machine_alone_leave_the_model(
    part_folder, tmp_path, capsys
):
    model = tmp_path / "m.joblib"
    arguments = ["fit", "--system", "squeezenet1_1-knn", "--data", str(part_folder)]
    arguments += ["--weights", "random", "--set", "image_size=32"]
    arguments += ["--cache", str(tmp_path / "cache"), "--device", "cpu"]
    assert main([*arguments, "-o", str(model), "--target-fpr", "0.1"]) == 0
    features = load(model)["features"]
    assert (features.cache, features.device) == (None, "auto")


def _error(capsys):
    """Return the last line on stderr."""
    return capsys.readouterr().err.strip().splitlines()[-1]
