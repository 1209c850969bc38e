"""Covariances of the positions of maps, shrunk toward what all positions share."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from featad._blocks import row_blocks
from featad._progress import tracked
from featad.covariance import ShrunkCovariance, shrunk_covariance


class Position(NamedTuple):
    """What whitens the features of a position.

    Attributes
    ----------
    patches : ndarray of shape (n_samples, n_features)
        Those of the training maps, turned.

    turn : ndarray of shape (n_features, n_features)
        What features are multiplied by first.

    covariance : ShrunkCovariance
        Of the turned patches.
    """

    patches: np.ndarray
    turn: np.ndarray
    covariance: ShrunkCovariance

    @property
    def root(self) -> np.ndarray:
        """What whitens centered features, (n_features, n_features)."""
        unit = np.eye(len(self.turn))
        return self.turn @ self.covariance.whiten(unit + self.covariance.location)


def position_covariances(
    groups: np.ndarray, location: np.ndarray, floor: float, *, pooled: bool
) -> Iterator[Position]:
    """Yield the covariance of each position, shrunk.

    Parameters
    ----------
    groups : ndarray of shape (n_positions, n_samples, n_features)
        The features of the training maps.

    location : ndarray of shape (n_positions, n_features)
        Their means.

    floor : float
        What is added to the variance of every feature.

    pooled : bool
        Whether covariances are shrunk toward the mean of all positions' covariances, as
        if it were known from n_features more samples; otherwise, and for one position,
        toward the identity, as Ledoit and Wolf do.
    """
    n_positions, n_samples, n_features = groups.shape
    turn, weight = np.eye(n_features), None
    if pooled and n_positions > 1:
        target = _pooled(groups, location) + floor * turn
        turn, weight = _inverse_root(target), n_features / (n_samples + n_features)
    for patches in tracked(groups, "position", n_positions):
        if weight is None:
            yield Position(
                patches, turn, _with_floor(shrunk_covariance(patches), floor)
            )
        else:
            turned = patches @ turn  # to where the target is the identity
            yield Position(turned, turn, _with_identity(turned, weight))


def moments(
    X: np.ndarray, axis: int | tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance along axes of maps, exact where nothing varies."""
    low, high = X.min(axis=axis), X.max(axis=axis)
    location = np.where(low == high, low, X.mean(axis=axis, dtype=np.float64))
    total = np.zeros(location.shape)
    for rows in row_blocks(len(X), X[0].size):
        total += ((X[rows] - location) ** 2).sum(axis=axis)
    return location, total * (location.size / X.size)


def _pooled(groups: np.ndarray, location: np.ndarray) -> np.ndarray:
    """Return the mean covariance of positions, (n_features, n_features)."""
    n_features = groups.shape[-1]
    products = np.zeros((n_features, n_features))
    for rows in row_blocks(len(groups), groups[0].size):
        away = (groups[rows] - location[rows, None]).reshape(-1, n_features)
        products += away.T @ away
    return products * (n_features / groups.size)


def _inverse_root(covariance: np.ndarray) -> np.ndarray:
    """Return the symmetric inverse root; 0 along axes without any variance."""
    values, axes = np.linalg.eigh(covariance)
    rounding = len(values) * np.finfo(np.float64).eps * values[-1]
    return (axes * np.sqrt(inverse(values - rounding))) @ axes.T


def _with_identity(X: np.ndarray, weight: float) -> ShrunkCovariance:
    """Return the covariance of samples, averaged with the identity of that weight."""
    location = X.mean(axis=0)
    values, axes = np.linalg.eigh((X - location).T @ (X - location) / len(X))
    values = (1 - weight) * np.maximum(values[::-1], 0) + weight
    return ShrunkCovariance(location, axes.T[::-1], values, weight, weight)


def _with_floor(covariance: ShrunkCovariance, floor: float) -> ShrunkCovariance:
    """Return the covariance with ``floor`` added to the variance of every feature."""
    return replace(
        covariance,
        variances=covariance.variances + floor,
        residual_variance=covariance.residual_variance + floor,
    )


def inverse(variance: np.ndarray) -> np.ndarray:
    """Return 1 / variance, and 0 where there is none."""
    kept = variance > 0
    return np.divide(1.0, variance, out=np.zeros_like(variance), where=kept)
