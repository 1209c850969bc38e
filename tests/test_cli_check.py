"""``featad check`` says whether a threshold still holds for known good images."""

import shutil

import pytest

from featad.cli import main


def _error(capsys):
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_good_parts_that_have_not_changed_pass(plates, capsys):
    assert main(["check", str(plates / "model.joblib"), str(plates / "new")]) == 0
    printed = capsys.readouterr().out
    assert "of 60 good images" in printed
    assert "5 % are expected" in printed
    assert "The threshold holds" in printed


def test_good_parts_under_another_lamp_fail(plates, capsys):
    assert main(["check", str(plates / "model.joblib"), str(plates / "lamp")]) == 1
    printed = capsys.readouterr().out
    assert "The threshold does not hold: they are more anomalous" in printed
    assert "featad calibrate" in printed


def test_images_that_the_model_was_fitted_on_are_left_out(plates, tmp_path, capsys):
    shutil.copytree(plates / "new", tmp_path / "mixed")
    shutil.copy(plates / "fit" / "fit00.png", tmp_path / "mixed")
    assert main(["check", str(plates / "model.joblib"), str(tmp_path / "mixed")]) == 0
    captured = capsys.readouterr()
    assert "left out 1 images that the model was made from" in captured.err
    assert "of 60 good images" in captured.out


def test_a_check_on_the_training_images_alone_is_refused(plates, capsys):
    assert main(["check", str(plates / "model.joblib"), str(plates / "fit")]) == 1
    assert "made from all 60 good images" in _error(capsys)


def test_a_check_names_images_that_cannot_be_read(plates, tmp_path, capsys):
    shutil.copytree(plates / "new", tmp_path / "new")
    (tmp_path / "new" / "broken.png").write_bytes(b"text")
    assert main(["check", str(plates / "model.joblib"), str(tmp_path / "new")]) == 0
    assert "broken.png" in capsys.readouterr().err


def test_only_good_images_of_a_data_set_are_checked(plates, tmp_path, capsys):
    for name, source in (("good", "new"), ("bad", "odd")):
        shutil.copytree(plates / source, tmp_path / name)
    assert main(["check", str(plates / "model.joblib"), str(tmp_path)]) == 0
    assert "of 60 good images" in capsys.readouterr().out


def test_parts_need_a_model_that_knows_parts(plates, capsys):
    arguments = ["check", str(plates / "model.joblib"), str(plates / "views")]
    assert main([*arguments, "--groups", "(.+)_view"]) == 1
    assert "calibrated on single images" in _error(capsys)


def test_a_system_without_calibration_is_told_how_to_get_one(plates, tmp_path, capsys):
    import featad

    images = featad.list_images(plates / "fit")
    system = featad.build("pixels-kmeans", random_state=0).fit(images)
    featad.save(system, tmp_path / "plain.joblib")
    assert main(["check", str(tmp_path / "plain.joblib"), str(plates / "new")]) == 1
    assert "featad calibrate" in _error(capsys)


@pytest.mark.parametrize("command", ["check", "calibrate"])
def test_help_needs_no_model(command, capsys):
    assert main([command, "--help"]) == 0
    assert "--groups" in capsys.readouterr().out
