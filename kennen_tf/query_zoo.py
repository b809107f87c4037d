"""Sends fixed queries to every classifier and ensemble of a zoo.

    python -m kennen_tf.query_zoo --zoo_dir=zoo --query_dir=queries --num_queries=1000

Draws validation images, sends them to each accepted classifier, averages the answers
of ensembles' members, and writes the query outputs to queries/: sharded TFRecords with
the images and the attribute table beside them. Read them with pipelines.query_outputs,
or with tfds.builder_from_directory("queries"). If they are there already, nothing is
done; killed at any moment, it leaves no half-written outputs. --engine=ray sends
classifiers to the nodes of a Ray cluster; what they answer is written here.
"""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flags import common
from kennen_tf.configs.engines import LOCAL
from kennen_tf.configs.queries import QueryConfig
from kennen_tf.vocabulary.errors import UserError

if TYPE_CHECKING:
    from kennen_tf.queries.query_inputs import QueryInputs
    from kennen_tf.zoo.store import ClassifierRecord, Zoo


def query_zoo(config: QueryConfig) -> None:
    """Queries a zoo, or finds that it has been.

    Raises:
        UserError: If there is no zoo or no classifier in it, a classifier's file was
            altered, there are fewer images than queries, or `query_dir` holds
            anything else.
    """
    from kennen_tf.images import datasets
    from kennen_tf.machine import startup
    from kennen_tf.queries import output_folder, query_inputs, query_outputs
    from kennen_tf.zoo.store import Zoo

    zoo = Zoo.open(config.zoo_dir)
    members = [r for r in zoo.accepted if r.accuracy >= config.min_accuracy]
    if not members:
        raise UserError(
            f"A zoo with accepted classifiers, of validation accuracy "
            f"{config.min_accuracy} or more, is needed. Received: {config.zoo_dir}, "
            f"{len(zoo.records)} classifiers, {len(zoo.accepted)} of them accepted. "
            "Train more with build_zoo, or lower --min_accuracy."
        )
    images, labels = datasets.load_validation(zoo.config, zoo.images_path)
    pool = slice(config.query_pool or None)
    queries = query_inputs.draw(
        images[pool], labels[pool], config.num_queries, config.query_seed
    )
    startup.import_tensorflow()
    if output_folder.holds_query_outputs(config.query_dir) and not config.overwrite:
        info = query_outputs.QueryOutputsInfo.open(config.query_dir)
        info.check_made_with(config, queries)
        info.check_zoo(zoo)
        print(f"{config.query_dir}: up to date, {len(info.entries)} entries.")
        return
    with output_folder.work_folder(config.query_dir) as work:
        _query(zoo, members, queries, config, work)


def _query(
    zoo: "Zoo",
    members: "Sequence[ClassifierRecord]",
    queries: "QueryInputs",
    config: QueryConfig,
    work: pathlib.Path,
) -> None:
    """Sends the queries and writes the outputs."""
    import tqdm
    from absl import logging

    from kennen_tf.machine.engines import making
    from kennen_tf.queries import writing
    from kennen_tf.queries.answer_file import AnswerFile
    from kennen_tf.zoo import ensembles, query_tasks, querying

    entries = ensembles.list_entries(zoo, members)
    logging.info(
        "Sending %d queries to %d classifiers of %s; %d entries with ensembles.",
        *(len(queries), len(members), config.zoo_dir, len(entries)),
    )
    shape = (len(queries), zoo.num_classes)
    # In a file, not in memory; there ensembles find what their members answered.
    with AnswerFile(work / "answers", (r.id for r in members), shape) as answers:
        with tqdm.tqdm(total=len(members), desc="query_zoo", unit="classifier") as bar:

            def keep(record: "ClassifierRecord", probabilities: np.ndarray) -> None:
                answers.keep(record.id, probabilities)
                bar.update()

            if config.engine == LOCAL:
                querying.query_classifiers(zoo, members, queries.pixels, keep)
            else:
                with making.make_engine(**config.engine_settings()) as workers:
                    query_tasks.query_all(zoo, members, queries.pixels, keep, workers)
        writing.write(
            work,
            config,
            queries,
            zoo.attributes if zoo.design is None else zoo.design.attributes,
            zoo.num_classes,
            entries,
            lambda entry: answers.mean(entry.members),
            zoo.fingerprint,
        )
    print(
        f"{config.query_dir}: {len(entries)} entries ({len(members)} classifiers, "
        f"{len(entries) - len(members)} ensembles), {len(queries)} queries."
    )


def main() -> None:
    """Runs `query_zoo` with the flags of the command line."""
    common.run(query_zoo, QueryConfig)


if __name__ == "__main__":
    main()
