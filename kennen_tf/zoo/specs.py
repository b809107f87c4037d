"""Specs of classifiers: everything that determines one, and how they are drawn.

A spec is one combination of values of the design's chosen attributes and one of 1,000
seeds, which decide initialisation, shuffling and dropout (paper, section 3, where there
are 18,144 combinations).
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kennen_tf.attributes import AttributeTable, SharedValues, Value, Values
from kennen_tf.designs.design import Design
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.seeds import derive_seed

NUM_SEEDS = 1000
# With as many, all combinations are put in an order at once.
_MOST_IN_ORDER = 1_000_000
# Draws in a row that bring nothing new, before it is said that there is no more.
_MOST_IN_VAIN = 10_000
# Combinations whose values are kept for specs to come: bounds memory, to 40 MB.
_MOST_SHARED = 1 << 16


@dataclasses.dataclass(frozen=True, slots=True)
class ClassifierSpec:
    """A combination of attribute values and a seed.

    Attributes:
        combination_index: A mixed-radix number whose least significant digit is the
            label of the first chosen attribute; 0 stands for an attribute that does not
            apply.
        seed: In [0, `NUM_SEEDS`).
        combination: Value of every attribute that is chosen freely; None where it does
            not apply.
    """

    combination_index: int
    seed: int
    combination: Values = dataclasses.field(compare=False)

    @property
    def combination_id(self) -> str:
        return f"c{self.combination_index:05d}"

    @property
    def id(self) -> str:
        """Name of the classifier in manifests, records and file names."""
        return f"{self.combination_id}-s{self.seed:03d}"

    def __getitem__(self, name: str) -> Value | None:
        return self.combination[name]

    def to_json(self) -> dict[str, Value | None]:
        return {**self.combination, "seed": self.seed}

    @classmethod
    def from_record(
        cls, name: str, values: Mapping[str, Any], shared: SharedValues
    ) -> "ClassifierSpec":
        """Makes a spec from its `id` and what `to_json` gave, without a table."""
        index, _, seed = name.partition("-")
        combination = {key: value for key, value in values.items() if key != "seed"}
        return cls(int(index[1:]), int(seed[1:]), shared.find(combination))


def make_spec(
    table: AttributeTable, combination_index: int, seed: int
) -> ClassifierSpec:
    """Makes a spec from a number of its combination.

    Numbers that differ in attributes that do not apply give the same spec.
    """
    index, values = _combine(table, combination_index)
    return ClassifierSpec(index, seed, values)


def _combine(table: AttributeTable, combination_index: int) -> tuple[int, Values]:
    """Returns the number and the values of a combination."""
    values: dict[str, Value | None] = {}
    index, radix, rest = 0, 1, combination_index
    for attribute in table.chosen:
        rest, label = divmod(rest, len(attribute.values))
        values[attribute.name] = attribute.values[label]
    for attribute in table.chosen:
        if attribute.applies and not attribute.applies(values):
            values[attribute.name] = None
        index += radix * max(attribute.label(values[attribute.name]), 0)
        radix *= len(attribute.values)
    return index, values


def read_spec(table: AttributeTable, values: Any) -> ClassifierSpec:
    """Makes a spec from one value for each chosen attribute, and a seed.

    What does not apply may have any value, or None.

    Raises:
        UserError: If a key is missing or unknown, or a value is none of the
            attribute's.
    """
    wanted = {a.name for a in table.chosen} | {"seed"}
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
    for attribute in table.chosen:
        index += radix * max(attribute.label(values[attribute.name]), 0)
        radix *= len(attribute.values)
    spec = make_spec(table, index, seed)
    for name, value in spec.combination.items():
        if value is not None and values[name] is None:
            raise UserError(
                f"Attribute '{name}' applies to this spec and must have a value. "
                f"Received: {dict(values)}."
            )
    return spec


def sample_specs(
    design: Design, num_models: int, replicas: int, root_seed: int
) -> list[ClassifierSpec]:
    """Draws specs without replacement.

    The first specs do not depend on `num_models`, so that a zoo can grow.

    Args:
        design: Of the zoo.
        num_models: How many.
        replicas: With 1, specs are drawn from all combinations x seeds. With more,
            combinations are drawn without replacement and each gets this many
            different seeds (the last one fewer if `num_models` is no multiple).
        root_seed: Root seed of the zoo.

    Raises:
        UserError: If there are not that many specs.
    """
    available = design.num_combinations * (replicas if replicas > 1 else NUM_SEEDS)
    specs = []
    if num_models <= available:
        drawn = _draw(design, replicas, root_seed)
        specs = [spec for spec, _ in zip(drawn, range(num_models), strict=False)]
    if len(specs) < num_models:
        raise UserError(
            f"--num_models must be at most {len(specs) or available} with "
            f"--replicas={replicas}. Received: num_models={num_models}."
        )
    return specs


def _draw(design: Design, replicas: int, root_seed: int) -> Iterator[ClassifierSpec]:
    """Yields different specs in an order that the root seed decides."""
    random = np.random.default_rng(derive_seed(root_seed, "specs", replicas))
    if replicas == 1:
        yield from _draw_with_seeds(design, random)
        return
    for index in _draw_combinations(design, random):
        own, values = _combine(design.attributes, index)
        for seed in random.choice(NUM_SEEDS, replicas, replace=False):
            yield ClassifierSpec(own, int(seed), values)


def _draw_with_seeds(
    design: Design, random: np.random.Generator
) -> Iterator[ClassifierSpec]:
    # Specs of one combination share its values.
    combine = functools.lru_cache(_MOST_SHARED)(
        functools.partial(_combine, design.attributes)
    )
    seen: set[ClassifierSpec] = set()
    in_vain = 0
    while in_vain < _MOST_IN_VAIN:
        if design.draw:
            seed = int(random.integers(NUM_SEEDS))
            spec = read_spec(design.attributes, {**design.draw(random), "seed": seed})
        else:
            number = int(random.integers(design.num_combinations * NUM_SEEDS))
            combination_index, seed = divmod(number, NUM_SEEDS)
            index, values = combine(combination_index)
            spec = ClassifierSpec(index, seed, values)
        if spec in seen:
            in_vain += 1
            continue
        in_vain = 0
        seen.add(spec)
        yield spec


def _draw_combinations(design: Design, random: np.random.Generator) -> Iterator[int]:
    """Yields the numbers of different combinations."""
    table = design.attributes
    if not design.draw and design.num_combinations <= _MOST_IN_ORDER:
        for index in random.permutation(design.num_combinations):
            # Of several that are the same where attributes do not apply, one.
            if make_spec(table, int(index), 0).combination_index == index:
                yield int(index)
        return
    seen: set[int] = set()
    in_vain = 0
    while in_vain < _MOST_IN_VAIN:
        if design.draw:
            spec = read_spec(table, {**design.draw(random), "seed": 0})
        else:
            spec = make_spec(table, int(random.integers(design.num_combinations)), 0)
        if spec.combination_index in seen:
            in_vain += 1
            continue
        in_vain = 0
        seen.add(spec.combination_index)
        yield spec.combination_index


def read_specs(path: str, table: AttributeTable) -> list[ClassifierSpec]:
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
            spec = read_spec(table, json.loads(line))
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


def step_key(design: Design, spec: ClassifierSpec) -> tuple[Value | None, ...]:
    """Returns what classifiers that share a compiled training step have in common."""
    return tuple(spec[name] for name in design.step_attributes)


def check_batches(
    design: Design, specs: list[ClassifierSpec], num_train_images: int
) -> None:
    """Raises `UserError` if what a classifier is trained on is less than a batch."""
    for spec in specs:
        batch_size = design.batch_size(spec.combination)
        subset = design.training_indices(spec.combination, num_train_images)
        if len(subset) < batch_size:
            raise UserError(
                f"The dataset must have more training images: {spec.id} is trained on "
                f"{len(subset)} of {num_train_images}, less than its batch of "
                f"{batch_size}. Received: {dict(spec.combination)}."
            )
