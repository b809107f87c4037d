"""Compares recipes and baselines on what no reported test holds.

    python -m benchmarks.recipes --query_dir=queries kernel mlp joined
    python -m benchmarks.recipes --query_dir=queries kernel kernel:ridge=0.03

All constants of recipes and baselines were chosen by it. Candidates are recipes of
kennen-o by name; "kennen-s", on the kernel recipe; the method "linear"; and
"logistic regression", "support vector machine" and "extra trees" of the experiment
`readers`. After a colon comes what differs from what is frozen: a recipe's fields, or
constants of `kennen_s`, `linear` and `readers`, e.g. kennen-s:RIDGE=100 or
linear:INVERSE_REGULARIZATION=1e-3, and several with a semicolon between.

All read the same answers of the same classifiers, in the split "development" by
default: it trains on and tests on classifiers that no test of the split R with the
seeds 0, 1 and 2 holds. On query outputs of a zoo that nothing is reported of, --split=R
uses all. Prints, for each candidate, class-balanced accuracy on average over the
attributes, its mean over seeds and the standard error of the mean; by how much it leads
the first candidate, with that of the difference; the negative logarithm of the
probability of what is true; and seconds of computing, of all cores together. Seeds of
one zoo share classifiers, so errors are somewhat larger than they are said to be.
"""

import ast
import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import rich.console
import rich.table
from absl import app
from absl import flags as absl_flags

from kennen_tf.machine import startup

if TYPE_CHECKING:
    from kennen_tf.metamodels.jobs import Job

_QUERY_DIR = absl_flags.DEFINE_string("query_dir", "queries", "Query outputs.")
_SPLIT = absl_flags.DEFINE_string("split", "development", "As of train_metamodel.")
_REPRESENTATION = absl_flags.DEFINE_string(
    "representation", "probabilities", "As of train_metamodel."
)
_SEEDS = absl_flags.DEFINE_list("seeds", ["0", "1", "2"], "Root seeds.")
_NUM_QUERIES = absl_flags.DEFINE_integer("num_queries", 100, "Queries.")
_NUM_TRAIN = absl_flags.DEFINE_integer("num_train", 0, "Entries to train on; 0: all.")

# Accuracy, and the negative logarithm, or not a number where there is none.
Score = tuple[float, float]


def parse(candidate: str) -> tuple[str, dict[str, Any]]:
    """Returns the name of a candidate, and what it has in place of what is frozen."""
    name, _, text = candidate.partition(":")
    changes = {}
    for part in filter(None, text.split(";")):
        field, equals, value = part.partition("=")
        if not equals:
            raise app.UsageError(f"A change is FIELD=VALUE. Received: {part!r}.")
        changes[field.strip()] = ast.literal_eval(value.strip())
    return name, changes


@contextlib.contextmanager
def having(name: str, changes: dict[str, Any]) -> Iterator[None]:
    """Has the constants of a candidate in place of those that are frozen."""
    from kennen_tf.configs.recipes import RECIPES
    from kennen_tf.experiments import readers
    from kennen_tf.metamodels import kennen_s
    from kennen_tf.metamodels.recipes import linear

    with contextlib.ExitStack() as stack:
        if name in RECIPES:
            own = dataclasses.replace(RECIPES[name], **changes)
            stack.enter_context(mock.patch.dict(RECIPES, {name: own}))
        elif changes:
            module = {"linear": linear, "kennen-s": kennen_s}.get(name, readers)
            stack.enter_context(mock.patch.multiple(module, **changes))
        yield


def score(name: str, job: "Job") -> Score:
    """Fits a candidate, and scores it on the job's test entries."""
    from kennen_tf.configs.metamodels import METHODS
    from kennen_tf.configs.recipes import RECIPES
    from kennen_tf.experiments import readers
    from kennen_tf.experiments.shared import summaries
    from kennen_tf.metamodels import jobs, kennen_o, left_out

    train, test = jobs.load_sides(job)
    if name not in (*RECIPES, *METHODS):
        one = {name: readers.make_readers(job.config.seed)[name]}
        accuracies = readers.read(one, job.table, train, test)
        return accuracies[name][summaries.AVERAGE], float("nan")
    answers = left_out.answer(kennen_o.train(job).model, test.features)
    return score_answers(answers, test.labels)


