"""What a design of a zoo says, and how one is found by its name.

A design is a page of Python: the attributes that classifiers differ in, the images that
they see, and functions from the values of the chosen attributes to a classifier and its
training. `mnist_net.py` is the paper's; an own one is named "module:NAME".
"""

import dataclasses
import functools
import importlib
import math
import pathlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import AttributeTable, Values
from kennen_tf.configs.zoo import DESIGNS
from kennen_tf.machine import startup
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.labeled_images import LabeledImages

if TYPE_CHECKING:
    import keras

# Parts that are functions, and what else they may be.
_PARTS: dict[str, tuple[type, ...]] = {
    "images": (str,),
    "build": (),
    "optimizer": (),
    "batch_size": (),
    "epochs": (int,),
    "subset": (type(None),),
    "draw": (type(None),),
}
_KINDS = {str: "a dataset's name", int: "a whole number", type(None): "None"}

# Returns the seed of one named use, e.g. seed("kernel", "conv0").
SeedOf = Callable[..., int]


def _make_adam(values: Values) -> "keras.optimizers.Optimizer":
    import keras

    return keras.optimizers.Adam()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Design:
    """How the classifiers of a zoo differ, and how one is made.

    All functions take `values`: the value of each chosen attribute by its name, None
    where it does not apply.

    Attributes:
        attributes: What is varied, and what follows from it.
        images: Name of a dataset, as `--dataset` takes it, or a function that returns
            `LabeledImages`.
        build: From `values` and `seed`, a function from names to seeds, to an untrained
            Keras model: from images, float32 `(batch, height, width, channels)` in
            [0, 1], to logits `(batch, classes)`. Seeds for initial weights and dropout
            come from `seed("a name")`; layers that get none are seeded in the order in
            which they are made. Either way a classifier has its own.
        step_attributes: Names of the chosen attributes that decide layers, shapes or
            the optimizer: classifiers that agree in them share a compiled step.
        optimizer: Makes a Keras optimizer; by default Adam with Keras' settings.
        batch_size: Images of a step.
        epochs: Passes over the training images, or a function of `values`.
        subset: From `values` and the number of training images to the positions of
            those that a classifier is trained on, int32; None: all.
        min_accuracy: Validation accuracy, in [0, 1], below which a classifier is
            rejected, if `--min_accuracy` does not say.
        gives_up: Whether a training at chance after an epoch ends there: it saves time
            where an epoch has hundreds of steps.
        draw: From a NumPy generator to `values`; None: each value of each attribute is
            as likely.
        ensembles: Whether classifiers that agree in all but the seed form ensembles.
        takes_bfloat16: Whether layers compute in bfloat16 where a processor is fast at
            it; weights and the softmax are float32 always.
        name: What `--design` calls it.
    """

    attributes: AttributeTable
    images: str | Callable[[], LabeledImages]
    build: "Callable[[Values, SeedOf], keras.Model]"
    step_attributes: tuple[str, ...]
    optimizer: "Callable[[Values], keras.optimizers.Optimizer]" = _make_adam
    batch_size: Callable[[Values], int] = lambda values: 64
    epochs: int | Callable[[Values], int] = 10
    subset: Callable[[Values, int], npt.NDArray[np.int32]] | None = None
    min_accuracy: float = 0.0
    gives_up: bool = False
    draw: Callable[[np.random.Generator], Values] | None = None
    ensembles: bool = False
    takes_bfloat16: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        table = self.attributes
        if not isinstance(table, AttributeTable):
            object.__setattr__(self, "attributes", AttributeTable(table))
        object.__setattr__(self, "step_attributes", tuple(self.step_attributes))
        known = [attribute.name for attribute in self.attributes.chosen]
        unknown = [name for name in self.step_attributes if name not in known]
        if unknown or not known:
            raise UserError(
                "`step_attributes` of a design must be some of its chosen attributes, "
                f"{known}. Received: {unknown or 'no chosen attribute'}."
            )
        for part, others in _PARTS.items():
            value = getattr(self, part)
            if not (callable(value) or type(value) in others):
                raise UserError(
                    f"`{part}` of a design must be a function"
                    + "".join(f" or {_KINDS[other]}" for other in others)
                    + f". Received: {value!r}."
                )
        if isinstance(self.epochs, int) and self.epochs < 1:
            raise UserError(
                f"`epochs` of a design must be at least 1. Received: {self.epochs}."
            )

    @functools.cached_property
    def num_combinations(self) -> int:
        """Number of combinations of values, those that do not apply included."""
        return math.prod(len(a.values) for a in self.attributes.chosen)

    def num_epochs(self, values: Values) -> int:
        """Returns the design's own number of passes over the training images."""
        return self.epochs(values) if callable(self.epochs) else self.epochs

    def training_indices(
        self, values: Values, num_images: int
    ) -> npt.NDArray[np.int32]:
        """Returns the positions of the images that a classifier is trained on."""
        if self.subset is None:
            return np.arange(num_images, dtype=np.int32)
        return self.subset(values, num_images)


# Where designs written for version 0.1 find what they import; their zoos still open.
_MOVED = {
    "kennen_tf.labeled_images": "kennen_tf.vocabulary.labeled_images",
    "kennen_tf.seeds": "kennen_tf.vocabulary.seeds",
    "pipelines.images": "kennen_tf.images.datasets",
}


def load_design(name: str) -> Design:
    """Returns a design by its name.

    Args:
        name: One of `DESIGNS`, or "module:NAME"; modules of the current folder are
            found.

    Raises:
        UserError: If there is none.
    """
    module_name, colon, variable = name.partition(":")
    if not colon and name not in DESIGNS:
        raise UserError(
            f"--design must be one of {', '.join(DESIGNS)}, or module:NAME for one of "
            f"your own. Received: design={name!r}."
        )
    if not colon:
        module_name, variable = f"kennen_tf.designs.{name}", "DESIGN"
    folder = str(pathlib.Path.cwd())
    if colon:
        # Most import Keras; what it says at its start would stand above the bar.
        startup.import_tensorflow()
        for old, new in _MOVED.items():
            sys.modules.setdefault(old, importlib.import_module(new))
        if folder not in sys.path:
            sys.path.insert(0, folder)
    try:
        found: Any = getattr(importlib.import_module(module_name), variable)
    except Exception as error:  # A module of the user's may raise anything.
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise UserError(
            f"--design must name a variable of a module that can be imported, as "
            f"module:NAME. Received: design={name!r} ({reason})."
        ) from error
    if not isinstance(found, Design):
        raise UserError(
            f"--design must name a `Design` (kennen_tf.designs.design). Received: "
            f"design={name!r}, a {type(found).__name__}."
        )
    return dataclasses.replace(found, name=name)
