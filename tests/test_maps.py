"""Maps of any fitted system: where a blob is, in pixels of the image."""

import numpy as np
import pytest
from PIL import Image
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import LocalOutlierFactor
from sklearn.svm import OneClassSVM

import featad
from featad.features import BackboneFeatures, FilterBankFeatures
from featad.images import ImageReader
from featad.metrics import pixel_auroc

SCORERS = {
    "mahalanobis": featad.Mahalanobis(),
    "k-means": featad.KMeansDistance(1, random_state=0),
    "neighbors": featad.NearestNeighbors(1),
    "pca": featad.PCAReconstruction(2),
    "flow": featad.FeatureFlow(width=8, n_blocks=2, max_epochs=3, random_state=0),
    "scikit-learn's one-class SVM": OneClassSVM(nu=0.1, gamma=0.5),
    "scikit-learn's local outliers": LocalOutlierFactor(novelty=True),
}


@pytest.fixture(scope="module")
def plates():
    """Return 40 gray plates of 24 x 32 pixels."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.02, (40, 24, 32)) + rng.normal(0, 0.05, (40, 1, 1))
    return (0.5 + noise).clip(0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def odd(plates):
    """Return a plate with a blob at rows 2 to 7, columns 22 to 29."""
    image = plates[0].copy()
    image[2:8, 22:30] = 1.0
    return image


def _fitted(scorer, plates, first=None):
    first = first or FilterBankFeatures(size=(24, 32), scales=(1.0,), n_jobs=1)
    return featad.make_pipeline(first, scorer).fit(plates)


def _is_on_the_blob(found):
    mask = np.zeros((24, 32), dtype=bool)
    mask[2:8, 22:30] = True
    if found.shape != mask.shape:
        mask = np.kron(mask, np.ones((30, 30), dtype=bool))
    return pixel_auroc([mask], [found]) > 0.85


@pytest.mark.parametrize("method", ["contribution", "occlusion"])
@pytest.mark.parametrize("scorer", SCORERS)
def test_a_blob_is_where_the_map_is_highest(scorer, method, plates, odd):
    system = _fitted(SCORERS[scorer], plates)
    [found] = featad.anomaly_maps(system, odd[None], method=method)
    assert found.shape == (24, 32)
    assert found.dtype == np.float32
    assert _is_on_the_blob(found)


@pytest.mark.parametrize("fill", ["blur", "mean", "gray"])
def test_every_cover_finds_the_blob(fill, plates, odd):
    reader = ImageReader(size=(12, 16), mode="L", flatten=True)
    system = _fitted(featad.KMeansDistance(1), plates, reader)
    [found] = featad.occlusion_maps(system, odd[None], fill=fill)
    assert _is_on_the_blob(found)


def test_a_forest_is_mapped_by_occlusion(plates, odd):
    system = _fitted(featad.IsolationForest(random_state=0), plates)
    expected = featad.occlusion_maps(system, odd[None])
    np.testing.assert_array_equal(featad.anomaly_maps(system, odd[None]), expected)


def test_a_detector_of_image_arrays_is_mapped_without_a_reader(plates, odd):
    detector = featad.KMeansDistance(1).fit(plates * 200)
    [found] = featad.anomaly_maps(detector, odd[None] * 200)
    assert _is_on_the_blob(found)


def test_maps_are_the_same_however_the_detector_is_wrapped(plates, odd):
    plain = _fitted(featad.Mahalanobis(), plates)
    expected = featad.anomaly_maps(plain, odd[None])
    pipeline = featad.make_pipeline(plain[0], featad.Mahalanobis())
    wrapped = [
        FrozenEstimator(plain),
        featad.calibrate(FrozenEstimator(plain), target_fpr=0.1).fit(plates),
        featad.calibrate(pipeline, target_fpr=0.1).fit(plates),
        featad.CalibratedDetector(pipeline, target_fpr=0.1).fit(plates),
        GridSearchCV(
            pipeline, {}, cv=2, scoring=lambda system, X, y=None: 0.0
        ).fit(plates),
    ]  # fmt: skip
    for system in wrapped:
        found = featad.anomaly_maps(system, odd[None])
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_a_trimmed_system_has_maps(plates, odd):
    first = FilterBankFeatures(size=(24, 32), scales=(1.0,), n_jobs=1)
    inner = featad.make_pipeline(first, featad.Mahalanobis())
    system = featad.TrimmedDetector(inner, contamination=0.1).fit(plates)
    assert _is_on_the_blob(featad.anomaly_maps(system, odd[None])[0])


@pytest.mark.parametrize("method", ["contribution", "occlusion"])
def test_a_map_does_not_depend_on_other_images(method, plates, odd):
    system = _fitted(featad.Mahalanobis(), plates)
    among = featad.anomaly_maps(system, np.stack([*plates[:3], odd]), method=method)
    [alone] = featad.anomaly_maps(system, odd[None], method=method)
    np.testing.assert_allclose(among[3], alone, rtol=1e-6)


def test_rows_and_columns_follow_the_orientation_in_exif(plates, odd, tmp_path):
    system = _fitted(featad.Mahalanobis(), plates)
    turned = Image.fromarray((odd.T[:, ::-1] * 255).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 8  # turn it by 90 degrees to see it upright
    turned.save(tmp_path / "turned.png", exif=exif)
    [found] = featad.anomaly_maps(system, [tmp_path / "turned.png"])
    assert found.shape == (24, 32)
    assert _is_on_the_blob(found)


def test_maps_of_large_images_have_their_size(plates, odd):
    system = _fitted(featad.Mahalanobis(), plates)
    large = np.kron(odd, np.ones((30, 30), np.float32))
    maps = featad.anomaly_maps(system, [large, odd])
    assert [one.shape for one in maps] == [(720, 960), (24, 32)]
    assert _is_on_the_blob(maps[0])


def test_what_a_crop_leaves_out_is_not_odd(plates, odd):
    first = BackboneFeatures(
        "squeezenet1_1", layer="features.3", weights=None, image_size=32, crop=True
    )
    system = featad.make_pipeline(first, featad.KMeansDistance(1)).fit(plates)
    wide = np.pad(odd, ((0, 0), (32, 32)), constant_values=0.5)
    [found] = featad.anomaly_maps(system, [wide])
    assert found.shape == (24, 96)
    assert np.ptp(found[:, :30]) == 0 == np.ptp(found[:, -30:])
    [covered] = featad.occlusion_maps(system, [wide], n_cells=3, n_levels=1)
    assert covered.shape == (24, 96)


def test_a_network_s_contributions_take_the_features_it_gives(plates):
    from featad.features.leaving_out import features_without_cells

    first = BackboneFeatures(
        "squeezenet1_1",
        layer=("features.3", "features.5"),
        weights=None,
        image_size=48,
        pooling=("mean", "std", "max"),
        normalize=True,
    )
    tables = features_without_cells(first, plates[:2], (2, 3))
    found = np.stack([table[0] for table in tables])
    np.testing.assert_allclose(found, first.transform(plates[:2]), atol=1e-5)


def test_covered_images_are_not_kept_in_the_cache(plates, odd, tmp_path):
    first = BackboneFeatures(
        "squeezenet1_1",
        layer="features.3",
        weights=None,
        image_size=32,
        cache=tmp_path,
    )
    system = featad.make_pipeline(first, featad.KMeansDistance(1)).fit(plates[:5])
    before = sorted(tmp_path.rglob("*"))
    featad.occlusion_maps(system, odd[None], n_cells=2, n_levels=1)
    assert sorted(tmp_path.rglob("*")) == before


def test_white_may_be_another_value(plates, odd):
    scaled = (np.stack([*plates, odd]) * 4095).astype(np.uint16)
    reader = ImageReader(size=8, mode="L", max_value=4095, flatten=True)
    system = _fitted(featad.KMeansDistance(1), scaled[:-1], reader)
    [found] = featad.occlusion_maps(system, scaled[-1:])
    assert _is_on_the_blob(found)


def test_tables_have_no_maps(plates):
    fitted = featad.Mahalanobis().fit(np.random.default_rng(0).normal(size=(9, 2)))
    with pytest.raises(ValueError, match="X is a table of shape"):
        featad.anomaly_maps(fitted, np.zeros((1, 2)))


def test_a_method_that_a_system_lacks_is_named(plates):
    reader = ImageReader(size=8, mode="L", flatten=True)
    system = _fitted(featad.KMeansDistance(1), plates, reader)
    with pytest.raises(TypeError, match="KMeansDistance has no anomaly maps of its"):
        featad.anomaly_maps(system, plates[:1], method="own")
    with pytest.raises(TypeError, match="begins with ImageReader"):
        featad.anomaly_maps(system, plates[:1], method="contribution")
    with pytest.raises(ValueError, match="method should be one of"):
        featad.anomaly_maps(system, plates[:1], method="gradient")
    with pytest.raises(ValueError, match="fill should be one of"):
        featad.occlusion_maps(system, plates[:1], fill="black")


def test_patch_detectors_have_maps_of_their_own(plates, odd):
    first = featad.PatchFeatures("vgg_mini", image_size=(96, 128), n_components=8)
    system = featad.make_pipeline(first, featad.PatchGaussian()).fit(plates)
    [found] = featad.anomaly_maps(system, odd[None])
    assert _is_on_the_blob(found)
    expected = system[-1].anomaly_map(first.transform(odd[None]))
    seen = featad.anomaly_maps(system, odd[None], resize=False)
    np.testing.assert_array_equal(seen, expected)
