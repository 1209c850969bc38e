"""The program that teaches vgg_mini what VGG16 sees, at toy size with a toy teacher."""

import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision.models import squeezenet1_1
from torchvision.models.vgg import cfgs, make_layers

from featad.errors import ModelFileError
from featad.features.vgg_mini import MEAN, STD, VGGMini
from pipelines.pretraining import generate, teacher, vgg_mini
from pipelines.pretraining.rendering import rendered
from pipelines.pretraining.teacher import LAYERS

TOY = ["--count", "12", "--image-size", "32", "--crop-size", "17", "--batch-size", "5"]
TOY += ["--pairs", "4", "--threads", "1", "--workers", "1", "--every", "2"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Return options that name a teacher and a start of random weights."""
    folder = tmp_path_factory.mktemp("sources")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        convolutions = make_layers(cfgs["D"]).state_dict()
        torch.save(squeezenet1_1(weights=None).state_dict(), folder / "start.pth")
    state = {f"features.{name}": v.half() for name, v in convolutions.items()}
    save_file(state, folder / "teacher.safetensors")
    return [
        f"--teacher={folder / 'teacher.safetensors'}",
        f"--start={folder / 'start.pth'}",
    ]


@pytest.fixture(scope="module")
def teach(sources):
    def run(folder, *more):
        vgg_mini.main(["--out", str(folder), *sources, *TOY, "--steps", "4", *more])
        return (folder / "vgg_mini.safetensors").read_bytes()

    return run


@pytest.fixture(scope="module")
def taught(teach, tmp_path_factory):
    folder = tmp_path_factory.mktemp("taught")
    return folder, teach(folder)


def test_the_same_command_gives_the_same_weights_bit_for_bit(teach, taught, tmp_path):
    assert teach(tmp_path) == taught[1]


def test_an_interrupted_run_goes_on_to_the_same_weights(
    teach, taught, tmp_path, monkeypatch
):
    step, calls = vgg_mini._step, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(vgg_mini, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        teach(tmp_path)
    monkeypatch.undo()
    assert torch.load(tmp_path / "latest.pt", weights_only=True)["step"] == 2
    assert teach(tmp_path) == taught[1]


def test_another_recipe_does_not_continue_a_run(teach, taught):
    with pytest.raises(ModelFileError, match="another --out"):
        teach(taught[0], "--contrast", "0.5")


def test_the_weights_are_those_of_the_shipped_network(taught):
    state = load_file(taught[0] / "vgg_mini.safetensors")
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    VGGMini().load_state_dict({name: value.float() for name, value in state.items()})


def test_the_card_names_teacher_start_and_licenses_but_no_folder(taught, sources):
    text = (taught[0] / "vgg_mini.json").read_text(encoding="utf-8")
    card = json.loads(text)
    assert card["sha256"] == hashlib.sha256(taught[1]).hexdigest()
    assert "CC BY 4.0" in card["teacher"]
    assert "Apache License 2.0" in card["start"]
    assert set(card["sha256_of_sources"]) == {"teacher", "start"}
    assert sources[0].partition("=")[2] not in text


def test_training_lowers_what_is_not_told_and_both_contrasts(sources, tmp_path):
    options = ["--out", str(tmp_path), *sources, *TOY]
    args = vgg_mini._parser().parse_args(options)
    images = np.stack([generate(0, place, 32) for place in range(12)])
    maps = teacher.teacher_maps(tmp_path, args.teacher, images, "toy")
    scales = vgg_mini._scales(maps)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        learner = vgg_mini.Learner(vgg_mini.starting_state(args.start)).train()
    optimizer = vgg_mini._optimizer(learner, args)
    first, *_, last = [
        vgg_mini._step(learner, optimizer, images, maps, scales, 0, args)
        for _ in range(12)
    ]
    assert sum(last[layer] for layer in LAYERS) < 0.8 * sum(first[k] for k in LAYERS)
    assert last["middle_loss"] < 0.9 * first["middle_loss"]
    assert last["last_loss"] < 0.9 * first["last_loss"]


def test_the_start_sees_what_squeezenet_sees(sources):
    path = sources[1].partition("=")[2]
    start = VGGMini()
    start.load_state_dict(vgg_mini.starting_state(path))
    whole = squeezenet1_1(weights=None)
    whole.load_state_dict(torch.load(path, weights_only=True))
    x = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = whole.features(teacher.standardized(x))
        maps = start.stages(teacher.standardized(x, MEAN, STD))
    torch.testing.assert_close(maps["conv4_4"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_start_is_kept(share):
    start, trained = {"a": torch.tensor(2.0)}, {"a": torch.tensor(4.0)}
    assert vgg_mini.mixed(start, trained, share)["a"] == 2 + 2 * share


def test_the_teachers_maps_are_those_of_torchvision_where_the_student_looks(
    sources, tmp_path
):
    images = rendered(tmp_path, seed=0, count=3, size=64)
    path = sources[0].partition("=")[2]
    maps = teacher.teacher_maps(tmp_path, path, images, "toy")
    network = make_layers(cfgs["D"])
    state = {k.removeprefix("features."): v.float() for k, v in load_file(path).items()}
    network.load_state_dict(state)
    x = torch.from_numpy(images[2].copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        whole = network[:23](teacher.standardized(x))[0].permute(1, 2, 0)  # conv4_3
    average = (whole[:-1, :-1] + whole[:-1, 1:] + whole[1:, :-1] + whole[1:, 1:]) / 4
    np.testing.assert_allclose(maps["conv4_3"][2], average, rtol=1e-2, atol=1e-3)
    assert maps["conv3_3"].shape == (3, 7, 7, 256)
    assert maps["conv5_3"].shape == (3, 3, 3, 512)