def score_answers(answers: Mapping[str, Any], labels: Mapping[str, Any]) -> Score:
    """Scores probabilities, `(entries, values)`, of each attribute."""
    from kennen_tf.evaluation.accuracy import class_balanced_accuracy

    accuracies, losses = [], []
    for name, own in answers.items():
        known = np.flatnonzero(labels[name] >= 0)
        if len(np.unique(labels[name][known])) < 2:
            continue
        true = labels[name][known]
        named = own[known].argmax(axis=1)
        accuracies.append(class_balanced_accuracy(true, named, own.shape[1]) or 0.0)
        losses.append(-np.log(np.maximum(own[known, true], 1e-6)).mean())
    return float(np.mean(accuracies)), float(np.mean(losses))


def say_mean(values: np.ndarray, *, sign: str = "") -> str:
    """Returns the mean of what each seed has, and the standard error of it."""
    text = f"{values.mean():{sign}.2f}"
    if len(values) > 1:
        text += f" ± {values.std(ddof=1) / np.sqrt(len(values)):.2f}"
    return text


def main(argv: list[str]) -> None:
    """Fits all candidates with all seeds, and prints."""
    candidates = argv[1:]
    if not candidates:
        raise app.UsageError("Name candidates, e.g. kernel mlp joined.")
    startup.import_tensorflow()

    from kennen_tf.configs.metamodels import METHODS, MetamodelConfig
    from kennen_tf.configs.recipes import RECIPES
    from kennen_tf.machine import distribution
    from kennen_tf.metamodels.jobs import Job
    from kennen_tf.metamodels.recipes.fitting import CompiledModels
    from kennen_tf.queries.query_outputs import QueryOutputsInfo
    from pipelines.outputs_in_memory import OutputsInMemory

    info = QueryOutputsInfo.open(_QUERY_DIR.value)
    shared: dict[str, Any] = {
        "info": info,
        "outputs": OutputsInMemory(info),
        "strategy": distribution.make_strategy("auto"),
        "keeps_curves": False,
        "compiled": CompiledModels(),
    }
    console = rich.console.Console()
    table = rich.table.Table(
        *("candidate", "to train", "accuracy (%)", "lead", "-log p", "CPU s")
    )
    first = None
    for candidate in candidates:
        name, changes = parse(candidate)
        which = {"recipe": name}
        if name not in RECIPES:  # Those of `readers` read what kennen-o does.
            method = name if name in METHODS else "kennen-o"
            which = {"method": method, "recipe": "kernel"}
        scores, seconds, counts = [], [], []
        with having(name, changes):
            for seed in map(int, _SEEDS.value):
                # Checkpoints of one must not be gone on from by another.
                with tempfile.TemporaryDirectory() as folder:
                    settings: dict[str, Any] = {
                        "query_dir": _QUERY_DIR.value,
                        "metamodel_dir": folder,
                        "split": _SPLIT.value,
                        "representation": _REPRESENTATION.value,
                        "num_queries": _NUM_QUERIES.value,
                        "num_train": _NUM_TRAIN.value,
                        "seed": seed,
                        **which,
                    }
                    job = Job(config=MetamodelConfig(**settings), **shared)
                    started = time.process_time()
                    scores.append(score(name, job))
                    seconds.append(time.process_time() - started)
                    counts.append(len(job.split.train_ids))
        accuracies, losses = (np.array(own) for own in zip(*scores, strict=True))
        first = accuracies if first is None else first
        row = (
            candidate,
            str(round(np.mean(counts))),
            say_mean(100 * accuracies),
            ""
            if first is accuracies
            else say_mean(100 * (accuracies - first), sign="+"),
            f"{losses.mean():.3f}",
            f"{np.mean(seconds):.1f}",
        )
        console.print(*row, sep="  ")
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    app.run(main)
