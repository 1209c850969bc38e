"""The training loop: update order, stages, trimming, balance, averages, stopping."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from featad.neural import training
from featad.neural.context import Context, Options, Stage
from featad.neural.noise import generator, local_rng
from featad.neural.sampling import Trimming, batches
from featad.neural.training import RESET, Trainer

CPU = torch.device("cpu")
X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)


def nets():
    with local_rng(0, CPU):
        return {"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)}


def distance(nets, x, t):
    return ((nets["a"](x) - x) ** 2).mean(1)


def fit_a(nets, x, t):
    yield ("a",), distance(nets, x, t)


def trainer(
    losses=fit_a, *, n=20, labels=None, held_out=(), networks=None, data=X, **options
):
    labels = np.ones(n, dtype=np.int64) if labels is None else np.asarray(labels)
    return Trainer(
        networks or nets(),
        losses,
        keep_key=distance,
        rebuild=nets,
        load=lambda index: torch.from_numpy(data[index]),
        labels=labels,
        held_out=np.asarray(held_out, dtype=np.int64),
        options=Options(**{"batch_size": 5, "lr": 0.05, **options}),
        seed=0,
        device=CPU,
    )


def run(*args, epochs=3, stage=None, **kwargs):
    made = trainer(*args, **kwargs)
    made.run(stage or Stage("main"), epochs, {})
    return made


def weights(made, name="a"):
    return {key: value.clone() for key, value in made.nets[name].state_dict().items()}


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


def test_the_loss_falls_and_is_recorded():
    history = run(epochs=10).history
    assert [record["epoch"] for record in history] == list(range(10))
    assert history[-1]["a"] < history[0]["a"] / 2
    assert {record["stage"] for record in history} == {"main"}


def test_the_next_loss_is_asked_for_after_the_step():
    seen = []

    def losses(nets, x, t):
        before = nets["a"].weight.clone()
        yield ("a",), distance(nets, x, t)
        seen.append(not torch.equal(before, nets["a"].weight))
        yield ("b",), ((nets["b"](nets["a"](x)) - x) ** 2).mean()

    made = run(losses, epochs=1)
    assert seen == [True] * 4
    assert made.history[0].keys() == {"stage", "epoch", "a", "b"}


def test_a_step_moves_the_named_networks_only():
    def losses(nets, x, t):
        yield ("b",), (nets["b"](nets["a"](x)) ** 2).mean(1)

    before = trainer(losses)
    after = run(losses)
    assert same(weights(before, "a"), weights(after, "a"))
    assert not same(weights(before, "b"), weights(after, "b"))


def test_no_gradient_is_left_behind():
    made = run()
    assert all(w.grad is None for net in made.nets.values() for w in net.parameters())


def test_several_names_share_one_step_and_one_record():
    def losses(nets, x, t):
        yield ("a", "b"), ((nets["b"](nets["a"](x)) - x) ** 2).mean(1)

    assert "a+b" in run(losses).history[0]


def test_vectors_are_averaged():
    def vector(nets, x, t):
        yield ("a",), distance(nets, x, t)

    def scalar(nets, x, t):
        yield ("a",), distance(nets, x, t).mean()

    assert same(weights(run(vector)), weights(run(scalar)))


def test_the_same_seed_gives_the_same_bytes():
    assert same(weights(run()), weights(run()))


def test_progress_step_and_epoch_count_the_stage():
    seen = []

    def losses(nets, x, t):
        seen.append((t.stage, t.epoch, t.step, t.progress, len(t.y), len(t.index)))
        yield from fit_a(nets, x, t)

    run(losses, epochs=2, stage=Stage("first"))
    assert seen[0] == ("first", 0, 0, 0.0, 5, 5)
    assert seen[-1] == ("first", 1, 7, 7 / 8, 5, 5)


def test_the_context_is_read_only():
    with pytest.raises(AttributeError):
        Context(generator(0, CPU)).step = 3


def test_networks_outside_a_stage_stay_as_they_are_to_the_bit():
    networks = {**nets(), "c": nn.BatchNorm1d(3)}
    seen = []

    def losses(nets, x, t):
        seen.append((nets["b"].training, nets["b"].weight.requires_grad))
        nets["c"](x)  # its running mean must not move
        yield ("a",), distance(nets, nets["b"](x), t)

    made = trainer(losses, networks=networks)
    before = weights(made, "b"), weights(made, "c")
    made.run(Stage("main", trains=("a",)), 3, {})
    assert same(before[0], weights(made, "b"))
    assert same(before[1], weights(made, "c"))
    assert set(seen) == {(False, False)}


def test_a_network_outside_the_stage_cannot_be_yielded():
    with pytest.raises(ValueError, match="but a loss was yielded for 'a'"):
        run(stage=Stage("main", trains=("b",)))


def test_all_networks_are_frozen_and_in_eval_mode_after_training():
    made = run()
    for net in made.nets.values():
        assert not net.training
        assert not any(weight.requires_grad for weight in net.parameters())


def test_networks_built_frozen_are_never_trained():
    networks = nets()
    networks["b"].requires_grad_(False)

    def losses(nets, x, t):
        assert not nets["b"].training
        yield ("a",), distance(nets, nets["b"](x), t)

    made = run(losses, networks=networks)
    assert same(weights(made, "b"), nets()["b"].state_dict())


def test_a_loss_that_is_not_finite_names_networks_epoch_and_step():
    def losses(nets, x, t):
        yield ("a", "b"), distance(nets, x, t) / (0.0 if t.step == 6 else 1.0)

    message = r"loss of a and b became inf in epoch 1, step 6 of stage 'main'"
    with pytest.raises(FloatingPointError, match=message):
        run(losses)


def test_reset_starts_a_network_and_its_optimizer_anew():
    before_reset, after_reset = [], []

    def losses(nets, x, t):
        if t.step == 8:
            before_reset.append(nets["a"].weight.clone())
            yield ("a",), RESET
            after_reset.append(nets["a"].weight.clone())
            assert torch.equal(after_reset[0], globals()["nets"]()["a"].weight)
        yield from fit_a(nets, x, t)

    run(losses, epochs=3)
    assert not torch.equal(before_reset[0], after_reset[0])


def test_optimizers_can_be_chosen_by_network():
    plain = run(optimizers={"a": {"kind": "sgd", "lr": 0.0}})
    assert same(weights(plain), nets()["a"].state_dict())


def test_gradients_are_clipped():
    def losses(nets, x, t):
        yield ("a",), 1e6 * distance(nets, x, t)

    step = {"a": {"kind": "sgd", "lr": 1.0}}
    made = run(losses, epochs=1, clip_grad=0.01, optimizers=step)
    moved = [
        (w - v).square().sum()
        for w, v in zip(
            made.nets["a"].parameters(), nets()["a"].parameters(), strict=True
        )
    ]
    assert torch.stack(moved).sum().sqrt() <= 4 * 0.01 + 1e-6


def test_trim_zero_is_the_untrimmed_run_to_the_bit():
    assert same(weights(run(trim=0.0)), weights(run()))


def test_trimming_leaves_out_the_samples_with_the_largest_errors():
    odd = X.copy()
    odd[7] = 50
    share = run(trim=0.05, epochs=20, data=odd).trimming.left_out_share
    assert share.argmax() == 7
    assert share[7] > 0.7
    assert np.delete(share, 7).mean() < 0.1


def test_trimming_keeps_two_samples():
    trimming = Trimming(0.5, np.ones(4))
    errors, index = np.array([4.0, 3.0, 2.0, 1.0]), np.arange(4)
    trimming.keep(errors / 1e9, index, 1.0)  # now all of a batch is above the window
    assert trimming.keep(errors, index, 1.0).tolist() == [False, False, True, True]


def test_trimming_waits_and_then_grows():
    errors, index = np.arange(100.0), np.arange(100)
    kept = [
        Trimming(0.2, np.ones(100)).keep(errors, index, p).sum() for p in (0, 0.3, 1)
    ]
    assert kept == [100, 90, 80]


def test_labeled_anomalies_are_never_trimmed():
    labels = np.array([1] * 9 + [-1])
    keep = Trimming(0.4, labels).keep(np.arange(10.0), np.arange(10), 1.0)
    assert keep[9]
    assert keep.sum() < 10


def test_balanced_batches_have_the_exact_share():
    labels = np.array([1] * 30 + [-1] * 4)
    rng = np.random.default_rng(0)
    drawn = list(batches(np.arange(34), labels, 9, rng, balance=0.5))
    assert {(labels[batch] == -1).sum() for batch in drawn} == {4}
    assert {len(batch) for batch in drawn} == {9}
    assert set(np.concatenate(drawn)) == set(range(34))


def test_balanced_batches_repeat_under_a_seed():
    labels = np.array([1] * 30 + [-1] * 4)

    def draw():
        rng = np.random.default_rng(5)
        return np.concatenate(
            list(batches(np.arange(34), labels, 8, rng, balance=0.25))
        )

    np.testing.assert_array_equal(draw(), draw())


def test_balance_without_anomalies_is_a_plain_epoch():
    rng = np.random.default_rng(0)
    drawn = list(batches(np.arange(10), np.ones(10), 4, rng, balance=0.5))
    assert sorted(np.concatenate(drawn)) == list(range(10))


def test_a_last_batch_that_is_too_small_is_left_out():
    def sizes(n):
        rng = np.random.default_rng(0)
        return [len(b) for b in batches(np.arange(n), np.ones(n), 4, rng, min_batch=2)]

    assert sizes(9) == [4, 4]
    assert sizes(10) == [4, 4, 2]
    assert sizes(1) == [1]


def test_averaged_weights_replace_the_last_ones():
    def noisy(nets, x, t):
        yield ("a",), 10 * torch.randn((), generator=t.rng) * distance(nets, x, t)

    seen = []

    def watched(nets, x, t):
        yield from noisy(nets, x, t)
        seen.append(nets["a"].weight.clone())

    averaged = run(watched, epochs=5, ema=0.9)
    expected = seen[0].clone()
    for n, weight in enumerate(seen[1:], 1):
        expected.lerp_(weight, 1 - min(0.9, (1 + n) / (10 + n)))
    torch.testing.assert_close(averaged.nets["a"].weight.data, expected.data)
    assert not torch.equal(averaged.nets["a"].weight, seen[-1])


def test_averaging_does_not_change_the_training():
    assert run(ema=0.9).history == run().history


def test_early_stopping_restores_the_best_epoch():
    def losses(nets, x, t):  # good for three epochs, then harmful
        yield ("a",), (1 if t.epoch < 3 else -1) * distance(nets, x, t)

    sgd = {"a": {"kind": "sgd"}}  # no momentum that carries on
    made = run(losses, epochs=50, early_stopping=4, held_out=[0, 1, 2], optimizers=sgd)
    validation = [record["validation"] for record in made.history]
    assert len(validation) == 3 + 4
    assert np.argmin(validation) == 2
    with torch.no_grad():
        now = distance(made.nets, torch.from_numpy(X[:3]), None).mean().item()
    assert now == pytest.approx(min(validation), rel=1e-5)


def test_held_out_samples_are_not_trained_on():
    seen = set()

    def losses(nets, x, t):
        seen.update(t.index.tolist())
        yield from fit_a(nets, x, t)

    run(losses, early_stopping=9, held_out=[3, 11])
    assert seen == set(range(20)) - {3, 11}


def test_bfloat16_training_stays_close_to_float32():
    last = run(epochs=10, precision="bfloat16").history[-1]["a"]
    assert last == pytest.approx(run(epochs=10).history[-1]["a"], rel=0.1)


def test_a_progress_bar_goes_to_the_error_stream(capsys):
    run(verbose=True)
    shown = capsys.readouterr()
    assert "main" in shown.err
    assert shown.out == ""


class Turned(torch.autograd.Function):
    """Change nothing but the order of memory of a gradient."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient.t().contiguous().t()


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_fused_steps_are_plain_steps_whatever_order_gradients_come_in(
    kind, monkeypatch
):
    def loss(nets, x, t):
        yield ("a",), ((x @ Turned.apply(nets["a"].weight) - 1) ** 2).mean(1)

    def trained():
        made = trainer(loss, optimizers={"a": {"kind": kind}})
        made.run(Stage("main"), 3, {})
        return weights(made)["weight"]

    found = trained()
    plain = partial(training._OPTIMIZERS[kind], fused=False)
    monkeypatch.setitem(training._OPTIMIZERS, kind, plain)
    torch.testing.assert_close(found, trained(), rtol=1e-4, atol=1e-5)
