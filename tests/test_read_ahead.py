"""Files of the next batch are read while one is worked on."""

import threading
from contextlib import closing, contextmanager

import numpy as np
import pytest
from PIL import Image

import featad
from featad.errors import ImageReadError
from featad.images import ImageReader, Notes, ReadAhead, map_images


class Reader:
    """Notes what was read, in which order; all of them are equal."""

    def __init__(self, log):
        self.log = log

    def __eq__(self, other):
        return isinstance(other, Reader)

    __hash__ = None

    def __call__(self, source):
        if source == "bad":
            raise ImageReadError(source, "it is bad")
        self.log.append(source)
        return source.upper()


@contextmanager
def run_of(sources):
    with closing(ReadAhead(sources)) as ahead, Notes().taken(), ahead.given():
        yield ahead


def read(batch, log, **options):
    how = {"n_jobs": 2, "read_on": True} | options
    return [value for _, value in map_images(Reader(log), batch, **how)]


NAMES = [f"{i}.png" for i in range(20)]


def _threads():
    return [t for t in threading.enumerate() if t.name.startswith("featad-images")]


def test_each_file_is_read_once_and_in_order():
    log = []
    with run_of(NAMES):
        found = [v for start in range(0, 20, 8) for v in read(NAMES[start:][:8], log)]
    assert found == [name.upper() for name in NAMES]
    assert sorted(log) == sorted(NAMES)
    assert not _threads()


def test_some_of_the_next_batch_are_read_at_the_end_of_one():
    log = []
    with run_of(NAMES):
        read(NAMES[:8], log, n_ahead=7)
    assert set(NAMES[:8]) <= set(log) <= set(NAMES[: 8 + 6])


def test_nothing_is_read_ahead_unless_told():
    log = []
    with run_of(NAMES):
        read(NAMES[:8], log, read_on=False)
    read(NAMES[:8], log)  # outside of a run
    assert set(log) == set(NAMES[:8])


def test_names_that_come_twice_are_not_taken_for_one_another():
    sources = ["a", "x", "b", "a", "y", "b"]
    log = []
    with run_of(sources):
        found = read(sources[:3], log) + read(sources[3:], log)
    assert found == ["A", "X", "B", "A", "Y", "B"]


def test_a_batch_that_is_left_out_does_not_confuse():
    log = []
    with run_of(NAMES):
        found = read(NAMES[:4], log) + read(NAMES[8:12], log) + read(NAMES[8:10], log)
    assert found == [n.upper() for n in NAMES[:4] + NAMES[8:12] + NAMES[8:10]]


def test_an_unreadable_file_is_told_in_its_own_batch():
    sources = [*NAMES[:4], "bad", *NAMES[4:7]]
    with run_of(sources):
        assert read(sources[:4], []) == [n.upper() for n in NAMES[:4]]
        second = read(sources[4:], [])
    assert isinstance(second[0], ImageReadError)
    assert second[1:] == [n.upper() for n in NAMES[4:7]]


def test_threads_end_with_a_batch_that_is_not_finished():
    with run_of(NAMES):
        values = map_images(Reader([]), NAMES[:8], n_jobs=2, read_on=True)
        next(values)
        values.close()
        assert not _threads()


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
