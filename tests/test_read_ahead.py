"""Images are read ahead in threads, a batch at most, and nothing depends on it."""

import gc
import threading

import numpy as np
import pytest
from PIL import Image

import featad
from featad.errors import ImageReadError
from featad.images import ImageReader, map_images

NAMES = [f"{i}.png" for i in range(20)]


def reader(log):
    """Return a reading function that notes what was read, in which order."""

    def read(source):
        if source == "bad":
            raise ImageReadError(source, "it is bad")
        log.append(source)
        return source.upper()

    return read


@pytest.fixture(autouse=True)
def _own_threads():
    gc.collect()  # iterators that errors of other tests still hold


def _threads():
    return [t for t in threading.enumerate() if t.name.startswith("featad-images")]


def test_each_file_is_read_once_and_in_order():
    log = []
    found = map_images(reader(log), NAMES, n_jobs=2, n_ahead=8)
    assert list(found) == [(i, name.upper()) for i, name in enumerate(NAMES)]
    assert sorted(log) == sorted(NAMES)
    assert not _threads()


def test_no_more_is_read_ahead_than_was_asked_for():
    log = []
    values = map_images(reader(log), NAMES, n_jobs=2, n_ahead=9)
    next(values)
    values.close()
    assert set(log) <= set(NAMES[:9])


def test_an_unreadable_file_is_told_in_its_place():
    sources = [*NAMES[:4], "bad", *NAMES[4:7]]
    found = [value for _, value in map_images(reader([]), sources, n_jobs=2, n_ahead=4)]
    assert isinstance(found.pop(4), ImageReadError)
    assert found == [name.upper() for name in NAMES[:7]]


def test_threads_end_with_a_batch_that_is_not_finished():
    values = map_images(reader([]), NAMES[:8], n_jobs=2)
    next(values)
    values.close()
    assert not _threads()


@pytest.mark.parametrize(
    "features",
    [
        ImageReader(n_jobs=2),
        featad.FilterBankFeatures(8, n_jobs=2),
        featad.BackboneFeatures(
            "squeezenet1_1", layer="features.3", weights=None, image_size=20, n_jobs=2
        ),
    ],
    ids=lambda features: type(features).__name__,
)
def test_threads_end_with_an_unreadable_image_while_its_error_is_kept(features, files):
    with pytest.raises(ImageReadError) as kept:
        features.transform(files)
    assert not _threads()
    assert kept


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    rng = np.random.default_rng(0)
    for i in range(13):
        pixels = rng.integers(0, 256, (16, 16), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    (folder / "7.png").write_bytes(b"not an image")
    return [str(folder / f"{i}.png") for i in range(13)]


def test_scores_do_not_depend_on_threads_batches_and_order(files):
    fine = [path for path in files if not path.endswith("7.png")]
    system = featad.make_pipeline(
        ImageReader(8, flatten=True), featad.KMeansDistance(1)
    )
    system.fit(fine)

    def scores(sources, n_jobs, batch_size):
        system.set_params(imagereader__n_jobs=n_jobs)
        frames = featad.score_images(system, sources, batch_size=batch_size)
        return {
            row.path: "failed" if np.isnan(row.anomaly_score) else row.anomaly_score
            for frame in frames
            for row in frame.itertuples()
        }

    usual = scores(files, 1, 13)
    assert sum(value == "failed" for value in usual.values()) == 1
    for n_jobs, batch_size in [(2, 3), (3, 5), (2, 13)]:
        assert scores(files, n_jobs, batch_size) == usual
        assert scores(files[::-1], n_jobs, batch_size) == usual
    assert not _threads()
