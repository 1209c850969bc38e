"""What is written as .skops can be read again, or is refused at once."""

from collections import Counter

import numpy as np
import pytest
from sklearn.model_selection import KFold, PredefinedSplit, RepeatedKFold, ShuffleSplit

import featad
from featad import safe_files
from featad.errors import ModelFileError

pytest.importorskip("skops")

X = np.random.default_rng(0).normal(size=(20, 2))
Y = np.repeat([1, -1], [15, 5])
GROUPS = np.arange(20) // 2


def calibrated(cv):
    return featad.CalibratedDetector(featad.KMeansDistance(1), target_fpr=0.2, cv=cv)


@pytest.mark.parametrize("cls", safe_files._SPLITTERS)
def test_a_splitter_splits_as_before(cls, tmp_path):
    cv = cls(GROUPS) if cls is PredefinedSplit else cls()
    if hasattr(cv, "random_state") and getattr(cv, "shuffle", True):
        cv.random_state = 0
    safe_files.dump(calibrated(cv), tmp_path / "m.skops")
    again = safe_files.load(tmp_path / "m.skops", "m").cv
    groups = GROUPS if "Group" in cls.__name__ else None
    splits = zip(again.split(X, Y, groups), cv.split(X, Y, groups), strict=True)
    for found, expected in splits:
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize(
    "cv",
    [
        KFold(4),
        KFold(4, shuffle=True, random_state=np.random.RandomState(0)),
        ShuffleSplit(1, test_size=0.4, random_state=0),
        featad.OneClassKFold(np.int64(4), random_state=0),
        [*KFold(4).split(X)],
    ],
    ids=lambda cv: type(cv).__name__,
)
def test_a_system_that_was_calibrated_by_a_splitter_is_loaded(cv, tmp_path):
    system = calibrated(cv).fit(X, Y)
    featad.save(system, tmp_path / "m.skops")
    again = featad.load(tmp_path / "m.skops")
    np.testing.assert_array_equal(again.predict(X), system.predict(X))


def test_what_could_not_be_loaded_is_refused_when_it_is_saved(tmp_path):
    system = featad.KMeansDistance(1).fit(X)
    featad.save(system, tmp_path / "m.skops")
    before = (tmp_path / "m.skops").read_bytes()
    system.words_ = Counter("abc")
    with pytest.raises(ModelFileError, match=r"collections\.Counter.* \.joblib file"):
        featad.save(system, tmp_path / "m.skops")
    assert (tmp_path / "m.skops").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_a_splitter_that_holds_a_class_is_refused_when_it_is_saved(tmp_path):
    with pytest.raises(ModelFileError, match="RepeatedKFold.*splits"):
        safe_files.dump(calibrated(RepeatedKFold()), tmp_path / "m.skops")


@pytest.mark.parametrize("value", [np.add, "file", [1], np.array(["file"])])
def test_a_splitter_with_more_than_numbers_is_refused(value, tmp_path):
    cv = KFold(4)
    cv.random_state = value
    safe_files.dump(calibrated(cv), tmp_path / "m.skops")
    with pytest.raises(ModelFileError, match="its KFold holds more than numbers"):
        safe_files.load(tmp_path / "m.skops", "m")
