"""Hostile model files are refused by one named error, and run nothing."""

import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featad
from featad.cli import main
from featad.errors import ModelFileError
from tests._attacks import ATTACKS, PICKLE
from tests._hostile import Ground

pytest.importorskip("skops")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "guide" / "trusting.md"


@pytest.fixture(scope="module")
def honest(images, tmp_path_factory):
    """Return a bundle of a system with a frozen network and a forest."""
    folder = tmp_path_factory.mktemp("honest")
    paths = [folder / f"{i}.png" for i in range(12)]
    for path, image in zip(paths, images, strict=False):
        Image.fromarray((255 * image).astype(np.uint8)).save(path)
    features = featad.VGGFeatures("vgg_mini", layer="conv1_1", image_size=32)
    forest = featad.IsolationForest(n_estimators=2, random_state=0)
    system = featad.make_pipeline(features, forest).fit(paths)
    featad.save_bundle(system, folder / "honest.featad", paths[:2])
    return folder / "honest.featad"


@pytest.fixture
def ground(honest, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return Ground(tmp_path, honest)


@pytest.mark.filterwarnings("ignore:.*was not checked")
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_by_name_and_runs_nothing(attack, ground):
    path = ATTACKS[attack](ground)
    modules, start = {*sys.modules}, time.perf_counter()
    with pytest.raises(ModelFileError, match=re.escape(repr(str(path)))):
        featad.load(path)
    assert time.perf_counter() - start < 10
    assert not ground.mark.exists()
    assert "evil_module" not in {*sys.modules} - modules


def test_the_ground_of_attacks_is_a_bundle_that_loads(ground):
    assert featad.load(ground.bundle()).score_samples
    assert featad.load(ground.with_inner(ground.inner())).score_samples


def test_an_attack_is_one_sentence_on_the_command_line(ground, honest, capsys):
    path = ATTACKS[PICKLE](ground)
    assert main(["score", str(path), str(honest.parent)]) == 1
    assert re.search(r"error: .* is not opened: .*\.$", capsys.readouterr().err.strip())


def test_the_guide_lists_the_attacks():
    rows = re.findall(r"^\| ([^|]+?) +\| refused", PAGE.read_text("utf-8"), re.M)
    assert rows == [*ATTACKS]
