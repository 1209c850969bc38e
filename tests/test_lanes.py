"""Parts of a batch run through the network at the same time."""

import os
import threading

import numpy as np
import pytest
import torch

from featad.features import BackboneFeatures, PatchFeatures
from featad.features.lanes import run_beside, run_in_lanes, total_threads

IMAGES = np.random.default_rng(0).random((7, 224, 224, 3), np.float32)


@pytest.fixture
def threads():
    """Set the number of torch's threads, and put it back."""
    usual = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(usual)


def _parts(n_images):
    """Return how many images each part had, and the threads that torch had for it."""
    found, lock = [], threading.Lock()

    def run(part):
        with lock:
            found.append((len(part), torch.get_num_threads()))
        return part

    batch = np.arange(n_images)
    assert np.array_equal(run_in_lanes(run, batch)(), batch)
    return sorted(found, reverse=True)


@pytest.mark.parametrize(
    ("n_threads", "n_images", "parts"),
    [
        (1, 8, [(8, 1)]),
        (2, 8, [(4, 1), (4, 1)]),
        (2, 5, [(3, 1), (2, 1)]),
        (2, 3, [(3, 1)]),  # no part of one image
        (2, 1, [(1, 2)]),
        (6, 6, [(2, 2)] * 3),  # four lanes would have one thread each
        (8, 8, [(2, 2)] * 4),
    ],
)
def test_lanes_share_images_and_threads(threads, n_threads, n_images, parts):
    threads(n_threads)
    assert _parts(n_images) == parts
    assert torch.get_num_threads() == n_threads


@pytest.mark.parametrize(
    ("n_threads", "n_images", "each"), [(1, 8, 1), (2, 1, 1), (2, 8, 1), (8, 8, 4)]
)
def test_a_batch_beside_others_is_whole_and_has_half_of_the_threads(
    threads, n_threads, n_images, each
):
    threads(n_threads)
    found = run_beside(
        lambda batch: [len(batch), torch.get_num_threads(), total_threads()],
        np.arange(n_images),
    )
    assert found() == [n_images, each, n_threads]
    assert torch.get_num_threads() == total_threads() == n_threads


@pytest.mark.parametrize("start", [run_in_lanes, run_beside])
def test_the_next_batch_starts_while_one_runs(threads, start):
    threads(2)
    second = threading.Event()
    first = start(lambda part: part if second.wait(10) else None, np.arange(2))
    start(lambda part: (second.set(), part)[1], np.arange(2))()
    assert np.array_equal(first(), [0, 1])


@pytest.mark.parametrize("start", [run_in_lanes, run_beside])
def test_what_a_part_raises_is_raised(threads, start):
    threads(2)

    def fail(part):
        raise ZeroDivisionError("here")

    with pytest.raises(ZeroDivisionError, match="here"):
        start(fail, np.arange(4))()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_lanes_of_its_own(threads):
    threads(2)
    run_in_lanes(np.copy, np.arange(4))()
    child = os.fork()
    if not child:
        os._exit(int(run_in_lanes(np.copy, np.arange(4))().sum()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 6


@pytest.mark.parametrize(
    "features",
    [
        BackboneFeatures("vgg_mini", layer="conv4_4", device="cpu"),
        PatchFeatures("vgg_mini", device="cpu", n_components=8),
    ],
    ids=["table", "maps"],
)
def test_features_are_the_same_for_any_threads_batches_and_order(threads, features):
    threads(1)
    usual = features.fit(IMAGES).set_params(batch_size=7, n_jobs=1).transform(IMAGES)
    for n_threads, batch_size, n_jobs in [(2, 7, 2), (2, 4, 1), (1, 5, 2)]:
        threads(n_threads)
        features.set_params(batch_size=batch_size, n_jobs=n_jobs)
        assert np.array_equal(features.transform(IMAGES[::-1])[::-1], usual)


def test_features_in_a_cache_are_the_same_too(threads, tmp_path):
    features = BackboneFeatures("vgg_mini", layer="conv4_4", device="cpu")
    features.set_params(batch_size=4)
    threads(1)
    usual = features.fit_transform(IMAGES)
    threads(2)
    features.set_params(cache=tmp_path)
    assert np.array_equal(features.transform(IMAGES), usual)
    assert np.array_equal(features.transform(IMAGES), usual)
