"""What a metamodel knows of its limits, at each of a few levels of precision.

Answers with few decimals do not tell small probabilities apart. So a metamodel reads
them at the level that fits: a floor is added to probabilities, in training too, that is
so high that rounding hardly moves their logarithm. Each level has a reader of its own,
and knows which values it can rule out, and how strange its zoo's classifiers are to it.

    limits.json   the levels: resolution, floor, thresholds of every attribute
    novelty.npz   arrays of `Novelty`, each with the number of its level before it
"""

import dataclasses
import pathlib
import zipfile
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kennen_tf.evaluation.novelty import Novelty
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

SCHEMA_VERSION = 1
KIND = "limits"
LIMITS_NAME, NOVELTY_NAME = "limits.json", "novelty.npz"
_MAKE_WITH = "python -m kennen_tf.train_metamodel"

# Resolution, and the floor for answers that are no coarser. Chosen on combinations left
# out of 448 entries of digits_net and 216 of mnist_net (five epochs), kernel recipe: of
# the values named at a level, as many stay the same with answers rounded to its
# resolution: 98 to 99%, 99, 98 to 99.7 and (3 decimals) 96 to 99. One floor for all
# would cost 4 to 6 points of accuracy at full precision.
FULL = (0.0, 0.0)
COARSE = ((1e-6, 1e-6), (1e-5, 1e-4), (1e-4, 1e-3), (1e-2, 1e-2))
# What is finer is float32 or, from 6e-8 on, float16, and read in full: with float16, as
# many values stay the same as with a floor or more, and more of them are right.
_FINEST = 1e-7


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What is known at one level.

    Attributes:
        resolution: Coarsest step between answers that the level is for; 0: full
            precision. The last level is for all that are coarser, too.
        floor: Added to probabilities.
        thresholds: Of each attribute, the probability of each value, `(values,)`, below
            which it is ruled out; see `conformal.find_thresholds`.
        novelty: How strange answers are; None if that is not known.
    """

    resolution: float
    floor: float
    thresholds: dict[str, tuple[float, ...]]
    novelty: Novelty | None


# The levels themselves, of which nothing is known yet: for the choice between them.
LEVELS = tuple(
    Limits(resolution=resolution, floor=floor, thresholds={}, novelty=None)
    for resolution, floor in (FULL, *COARSE)
)


def coarsen(
    log_probabilities: npt.NDArray[np.floating], floor: float
) -> npt.NDArray[np.floating]:
    """Adds a floor to probabilities whose logarithms these are."""
    return np.log(np.exp(log_probabilities) + floor) if floor else log_probabilities


def choose(levels: Sequence[Limits], resolution: float) -> int:
    """Returns the place of the level for answers of a resolution.

    Args:
        levels: One or more, the finest first.
        resolution: Step between neighbouring answers, e.g. 1e-4 for 4 decimals; 0 for
            those of full precision.
    """
    if resolution <= _FINEST:
        return 0
    # A step of 1e-4 may be computed as a little more.
    fitting = [i for i, own in enumerate(levels) if own.resolution * 1.01 >= resolution]
    return fitting[0] if fitting else len(levels) - 1


def save(folder: pathlib.Path, levels: Sequence[Limits]) -> None:
    """Writes the files of a folder."""
    rows = [
        {
            "resolution": own.resolution,
            "floor": own.floor,
            "thresholds": {n: list(values) for n, values in own.thresholds.items()},
        }
        for own in levels
    ]
    arrays = {
        f"{place}.{name}": array
        for place, own in enumerate(levels)
        if own.novelty is not None
        for name, array in own.novelty.to_arrays().items()
    }
    with artifacts.atomic_path(folder / NOVELTY_NAME) as temporary:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
    document = {"kind": KIND, "schema_version": SCHEMA_VERSION, "levels": rows}
    artifacts.write_json(folder / LIMITS_NAME, document)


def load(folder: pathlib.Path) -> tuple[Limits, ...]:
    """Reads what `save` wrote, the finest first; nothing of before it was written.

    Raises:
        UserError: If it is damaged or of another version.
    """
    path = folder / LIMITS_NAME
    if not path.exists():
        return ()
    document = artifacts.read_json(path, wanted=KIND, make_with=_MAKE_WITH)
    artifacts.check_schema(document, SCHEMA_VERSION, path)
    try:
        # NumPy leaves what it cannot read open, if it opens it.
        with (
            open(folder / NOVELTY_NAME, "rb") as file,
            np.load(file, allow_pickle=False) as stored,
        ):
            arrays: dict[str, dict[str, npt.NDArray[np.floating]]] = {}
            for key in stored.files:
                place, _, name = key.partition(".")
                arrays.setdefault(place, {})[name] = stored[key]
        return tuple(
            Limits(
                resolution=row["resolution"],
                floor=row["floor"],
                thresholds={n: tuple(v) for n, v in row["thresholds"].items()},
                novelty=Novelty.from_arrays(arrays[str(place)])
                if str(place) in arrays
                else None,
            )
            for place, row in enumerate(document["levels"])
        )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{folder / NOVELTY_NAME} is missing or damaged. Train the metamodel, or "
            "export it, again."
        ) from error
