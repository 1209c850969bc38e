"""Systems score maps of features a block of images at a time."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline as PlainPipeline

from featad import PatchGaussian, make_pipeline
from featad.errors import ImageReadError, ImageReadWarning
from featad.features import PatchFeatures, patches


def small(**parameters):
    """Return patches of a small network at a small size."""
    defaults = {"layer": "features.3", "n_components": 4, "image_size": 20}
    defaults |= {"weights": None, "batch_size": 4}
    return PatchFeatures("squeezenet1_1", **(defaults | parameters))


@pytest.fixture
def blocks_of_five(monkeypatch):
    height, width, n_features = small().transform(np.zeros((1, 8, 8))).shape[1:]
    monkeypatch.setattr(patches, "_BLOCK", 5 * 4 * height * width * n_features)


@pytest.fixture
def broken(image_folder):
    (image_folder / "3.png").write_bytes(b"no image")
    return sorted(image_folder.iterdir())


@pytest.mark.usefixtures("blocks_of_five")
def test_blocks_are_the_maps_in_the_order_of_the_images(images):
    blocks = list(small().transform_in_blocks(images))
    assert [len(block) for block in blocks] == [5, 5, 5, 5, 4]
    np.testing.assert_array_equal(np.concatenate(blocks), small().transform(images))


@pytest.mark.usefixtures("blocks_of_five")
def test_known_images_stay_in_their_order(images, tmp_path):
    small(cache=tmp_path).transform(images[1::3])
    found = np.concatenate(list(small(cache=tmp_path).transform_in_blocks(images)))
    np.testing.assert_allclose(found, small().transform(images), rtol=1e-4, atol=1e-5)


def test_an_image_does_not_wait_long_for_others_of_its_batch(images, tmp_path):
    small(cache=tmp_path).transform(images[1:])  # all but the first are known
    features = small(cache=tmp_path, n_jobs=1)
    seen = []

    class Watched(list):
        def __getitem__(self, index):
            seen.append(index)
            return super().__getitem__(index)

    sources = Watched(np.concatenate([images[:1], *[images[1:]] * 5]))
    _, extractor, summary = features._prepared(images)
    next(features._extract(sources, extractor, summary, n_rows=1))
    assert max(seen) <= 8 * 4 + 3


@pytest.mark.usefixtures("blocks_of_five")
@pytest.mark.parametrize("method", ["score_samples", "decision_function", "predict"])
def test_a_system_scores_block_by_block_what_it_scores_at_once(images, method):
    system = make_pipeline(small(), PatchGaussian()).fit(images)
    plain = PlainPipeline(system.steps)
    np.testing.assert_allclose(
        getattr(system, method)(images), getattr(plain, method)(images), rtol=1e-5
    )


@pytest.mark.usefixtures("blocks_of_five")
def test_a_system_holds_one_block_at_a_time(images, monkeypatch):
    sizes = []

    def scored(self, X, score=PatchGaussian.score_samples):
        sizes.append(len(X))
        return score(self, X)

    system = make_pipeline(small(), PatchGaussian()).fit(images)
    monkeypatch.setattr(PatchGaussian, "score_samples", scored)
    monkeypatch.setattr(PatchFeatures, "transform", None)
    assert system.score_samples(images).shape == (24,)
    assert sizes == [5, 5, 5, 5, 4]


def test_an_unfitted_system_runs_no_network(images, monkeypatch):
    monkeypatch.setattr(PatchFeatures, "_launch", None)
    with pytest.raises(NotFittedError):
        make_pipeline(small(), PatchGaussian()).score_samples(images)


@pytest.mark.usefixtures("blocks_of_five")
@pytest.mark.parametrize(("on_error", "n"), [("skip", 10), ("nan", 12)])
def test_unreadable_images_of_all_blocks_are_told_once(broken, on_error, n):
    twice = broken + broken[:3] + broken[4:] + [broken[3]]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ImageReadWarning)
        features = small(on_error=on_error)
        blocks = list(features.transform_in_blocks(twice))
    assert len([w for w in caught if w.category is ImageReadWarning]) == 1
    assert sum(map(len, blocks)) == n


@pytest.mark.usefixtures("blocks_of_five")
def test_an_unreadable_image_stops_the_blocks(broken):
    with pytest.raises(ImageReadError, match=r"3\.png"):
        list(small().transform_in_blocks(broken))
