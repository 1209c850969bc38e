"""Systems that use one network share one pass of it."""

import numpy as np
import pytest

import featad
from featad import BackboneFeatures, Mahalanobis, PatchFeatures, PatchGaussian
from featad.features.network import NetworkFeatures
from featad.features.together import passes
from featad.shared_steps import fit_steps, transform_steps

LABELS = np.repeat([1, -1], [16, 8])


@pytest.fixture
def ran(monkeypatch):
    """Return the number of images of each batch that runs through a network."""
    sizes = []

    def counted(self, run, pixels, launch=NetworkFeatures._launch):
        sizes.append(len(pixels))
        return launch(self, run, pixels)

    monkeypatch.setattr(NetworkFeatures, "_launch", counted)
    return sizes


def features(layer, kind=BackboneFeatures, **parameters):
    options = {"arch": "squeezenet1_1", "weights": None, "image_size": 24, "n_jobs": 1}
    return kind(layer=layer, **(options | parameters))


def three():
    return [
        features("features.3"),
        features(("features.9", "features.3"), pooling=("max", "std"), normalize=True),
        features("features.6", PatchFeatures, dtype="float16"),
    ]


def test_compare_takes_several_layers_from_one_pass(images, ran):
    table, mean, maps = three()
    systems = {
        "one": featad.make_pipeline(table, Mahalanobis()),
        "two": featad.make_pipeline(mean, Mahalanobis()),
        "maps": featad.make_pipeline(maps, PatchGaussian()),
    }
    together = featad.compare(systems, images, LABELS, cv=2, n_bootstrap=10)
    assert sum(ran) == 1 + len(images)  # the first loads the network outside the clock
    for name, system in systems.items():
        alone = featad.compare({name: system}, images, LABELS, cv=2, n_bootstrap=10)
        assert together.loc[name, "auroc"] == alone.loc[name, "auroc"]


def test_an_ensemble_takes_several_layers_from_one_pass(images, ran):
    members = [
        (name, featad.make_pipeline(features(layer), Mahalanobis()))
        for name, layer in (("a", "features.3"), ("b", "features.6"))
    ]
    ensemble = featad.ScoreEnsemble(members, cv=2, random_state=0).fit(images)
    assert sum(ran) == len(images)
    ensemble.score_samples(images[:5])
    assert sum(ran) == len(images) + 5


def test_features_of_one_pass_are_those_of_each_alone(images):
    alone = [each.transform(images) for each in three()]
    for made in (fit_steps(three(), images), transform_steps(three(), images)):
        for ours, expected in zip(made, alone, strict=True):
            assert ours.dtype == expected.dtype
            np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)


def test_features_of_one_pass_are_fitted(images):
    steps = three()
    fit_steps(steps, images)
    for step in steps:
        assert step.weights_fingerprint_ == three()[0].fit(images).weights_fingerprint_
        assert step.n_features_out_ > 0


def test_a_pass_looks_into_the_cache(images, tmp_path, ran):
    steps = [features(layer, cache=tmp_path) for layer in ("features.3", None)]
    for _ in range(2):
        fit_steps(steps, images)
        for step in steps:
            step.transform(images)
    assert sum(ran) == len(images)


def test_images_that_are_skipped_have_no_row_in_any_table(image_folder):
    paths = sorted(image_folder.iterdir())
    paths[2].write_bytes(b"no image")
    steps = [features(layer, on_error="skip") for layer in ("features.3", None)]
    steps[0].set_output(transform="pandas")
    with pytest.warns(featad.errors.ImageReadWarning, match=r"2\.png") as caught:
        table, array = transform_steps(steps, paths)
    assert len(caught) == 1
    assert table.index.tolist() == [0, 1, 3, 4, 5]
    assert len(array) == 5


def test_what_differs_in_more_than_layers_takes_a_pass_of_its_own():
    first = features("features.3")
    steps = {
        "same": features(None, pooling="max"),
        "size": features("features.3", image_size=32),
        "first": first,
        "other": Mahalanobis(),
        "cached": features("features.3", cache="folder"),
    }
    found = passes(steps, in_memory=True)
    assert found == [["same", "first"], ["size"], ["other"], ["cached"]]


def test_two_maps_are_not_in_memory_together():
    maps = [features(layer, PatchFeatures) for layer in ("features.3", "features.6")]
    steps = {"a": maps[0], "table": features(None), "b": maps[1]}
    assert passes(steps, in_memory=True) == [["a", "table"], ["b"]]
    assert passes(steps, in_memory=False) == [["a", "table", "b"]]
