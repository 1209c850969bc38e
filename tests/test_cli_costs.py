"""Long fits are announced with time, memory and a faster way; short ones are not."""

import pytest

from featad.cli.costs import announcement
from featad.registry import build


def test_an_n_squared_job_names_time_memory_and_the_faster_way():
    text = announcement("mini-stats-ocsvm", build("mini-stats-ocsvm"), 30_000)
    assert text.startswith("mini-stats-ocsvm: 6 fits on 30,000 images of ")
    assert "min on one processor and about" in text
    assert "GB of memory; the time grows with the square" in text
    assert "mini-stats-mahalanobis takes about" in text


def test_a_job_that_does_not_grow_so_names_no_other_way():
    text = announcement("mini-mahalanobis", build("mini-mahalanobis"), 300_000)
    assert text.startswith("mini-mahalanobis: 1 fit on 300,000 images of ")
    assert "square" not in text


@pytest.mark.parametrize(
    ("name", "n_samples"),
    [("mini-stats-ocsvm", 500), ("pixels-pca", 5000), ("images-vae", 100_000)],
)
def test_short_jobs_and_trainings_are_not_announced(name, n_samples):
    assert announcement(name, build(name), n_samples) is None


def test_the_number_of_fits_counts():
    system = build("mini-stats-knn")
    more, fewer = (announcement("mini-stats-knn", system, 20_000, n) for n in (20, 10))
    assert "20 fits" in more
    assert "10 fits" in fewer


def test_memory_of_maps_of_features_is_announced():
    name = "mini-patches-memory"
    text = announcement(name, build(name), 1000)
    assert text == (
        "mini-patches-memory: 1,000 images at 28 x 28 positions of 128 features; the "
        "fit needs up to 1.0 GB of memory"
    )


def test_little_memory_of_maps_is_not_announced():
    name = "mini-patches-gaussian"
    assert announcement(name, build(name), 100) is None
