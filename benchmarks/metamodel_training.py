"""Times the training of kennen-o at the paper's size, for each recipe.

    python -m benchmarks.metamodel_training

5,000 made-up classifiers to train on, 100 queries, 200 epochs, evaluation every ten
epochs on them and 1,000 more; from opened query outputs to finished.json, with
checkpoints and TensorBoard. Prints seconds for each recipe.
"""

import pathlib
import tempfile
import time

from absl import app, flags

from kennen_tf.machine import startup

_NUM_TRAIN = flags.DEFINE_integer("num_train", 5000, "Classifiers to train on.")
_NUM_TEST = flags.DEFINE_integer("num_test", 1000, "Classifiers to test on.")
_NUM_QUERIES = flags.DEFINE_integer("num_queries", 100, "Queries.")
_EPOCHS = flags.DEFINE_integer("epochs", 200, "Passes over the training classifiers.")
_RECIPES = flags.DEFINE_list(
    "recipes", ["kernel", "mlp", "joined", "paper"], "Recipes to time."
)


def write_query_outputs(
    folder: pathlib.Path, num_entries: int, num_queries: int
) -> None:
    """Writes query outputs of noise, of single classifiers that differ in all."""
    import numpy as np

    from kennen_tf.attributes import Facts
    from kennen_tf.configs.queries import QueryConfig
    from kennen_tf.designs.mnist_net import DESIGN, NUM_CLASSES
    from kennen_tf.designs.mnist_table import TABLE
    from kennen_tf.queries import output_folder, writing
    from kennen_tf.queries.query_inputs import QueryInputs
    from kennen_tf.zoo.entries import QueriedEntry
    from kennen_tf.zoo.specs import sample_specs

    random = np.random.default_rng(0)
    entries = [
        QueriedEntry(
            id=spec.id,
            combination_id=spec.combination_id,
            members=(spec.id,),
            accuracy=0.98,
            values=TABLE.complete(
                Facts(
                    combination=spec.combination,
                    num_params=int(2 ** random.uniform(14, 22)),
                )
            ),
        )
        for spec in sample_specs(DESIGN, num_entries, 2, 0)
    ]
    queries = QueryInputs(
        images=random.integers(0, 256, (num_queries, 28, 28, 1), np.uint8),
        labels=random.integers(0, 10, num_queries, np.int32),
        indices=np.arange(num_queries, dtype=np.int32),
    )
    with output_folder.work_folder(folder) as work:
        writing.write(
            work,
            QueryConfig(query_dir=str(folder), num_queries=num_queries),
            queries,
            TABLE,
            NUM_CLASSES,
            entries,
            lambda _: random.dirichlet(np.ones(10), num_queries).astype(np.float32),
            zoo_fingerprint="made up",
        )


def main(argv: list[str]) -> None:
    """Writes query outputs into a temporary folder and trains on them."""
    if argv[1:]:
        raise app.UsageError(f"Only flags are taken. Received: {argv[1:]}.")
    startup.import_tensorflow()

    from kennen_tf.configs.metamodels import MetamodelConfig
    from kennen_tf.train_metamodel import train_metamodel

    with tempfile.TemporaryDirectory() as name:
        query_dir = pathlib.Path(name) / "queries"
        # One more than needed: a combination's two classifiers stay together.
        num_entries = _NUM_TRAIN.value + _NUM_TEST.value + 1
        write_query_outputs(query_dir, num_entries, _NUM_QUERIES.value)
        seconds = {}
        for recipe in _RECIPES.value:
            started = time.perf_counter()
            train_metamodel(
                MetamodelConfig(
                    recipe=recipe,
                    epochs=_EPOCHS.value,
                    query_dir=str(query_dir),
                    num_queries=_NUM_QUERIES.value,
                    num_train=_NUM_TRAIN.value,
                    num_test=_NUM_TEST.value,
                    metamodel_dir=str(pathlib.Path(name) / recipe),
                )
            )
            seconds[recipe] = time.perf_counter() - started
    for recipe, value in seconds.items():
        print(f"{recipe}: {value:.1f} s")


if __name__ == "__main__":
    app.run(main)
