"""The program that made the first edition of vgg_mini, at toy size."""

import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from featad.errors import ModelFileError
from featad.features.vgg_mini_generated import GeneratedVGGMini
from pipelines.pretraining import FAMILIES, contrast, generate, running
from pipelines.pretraining.rendering import rendered
from pipelines.pretraining.views import nt_xent, random_views

TOY = ["--count", "12", "--image-size", "32", "--crop-size", "16", "--batch-size", "6"]
TOY += ["--threads", "1", "--workers", "1", "--device", "cpu", "--every", "2"]


def _weights(folder, *more):
    contrast.main(["--out", str(folder), *TOY, *more])
    return (folder / "vgg_mini_generated.safetensors").read_bytes()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    return folder, _weights(folder, "--steps", "4")


def test_the_same_command_gives_the_same_weights_bit_for_bit(trained, tmp_path):
    assert _weights(tmp_path, "--steps", "4") == trained[1]


def test_another_seed_gives_other_weights(trained, tmp_path):
    assert _weights(tmp_path, "--steps", "4", "--seed", "1") != trained[1]


def test_an_interrupted_run_goes_on_to_the_same_weights(trained, tmp_path, monkeypatch):
    step, calls = contrast._step, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(contrast, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _weights(tmp_path, "--steps", "4")
    assert torch.load(tmp_path / "latest.pt", weights_only=True)["step"] == 2
    monkeypatch.undo()
    assert _weights(tmp_path, "--steps", "4") == trained[1]
    lines = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 1, 2, 3]


@pytest.mark.parametrize("more", [["--seed", "1"], ["--temperature", "0.5"]])
def test_another_recipe_does_not_continue_a_run(trained, more):
    with pytest.raises(ModelFileError, match="another --out"):
        _weights(trained[0], "--steps", "4", *more)


def test_more_steps_are_refused_once_the_rate_descends(trained):
    with pytest.raises(ModelFileError, match="learning rate"):
        _weights(trained[0], "--steps", "8")


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "latest.pt").write_bytes(b"damaged")
    with pytest.raises(ModelFileError, match="not a checkpoint"):
        _weights(tmp_path, "--steps", "4")


@pytest.mark.parametrize("option", ["--steps", "--count", "--batch-size"])
def test_a_number_out_of_range_is_wrong_use(tmp_path, option):
    with pytest.raises(SystemExit) as caught:
        contrast.main(["--out", str(tmp_path), option, "0"])
    assert caught.value.code == 2


def test_the_weights_are_those_of_the_shipped_network(trained):
    state = load_file(trained[0] / "vgg_mini_generated.safetensors")
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    GeneratedVGGMini().load_state_dict(
        {name: value.float() for name, value in state.items()}
    )


def test_the_card_tells_the_recipe(trained):
    folder, weights = trained
    card = json.loads((folder / "vgg_mini_generated.json").read_text(encoding="utf-8"))
    assert card["sha256"] == hashlib.sha256(weights).hexdigest()
    assert card["recipe"]["steps"] == 4
    assert "pictures.py" in card["generators"]


def test_training_lowers_the_loss_of_both_layers_on_the_same_views():
    args = contrast._parser().parse_args(["--out", "", *TOY])
    images = np.stack([generate(0, place, 32) for place in range(12)])
    views = contrast._batch(images, 0, args)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        learner = contrast.Learner().train()
    optimizer = contrast._optimizer(learner, args)
    losses = [contrast._step(learner, optimizer, views, args) for _ in range(8)]
    for layer in ("middle_loss", "last_loss"):
        assert losses[-1][layer] < losses[0][layer] - 0.5


def test_the_learning_rate_depends_on_the_steps_in_the_descent_only():
    share = running.learning_rate_share
    assert share(200, 500) == share(200, 900) == 1
    assert share(0, 500) == pytest.approx(1 / running.WARM_UP)
    assert share(499, 500) < 1e-3


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
@pytest.mark.parametrize("seed", range(3))
def test_a_family_draws_a_finite_field_that_its_seed_repeats(family, seed):
    field, again = (family(np.random.default_rng(seed), 32) for _ in range(2))
    np.testing.assert_array_equal(field, again)
    assert field.shape == (32, 32)
    assert np.isfinite(field).all()
    assert field.min() >= 0
    assert field.max() <= 1


def test_a_picture_depends_on_its_three_arguments_only():
    first = generate(0, 5, 32)
    generate(3, 3, 32)
    np.testing.assert_array_equal(first, generate(0, 5, 32))
    assert (first != generate(0, 6, 32)).any()
    assert (first != generate(1, 5, 32)).any()


def test_pictures_are_rendered_once_whatever_the_number_of_processes(tmp_path):
    images = rendered(tmp_path, seed=0, count=101, size=32, workers=2)
    path = next(tmp_path.glob("*.npy"))
    written = path.stat().st_mtime_ns
    again = rendered(tmp_path, seed=0, count=101, size=32)
    assert path.stat().st_mtime_ns == written
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(images[100], generate(0, 100, 32))


def test_views_come_from_their_generator_alone():
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    first, again, other = (
        random_views(images, 16, torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    assert first.shape == (4, 3, 16, 16)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_nt_xent_is_the_papers_loss():
    z = torch.nn.functional.normalize(torch.randn(6, 5), dim=1)
    terms = []
    for i in range(6):
        others = [k for k in range(6) if k != i]
        logits = torch.stack([z[i] @ z[k] / 0.2 for k in others])
        partner = others.index((i + 3) % 6)
        terms.append(-torch.log_softmax(logits, 0)[partner])
    loss, _ = nt_xent(z, 0.2)
    torch.testing.assert_close(loss, torch.stack(terms).mean())


def test_nt_xent_is_least_where_partners_agree():
    z = torch.eye(4).repeat(2, 1)
    loss, hits = nt_xent(z, 0.2)
    assert hits == 1
    assert loss < nt_xent(torch.cat([z[:4], z[4:].roll(1, 0)]), 0.2)[0]
