"""Ridge regressions on how alike entries are: many targets, one factorisation.

The regression is on kernel functions around some of the entries, the landmarks: around
all of them, it is a kernel ridge regression; around some, its Nystroem approximation,
whose cost grows with the number of entries, and not with its cube. Either way, what it
would answer entries of a combination that had been left out has a closed form.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy import linalg

from kennen_tf.vocabulary.seeds import derive_seed

# Where entries answer alike, what is factorised is singular but for this share.
_JITTER = 1e-10
# Entries whose rows are in float64 at once.
_ROWS = 2000
# An entry that is no landmark.
_NONE = -1

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.integer]


def choose_landmarks(num_entries: int, most: int) -> Places:
    """Returns the places of all entries, or of as many as may be, drawn at random."""
    if num_entries <= most:
        return np.arange(num_entries)
    random = np.random.default_rng(derive_seed(0, "landmarks"))
    return np.sort(random.choice(num_entries, most, replace=False))


def solve(
    kernel: npt.NDArray[np.float32],
    landmarks: Places,
    known: Places,
    ridge: float,
    targets: Array,
    combinations: Places,
) -> tuple[Array, Array]:
    """Solves for how much landmarks weigh, and for answers to those left out.

    Args:
        kernel: How alike each entry and each landmark are, `(entries, landmarks)`; an
            entry and itself are 1.
        landmarks: Places of the landmarks among the entries.
        known: Places of the entries that have targets, at least one; sorted.
        ridge: Strength of the regularisation.
        targets: `(known, columns)`.
        combinations: Of those entries, `(known,)`; entries of one are left out
            together, and so are landmarks among them. The others' targets stay.

    Returns:
        Weights, `(landmarks, columns)`, and what entries of combinations left out are
        answered, `(known, columns)`.
    """
    groups = _group(combinations)
    if len(landmarks) < len(kernel):
        is_known = np.isin(landmarks, known)
        landmark_of = np.full(len(known), _NONE)
        landmark_of[np.searchsorted(known, landmarks[is_known])] = np.flatnonzero(
            is_known
        )
        return _solve_some(
            kernel if len(known) == len(kernel) else kernel[known],
            kernel[landmarks].astype(np.float64),
            landmark_of,
            ridge,
            targets,
            groups,
        )
    # Landmarks without a target would weigh nothing.
    own = kernel[np.ix_(known, known)].astype(np.float64)
    weights = np.zeros((len(kernel), targets.shape[1]))
    weights[known], left_out = _solve_all(own, ridge, targets, groups)
    return weights, left_out


def _group(
    combinations: Places,
) -> Sequence[Places]:
    """Returns the places of each combination's entries."""
    _, counts = np.unique(combinations, return_counts=True)
    return np.split(np.argsort(combinations, kind="stable"), np.cumsum(counts)[:-1])


def _solve_all(
    kernel: Array,
    ridge: float,
    targets: Array,
    groups: Sequence[Places],
) -> tuple[Array, Array]:
    """Regresses on all entries; the kernel's memory becomes the factor's."""
    kernel[np.diag_indices_from(kernel)] += ridge
    # The transpose is what LAPACK takes without a copy; a kernel is its own.
    factor, _ = linalg.lapack.dpotrf(kernel.T, lower=1, clean=1, overwrite_a=1)
    weights = linalg.cho_solve((factor, True), targets, check_finite=False)
    root, _ = linalg.lapack.dtrtri(factor, lower=1, overwrite_c=1)
    left_out = targets.copy()
    for own in groups:
        # The inverse of the kernel is the root's transpose times the root.
        columns = root[own.min() :, own]
        left_out[own] -= np.linalg.solve(columns.T @ columns, weights[own])
    return weights, left_out


def _solve_some(
    kernel: npt.NDArray[np.float32],
    among: Array,
    landmark_of: Places,
    ridge: float,
    targets: Array,
    groups: Sequence[Places],
) -> tuple[Array, Array]:
    """Regresses on landmarks.

    Args:
        kernel: `(known, landmarks)`.
        among: How alike landmarks are to each other, `(landmarks, landmarks)`.
        landmark_of: Which landmark each entry is, or `_NONE`, `(known,)`.
        ridge: Strength of the regularisation.
        targets: `(known, columns)`.
        groups: Places of entries that are left out together.
    """
    gram = ridge * among
    moments = np.zeros((len(among), targets.shape[1]))
    for part in _divide(groups):
        places = np.concatenate(part)
        rows = kernel[places].astype(np.float64)
        gram += rows.T @ rows
        moments += rows.T @ targets[places]
    gram[np.diag_indices_from(gram)] *= 1 + _JITTER
    factor, _ = linalg.lapack.dpotrf(gram.T, lower=1, clean=1, overwrite_a=1)
    weights = linalg.cho_solve((factor, True), moments, check_finite=False)
    root, _ = linalg.lapack.dtrtri(factor, lower=1, overwrite_c=1)
    left_out = np.empty_like(targets)
    for part in _divide(groups):
        places = np.concatenate(part)
        columns = root @ kernel[places].astype(np.float64).T
        ends = np.cumsum([len(own) for own in part])
        for own, end in zip(part, ends, strict=True):
            its_landmarks = landmark_of[own]
            its_landmarks = its_landmarks[its_landmarks != _NONE]
            left_out[own] = _leave_out(
                columns[:, end - len(own) : end],
                root[:, its_landmarks],
                kernel[own] @ weights,
                weights[its_landmarks],
                targets[own],
            )
    return weights, left_out


def _leave_out(
    columns: Array,
    landmarks: Array,
    answers: Array,
    weights: Array,
    targets: Array,
) -> Array:
    """Returns what entries are answered without them and their landmarks.

    With A for what was factorised, R for the inverse of its factor, A^-1 = R'R, and k
    for the entries' rows of the kernel, A - k'k is what is factorised without the
    entries (Woodbury). Without a landmark, its weight is held at 0.

    Args:
        columns: R k', `(all landmarks, entries)`.
        landmarks: R's columns of the entries' landmarks, `(all landmarks, some)`.
        answers: With them, `(entries, columns)`.
        weights: Of their landmarks, `(some, columns)`.
        targets: `(entries, columns)`.
    """
    others = np.eye(len(targets)) - columns.T @ columns
    misses = np.linalg.solve(others, targets - answers)
    if not len(weights):
        return targets - misses
    between = columns.T @ landmarks
    spread = np.linalg.solve(others, between)
    held = landmarks.T @ landmarks + between.T @ spread
    excess = np.linalg.solve(held, weights - between.T @ misses)
    return targets - misses - spread @ excess


def _divide(groups: Sequence[Places]) -> Iterator[Sequence[Places]]:
    """Yields groups, of about `_ROWS` entries in all at a time."""
    before = np.cumsum([len(own) for own in groups]) - len(groups[0])
    _, starts = np.unique(before // _ROWS, return_index=True)
    for start, end in itertools.pairwise([*starts, len(groups)]):
        yield groups[start:end]
