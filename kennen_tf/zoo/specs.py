"""Specs of classifiers: everything that determines one, and how they are drawn.

A spec is one of 18,144 combinations of attribute values and one of 1,000 seeds, which
decide initialisation, shuffling and dropout (paper, section 3).
"""

import dataclasses
import json
import math
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kennen_tf import attributes
from kennen_tf.attributes import Value
from kennen_tf.errors import UserError
from kennen_tf.seeds import derive_seed

NUM_COMBINATIONS = math.prod(len(a.values) for a in attributes.CHOSEN)
NUM_SEEDS = 1000

# What decides the graph of a training step, but for the optimizer.
SHAPE_ATTRIBUTES = ("act", "drop", "pool", "ks", "conv", "fc")

ShapeKey = tuple[Value, ...]
TrainerKey = tuple[ShapeKey, str]


@dataclasses.dataclass(frozen=True)
class ClassifierSpec:
    """A combination of attribute values and a seed.

    Attributes:
        combination_index: In [0, `NUM_COMBINATIONS`); a mixed-radix number whose
            least significant digit is the label of the first chosen attribute.
        seed: In [0, `NUM_SEEDS`).
    """

    combination_index: int
    seed: int

    @property
    def combination_id(self) -> str:
        return f"c{self.combination_index:05d}"

    @property
    def id(self) -> str:
        """Name of the classifier in manifests, records and file names."""
        return f"{self.combination_id}-s{self.seed:03d}"

    @property
    def combination(self) -> dict[str, Value]:
        """Value of every attribute that is chosen freely."""
        values, rest = {}, self.combination_index
        for attribute in attributes.CHOSEN:
            rest, label = divmod(rest, len(attribute.values))
            values[attribute.name] = attribute.values[label]
        return values

    def __getitem__(self, name: str) -> Value:
        return self.combination[name]

    def to_json(self) -> dict[str, Value]:
        return {**self.combination, "seed": self.seed}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ClassifierSpec":
        """Makes a spec from one value for each chosen attribute, and a seed.

        Raises:
            UserError: If a key is missing or unknown, or a value is none of the
                attribute's.
        """
        wanted = {a.name for a in attributes.CHOSEN} | {"seed"}
        if not isinstance(values, Mapping) or set(values) != wanted:
            raise UserError(
                f"A spec must have exactly the keys {sorted(wanted)}. Received: "
                f"{sorted(values) if isinstance(values, Mapping) else values!r}."
            )
        seed = values["seed"]
        if type(seed) is not int or not 0 <= seed < NUM_SEEDS:
            raise UserError(
                f"`seed` of a spec must be a whole number in [0, {NUM_SEEDS}). "
                f"Received: {seed!r}."
            )
        index, radix = 0, 1
        for attribute in attributes.CHOSEN:
            index += radix * attribute.label(values[attribute.name])
            radix *= len(attribute.values)
        return cls(index, seed)


def shape_key(spec: ClassifierSpec) -> ShapeKey:
    """Returns what classifiers of one architecture have in common."""
    combination = spec.combination
    return tuple(combination[name] for name in SHAPE_ATTRIBUTES)


def trainer_key(spec: ClassifierSpec) -> TrainerKey:
    """Returns what classifiers that share a compiled training step have in common."""
    return shape_key(spec), str(spec["alg"])


def sample_specs(
    num_models: int, replicas: int, root_seed: int
) -> list[ClassifierSpec]:
    """Draws specs without replacement.

    The first specs do not depend on `num_models`, so that a zoo can grow.

    Args:
        num_models: How many.
        replicas: With 1, specs are drawn from all combinations x seeds. With more,
            combinations are drawn without replacement and each gets this many
            different seeds (the last one fewer if `num_models` is no multiple).
        root_seed: Root seed of the zoo.

    Raises:
        UserError: If there are not that many specs.
    """
    available = NUM_COMBINATIONS * (replicas if replicas > 1 else NUM_SEEDS)
    if num_models > available:
        raise UserError(
            f"--num_models must be at most {available} with --replicas={replicas}. "
            f"Received: num_models={num_models}."
        )
    specs = _draw(replicas, root_seed)
    return [next(specs) for _ in range(num_models)]


def _draw(replicas: int, root_seed: int) -> Iterator[ClassifierSpec]:
    """Yields different specs without end, in an order that the root seed decides."""
    random = np.random.default_rng(derive_seed(root_seed, "specs", replicas))
    if replicas > 1:
        for combination_index in random.permutation(NUM_COMBINATIONS):
            for seed in random.choice(NUM_SEEDS, replicas, replace=False):
                yield ClassifierSpec(int(combination_index), int(seed))
    seen = set()
    while True:
        number = int(random.integers(NUM_COMBINATIONS * NUM_SEEDS))
        if number not in seen:
            seen.add(number)
            yield ClassifierSpec(*divmod(number, NUM_SEEDS))


def read_specs(path: str) -> list[ClassifierSpec]:
    """Reads a JSON-lines file with one spec a line.

    Raises:
        UserError: If the file is missing or empty, or a line is no spec, with the
            line's number, or two lines are the same spec.
    """
    try:
        lines = pathlib.Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"--specs must be a JSON-lines file. Received: {path} ({error})."
        ) from error
    specs: dict[ClassifierSpec, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            spec = ClassifierSpec.from_json(json.loads(line))
        except ValueError as error:
            raise UserError(f"{path}, line {number}: {error}") from error
        if spec in specs:
            raise UserError(
                f"{path}: lines {specs[spec]} and {number} are the same spec."
            )
        specs[spec] = number
    if not specs:
        raise UserError(f"{path} must hold at least one spec. Received: none.")
    return list(specs)


def check_num_images(num_train_images: int) -> None:
    """Raises `UserError` if the smallest data subset holds less than a batch."""
    batch_size = max(attributes.by_name("bs").values)
    num_wanted = 4 * int(batch_size)  # Quarters are the smallest subsets.
    if num_train_images < num_wanted:
        raise UserError(
            f"The dataset must have at least {num_wanted} training images, so that a "
            f"quarter holds a batch of {batch_size}. Received: {num_train_images}."
        )
