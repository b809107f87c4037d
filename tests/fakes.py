"""Zoos, query outputs and digits made up for tests, controls and benchmarks."""

import dataclasses
import functools
import gzip
import itertools
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np

from kennen_tf.attributes import AttributeTable, Facts
from kennen_tf.configs.queries import QueryConfig
from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.designs import building, mnist_net, mnist_table
from kennen_tf.designs.mnist_net import NUM_CLASSES
from kennen_tf.keras_models import saving
from kennen_tf.queries import output_folder, writing
from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.query_zoo import query_zoo
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.artifacts import Path
from kennen_tf.vocabulary.labeled_images import LabeledImages
from kennen_tf.zoo import specs as specs_lib
from kennen_tf.zoo import store
from kennen_tf.zoo.entries import QueriedEntry
from kennen_tf.zoo.specs import ClassifierSpec
from pipelines.query_outputs import load_arrays

TABLE = mnist_table.TABLE
NUM_COMBINATIONS = mnist_net.DESIGN.num_combinations


# The attributes that decide layers and shapes.
LAYERS = ("act", "drop", "pool", "ks", "conv", "fc")
# Of one classifier of mnist_net.
SPEC = {
    "act": "relu",
    "drop": "no",
    "pool": "yes",
    "ks": 3,
    "conv": 2,
    "fc": 2,
    "alg": "adam",
    "bs": 64,
    "split": "half1",
    "seed": 3,
}


def read_spec(values: Mapping) -> ClassifierSpec:
    """Makes a spec of the paper's design from its values."""
    return specs_lib.read_spec(TABLE, values)


def spec_at(combination_index: int, seed: int) -> ClassifierSpec:
    """Makes a spec of the paper's design from its number."""
    return specs_lib.make_spec(TABLE, combination_index, seed)


def build_classifier(spec: ClassifierSpec, compute_dtype="float32") -> keras.Model:
    """Builds an untrained classifier of the paper's design."""
    if compute_dtype == "float32":
        return building.build_classifier(mnist_net.DESIGN, spec.combination)
    return building.build_logits(
        mnist_net.DESIGN, spec.combination, building.no_seed, compute_dtype
    )


def make_entry(members: Sequence[ClassifierSpec], num_params: int) -> QueriedEntry:
    """Makes an entry of classifiers with `num_params` parameters each."""
    facts = Facts(
        combination=members[0].combination,
        num_params=num_params * len(members),
        num_members=len(members),
    )
    return QueriedEntry(
        id=f"{members[0].combination_id}-"
        + "+".join(f"s{spec.seed:03d}" for spec in members),
        combination_id=members[0].combination_id,
        members=tuple(spec.id for spec in members),
        accuracy=0.98,
        values=TABLE.complete(facts),
    )


def make_entries(num_entries: int, seed: int = 0) -> list[QueriedEntry]:
    """Makes entries of random combinations: two classifiers and their ensemble each.

    Parameters are made up, so that every attribute takes all its values.
    """
    random = np.random.default_rng(seed)
    entries = []
    while len(entries) < num_entries:
        index = int(random.integers(NUM_COMBINATIONS))
        seeds = sorted(random.choice(1000, 2, replace=False))
        specs = [spec_at(index, int(s)) for s in seeds]
        num_params = int(2 ** random.uniform(14, 21))
        for members in ([specs[0]], [specs[1]], specs):
            entries.append(make_entry(members, num_params))
    unique = {entry.id: entry for entry in entries[:num_entries]}
    if len(unique) < num_entries:
        return make_entries(num_entries, seed + 1)
    return list(unique.values())


def make_probabilities(
    entry: QueriedEntry,
    num_queries: int,
    *,
    planted: bool,
    seed: int = 0,
    share: float = 0.5,
) -> np.ndarray:
    """Makes outputs, float32 `(num_queries, 10)`.

    Args:
        entry: Whose they are.
        num_queries: How many.
        planted: If true, query i puts a share of the probability on the label of
            attribute i (modulo their number), so that likeliest labels alone betray
            all attributes. If false, the outputs tell nothing.
        seed: Decides the noise.
        share: At least a half. With 1, no noise is left in the other labels.
    """
    name = [ord(character) for character in entry.id]
    random = np.random.default_rng([seed, *name])
    noise = random.dirichlet(np.ones(NUM_CLASSES), num_queries)
    if not planted:
        return noise.astype(np.float32)
    labels = itertools.cycle(TABLE.labels(entry.values).values())
    columns = list(itertools.islice(labels, num_queries))
    planted_label = np.eye(NUM_CLASSES)[columns]
    return (share * planted_label + (1 - share) * noise).astype(np.float32)


