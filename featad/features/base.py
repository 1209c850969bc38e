"""What all transformers from images to features have in common."""

from numbers import Integral
from typing import Any, NoReturn

from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags

from featad.features.pooling import POOLING
from featad.machine import without_paths


class ImageFeatures(TransformerMixin, BaseEstimator):
    """Base of transformers that take images and learn nothing."""

    def _check_pooling(self) -> None:
        names = as_tuple(self.pooling)
        if not names or not set(names) <= set(POOLING):
            self._refuse("pooling", f"one or several of {tuple(POOLING)}")

    def _check_pair(self, parameter: str, expected: str) -> None:
        size = getattr(self, parameter)
        if isinstance(size, tuple | list) and not (
            len(size) == 2 and all(isinstance(n, Integral) and int(n) > 0 for n in size)
        ):
            self._refuse(parameter, expected)

    def _refuse(self, parameter: str, expected: str) -> NoReturn:
        raise ValueError(
            f"{type(self).__name__}: {parameter} should be {expected}, got "
            f"{getattr(self, parameter)!r}."
        )

    def __getstate__(self) -> dict:
        return without_paths(super().__getstate__())

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def as_tuple(value: Any) -> tuple:
    """Return a tuple or list as a tuple, anything else as the only member of one."""
    return tuple(value) if isinstance(value, tuple | list) else (value,)
