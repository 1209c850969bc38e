"""Samples and their mirror images: cut into halves, and put together again."""

import torch
from torch import Tensor
from torch.nn import functional as F


class Mirror:
    """Samples, each divided by the line beside which it is most symmetric.

    A sample is moved within a wider frame, with its edges repeated, so that its line of
    symmetry is the middle of the frame. The middle column of an odd width belongs to
    both halves.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width) or (n, n_features)
        The last features of a table, from the end, mirror the first.

    axis : {"vertical", "horizontal"}, default="vertical"
        Direction of the line in images.

    max_shift : int, default=0
        How many pixels the line may lie beside the middle.

    Attributes
    ----------
    shift : Tensor of shape (n,), int
        How far each line lies beside the middle: negative to the left, or above.

    Examples
    --------
    >>> import torch
    >>> from featad.neural.mirror import Mirror
    >>> mirror = Mirror(torch.tensor([[0.0, 2.0, 2.0, 0.0, 0.0, 0.0]]), max_shift=1)
    >>> mirror.shift
    tensor([-1])
    >>> given, target = mirror.halves()
    >>> target - given  # no difference: the sample is symmetric once it is moved
    tensor([[0., 0., 0., 0.],
            [0., 0., 0., 0.]])
    """

    def __init__(self, x: Tensor, *, axis: str = "vertical", max_shift: int = 0):
        self._turned = axis == "horizontal" and x.ndim == 4
        self._max_shift = max_shift
        upright = x.mT if self._turned else x
        self._width = upright.shape[-1]
        self._framed, self._start = _framed(upright, max_shift)
        self.shift = self._start - max_shift

    def halves(self) -> tuple[Tensor, Tensor]:
        """Return both halves of all samples and, in that order, their counterparts.

        Returns
        -------
        given : Tensor of shape (2 * n, ..., n_columns)
            The first halves, then the second ones, mirrored.

        target : Tensor of shape (2 * n, ..., n_columns)
            The reverse: what a half is guessed from, and what is to be guessed.
        """
        x = self._framed
        n_columns = -(-x.shape[-1] // 2)
        first, second = x[..., :n_columns], x.flip(-1)[..., :n_columns]
        return torch.cat([first, second]), torch.cat([second, first])

    def map_back(self, errors: Tensor) -> Tensor:
        """Return maps of the samples, put together from those of their halves.

        Parameters
        ----------
        errors : Tensor of shape (2 * n, height, n_columns) or (2 * n, n_columns)
            Of the targets, in the order of :meth:`halves`.

        Returns
        -------
        maps : Tensor of shape (n, height, width) or (n, n_features)
        """
        size = self._framed.shape[-1]
        second, first = errors.chunk(2)
        n_more = size - first.shape[-1]
        glued = F.pad(first, (0, n_more)) + F.pad(second.flip(-1), (n_more, 0))
        if size % 2:
            glued[..., n_more] /= 2  # the middle column is part of both
        places = glued.unfold(-1, self._width, 1).movedim(-2, 1)  # (n, n_places, ...)
        rows = torch.arange(len(glued), device=glued.device)
        found = places[rows, 2 * self._max_shift - self._start]
        return found.mT if self._turned else found


def _framed(x, max_shift):
    """Return samples in a wider frame, moved so that each is most symmetric there.

    (n, ..., width) to (n, ..., width + 2 * max_shift), and for each sample the start of
    that frame within the widest one, (n,).
    """
    margin, size = 2 * max_shift, x.shape[-1] + 2 * max_shift
    rows = x.reshape(len(x), -1, x.shape[-1])
    frames = F.pad(rows, (margin, margin), mode="replicate").unfold(2, size, 1)
    frames = frames.transpose(1, 2)  # (n, 2 * max_shift + 1, rows, size)
    nearest = sorted(range(margin + 1), key=lambda start: abs(start - max_shift))
    order = torch.tensor(nearest, device=x.device)  # of equal ones, the nearest wins
    asymmetry = (frames - frames.flip(-1)).abs().mean(dim=(2, 3))
    start = order[asymmetry[:, order].argmin(dim=1)]
    chosen = frames[torch.arange(len(x), device=x.device), start]
    return chosen.view(*x.shape[:-1], size), start