def make_arrays(
    entries: Sequence[QueriedEntry], num_queries: int, *, planted: bool
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Makes log-probabilities `(entries, num_queries, 10)`, and labels of the entries.

    Outputs are those of `make_probabilities`.
    """
    x = [make_probabilities(entry, num_queries, planted=planted) for entry in entries]
    labels = {
        name: np.array([TABLE.labels(e.values)[name] for e in entries], np.int32)
        for name in TABLE.names
    }
    return np.log(np.maximum(np.stack(x), 1e-10)), labels


def make_query_inputs(num_queries: int, seed: int = 0) -> QueryInputs:
    """Makes query images of noise."""
    random = np.random.default_rng(seed)
    return QueryInputs(
        images=random.integers(0, 256, (num_queries, 28, 28, 1), np.uint8),
        labels=random.integers(0, NUM_CLASSES, num_queries, np.int32),
        indices=np.arange(num_queries, dtype=np.int32),
    )


def write_query_outputs(
    query_dir: Path,
    num_entries: int,
    num_queries: int,
    *,
    planted: bool,
    seed: int = 0,
    num_shards: int = 4,
    share: float = 0.5,
    shuffled: bool = False,
    table: AttributeTable = TABLE,
    is_half: bool = False,
) -> list[QueriedEntry]:
    """Writes whole query outputs without a zoo, as query_zoo would.

    A `table` of fewer attributes makes smaller networks, which compile sooner.

    With `shuffled`, each entry has the outputs of another one, drawn at random: labels
    shuffled over classifiers, so that what is planted tells nothing.

    Returns:
        The entries, sorted by id.
    """
    config = QueryConfig(
        zoo_dir="made-up",
        query_dir=str(query_dir),
        num_queries=num_queries,
        num_shards=num_shards,
        overwrite=True,
    )
    entries = make_entries(num_entries, seed)
    order = np.random.default_rng(seed).permutation(num_entries)
    sources = {
        entry.id: entries[order[place]] if shuffled else entry
        for place, entry in enumerate(entries)
    }
    with output_folder.work_folder(query_dir) as work:
        writing.write(
            work,
            config,
            make_query_inputs(num_queries, seed),
            table,
            NUM_CLASSES,
            entries,
            lambda entry: make_probabilities(
                sources[entry.id], num_queries, planted=planted, seed=seed, share=share
            ),
            zoo_fingerprint=f"made up {num_entries} {planted} {seed}",
            is_half=is_half,
        )
    return sorted(entries, key=lambda entry: entry.id)


def make_small_specs(num_combinations: int, seed: int = 0) -> list[ClassifierSpec]:
    """Makes specs of a small shape, two seeds of each combination.

    Dropout, optimizer, batch size and data vary; the rest does not.
    """
    random = np.random.default_rng(seed)
    small = {"act": "relu", "pool": "yes", "ks": 3, "conv": 2, "fc": 2}
    specs: dict[int, list[ClassifierSpec]] = {}
    while len(specs) < num_combinations:
        values = {a.name: random.choice(len(a.values)) for a in TABLE.chosen}
        chosen = {a.name: a.values[values[a.name]] for a in TABLE.chosen}
        pair = [read_spec({**chosen, **small, "seed": number}) for number in (1, 2)]
        specs[pair[0].combination_index] = pair
    return [spec for pair in specs.values() for spec in pair]


def make_zoo(
    zoo_dir: Path,
    specs: Iterable[ClassifierSpec],
    dataset: str = "mnist",
    biases: Mapping[ClassifierSpec, np.ndarray] | None = None,
) -> store.Zoo:
    """Makes a whole zoo of accepted classifiers with random weights, untrained."""
    config = ZooConfig(
        num_models=10_000,
        zoo_dir=str(zoo_dir),
        dataset=dataset,
        epochs=1,
        compute_dtype="float32",
        min_accuracy=0.0,
    )
    artifacts.make_folder(zoo_dir)
    store.prepare(make_header(config))
    for spec in specs:
        add_classifier(zoo_dir, spec, bias=(biases or {}).get(spec))
    return store.Zoo.open(zoo_dir)


def make_header(config: ZooConfig, table: AttributeTable = TABLE) -> store.ZooHeader:
    """Makes the header of a zoo of the paper's design."""
    return store.ZooHeader(
        config=config,
        attributes=table,
        image_shape=mnist_net.IMAGE_SHAPE,
        num_classes=NUM_CLASSES,
    )


def make_betraying_zoo(
    folder: Path,
    shuffled: bool = False,
    num_combinations: int = 30,
    names: Sequence[str] = TABLE.names,
) -> pathlib.Path:
    """Makes a zoo where each classifier's favourite digit betrays its optimizer.

    Digits 4 to 6, not 0 to 2: what a digit means has to be learned. With `shuffled`, it
    is the optimizer of another one, drawn at random.

    Returns:
        The folder, with the zoo in "zoo" and answers to 12 queries in "q", with the
        attributes `names` alone: fewer heads compile sooner.
    """
    specs = make_small_specs(num_combinations)
    order = np.arange(len(specs))
    if shuffled:
        order = np.random.default_rng(0).permutation(len(specs))
    alg = TABLE["alg"]
    biases = {
        spec: 2.0 * np.eye(10)[4 + alg.label(specs[other]["alg"])]
        for spec, other in zip(specs, order, strict=True)
    }
    folder = pathlib.Path(folder)
    make_zoo(folder / "zoo", specs, biases=biases)
    query_zoo(
        QueryConfig(
            zoo_dir=str(folder / "zoo"), query_dir=str(folder / "q"), num_queries=12
        )
    )
    if tuple(names) != TABLE.names:
        keep_attributes(folder / "q", names)
    return folder


def keep_attributes(query_dir: Path, names: Sequence[str]) -> None:
    """Writes query outputs again, with some of their attributes alone."""
    info = QueryOutputsInfo.open(query_dir)
    write_again(info, query_dir, info.entries, info.attributes.select(names))


def write_again(
    info: QueryOutputsInfo,
    query_dir: Path,
    entries: Sequence[QueriedEntry],
    table: AttributeTable,
) -> None:
    """Writes query outputs again, the same answers beside what `entries` say."""
    ids = [entry.id for entry in info.entries]
    answers, _ = load_arrays(info, ids, range(info.num_queries), None)
    by_id = dict(zip(ids, answers, strict=True))
    with output_folder.work_folder(query_dir) as work:
        writing.write(
            work,
            dataclasses.replace(info.config, query_dir=str(query_dir)),
            info.query_inputs,
            table,
            info.num_classes,
            entries,
            lambda entry: by_id[entry.id],
            zoo_fingerprint=info.zoo_fingerprint,
        )


@functools.cache
def _build_layers(*values) -> keras.Model:
    """Builds a classifier of these `LAYERS`, whose weights are to be set."""
    return build_classifier(
        read_spec({**SPEC, **dict(zip(LAYERS, values, strict=True))})
    )


def add_classifier(
    zoo_dir: Path,
    spec: ClassifierSpec,
    accuracy: float = 0.98,
    bias: np.ndarray | None = None,
) -> None:
    """Adds an accepted classifier with random weights to a zoo.

    `bias`, `(10,)`, is added to its logits.
    """
    model = _build_layers(*(spec[name] for name in LAYERS))
    random = np.random.default_rng([spec.combination_index, spec.seed])
    # Large enough for different answers, small enough not to saturate.
    model.set_weights([random.normal(0, 0.1, w.shape) for w in model.get_weights()])
    if bias is not None:
        variable = model.get_layer("logits").bias
        variable.assign(variable + bias)
    path = store.classifier_path(zoo_dir, spec)
    saving.save_model(model, path)
    record = store.ClassifierRecord(
        spec=spec,
        status=store.ACCEPTED,
        reason="",
        accuracy=accuracy,
        num_params=model.count_params(),
        epochs=1,
        seconds=0.1,
        num_bytes=path.stat().st_size,
        sha256=artifacts.sha256_of_file(path),
    )
    store.add_record(zoo_dir, record)


def make_digits(num_train: int = 200, num_test: int = 100) -> LabeledImages:
    """Makes images that are easy to tell apart: the row of a bar says the class."""
    random = np.random.default_rng(0)

    def make(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = (np.arange(count) % NUM_CLASSES).astype(np.int32)
        images = random.integers(0, 100, (count, 28, 28, 1), np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[4 + 2 * label : 6 + 2 * label, 4:24] = 255
        return images, labels

    return LabeledImages(*make(num_train), *make(num_test))


def write_idx(folder: Path, images: LabeledImages, *, compress: bool = False) -> None:
    """Writes the four IDX files, for `--dataset=idx:<folder>`."""
    names = {
        "train-images-idx3-ubyte": images.train_images[..., 0],
        "train-labels-idx1-ubyte": images.train_labels,
        "t10k-images-idx3-ubyte": images.test_images[..., 0],
        "t10k-labels-idx1-ubyte": images.test_labels,
    }
    for name, array in names.items():
        header = np.array([0x800 | array.ndim, *array.shape], ">u4").tobytes()
        content = header + array.astype(np.uint8).tobytes()
        path = pathlib.Path(folder) / name
        if compress:
            path.with_name(f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            path.write_bytes(content)
