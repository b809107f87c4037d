"""What experiments are made of: runs, summaries, scores by hand; all without a zoo."""

import dataclasses

import numpy as np
import pytest
from tables import PAPERS

from kennen_tf.configs.reproduction import EXPERIMENTS, ReproductionConfig
from kennen_tf.evaluation import scores
from kennen_tf.experiments import catalog, table3
from kennen_tf.experiments.shared import summaries
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.vocabulary.errors import UserError


def test_every_experiment_has_a_module():
    assert tuple(catalog.BY_NAME) == EXPERIMENTS


def test_a_summary_by_hand():
    summary = summaries.summarize([0.4, 0.6])
    assert summary["mean"] == pytest.approx(0.5)
    assert (summary["lowest"], summary["highest"]) == (0.4, 0.6)
    assert summary["std"] == pytest.approx(0.1 * np.sqrt(2))
    # Student's t with one degree of freedom: 12.706 standard errors, of 0.1 each.
    assert summary["interval"] == pytest.approx([0.5 - 1.2706, 0.5 + 1.2706], abs=1e-4)
    assert summaries.say(summary) == "50.0 (40.0-60.0)"
    equal = summaries.summarize([0.9631901840490797] * 3)
    assert equal["lowest"] == equal["mean"] == equal["highest"]


def test_of_one_number_there_is_no_spread():
    summary = summaries.summarize([0.4])
    assert summary["std"] is None and summary["interval"] is None
    assert summaries.say(summary) == "40.0"
    assert summaries.say(None) == "-"


def make_results(**accuracies):
    """Makes results with these accuracies; no other attribute is scored."""
    count = 12
    labels = {n: np.zeros(count, int) for n in PAPERS.names}
    answers = {a.name: np.eye(len(a.values))[np.zeros(count, int)] for a in PAPERS}
    results = scores.evaluate(PAPERS, labels, answers)
    rows = [
        dataclasses.replace(
            row,
            accuracy=accuracies[row.name],
            interval=(0.0, 1.0),
            chance=1 / len(row.values),
        )
        if row.name in accuracies
        else row
        for row in results.attributes
    ]
    return dataclasses.replace(results, attributes=tuple(rows))


def test_normalized_accuracy_is_0_at_chance_and_1_at_the_random_split():
    random = make_results(act=0.95, drop=1.0, alg=1.0)
    # 0.35 and 0.25 above chance, of 0.70 and 0.50; alg is what the split is made by.
    score, names = table3.normalized(make_results(act=0.6, drop=0.75), random)
    assert score == pytest.approx(0.5)
    assert names == ["act", "drop"]
    assert table3.normalized(random, random)[0] == pytest.approx(1.0)
    chance = make_results(act=0.25, drop=0.5)
    assert table3.normalized(chance, random)[0] == pytest.approx(0.0)


def test_there_is_no_normalized_accuracy_without_a_random_split_above_chance():
    chance = make_results(act=0.25, drop=0.5)
    assert table3.normalized(make_results(act=0.6), chance)[0] is None


def test_the_command_has_what_is_no_default():
    config = ReproductionConfig(experiment="all", query_draws=7, zoo_dir="my zoo")
    assert config.command("top-k") == (
        "python -m kennen_tf.reproduce --experiment=top-k '--zoo_dir=my zoo' "
        "--query_dir=queries --report_dir=report --query_draws=7"
    )


def test_who_does_the_work_decides_nothing():
    config = ReproductionConfig(engine="ray", ray_address="auto", worker_memory_mb=1)
    assert config.deciding() == ReproductionConfig().deciding()
    assert config.command("all") == ReproductionConfig().command("all")
    with pytest.raises(UserError, match="--gpus_per_worker needs --engine=ray"):
        ReproductionConfig(gpus_per_worker=1)


@pytest.mark.parametrize("text", ["1,x", "0", "1.5", "-3"])
def test_counts_that_are_none_are_refused(text):
    with pytest.raises(UserError, match="query_counts must be numbers of at least 1"):
        ReproductionConfig(query_counts=text)


def test_counts_are_sorted_and_each_there_once():
    config = ReproductionConfig(query_counts="30, 1,3,1", crafted_query_counts="2")
    assert config.counts_of_queries("kennen-o") == (1, 3, 30)
    assert config.counts_of_queries("kennen-io") == (2,)


def test_epochs_are_compared_where_there_is_another_zoo():
    alone = ReproductionConfig()
    assert not {"epochs", "wild"} & set(alone.experiments)
    config = ReproductionConfig(
        other_zoos="one/zoo:one/q, two/zoo:two/q", files_dir="files"
    )
    assert config.experiments == EXPERIMENTS
    assert config.others == (("one/zoo", "one/q"), ("two/zoo", "two/q"))
    with pytest.raises(UserError, match="--other_zoos must name one more"):
        ReproductionConfig(experiment="epochs")
    with pytest.raises(UserError, match="must be ZOO_DIR:QUERY_DIR"):
        ReproductionConfig(other_zoos="one/zoo")


def test_what_decides_a_run_leaves_out_where_it_is():
    parts = dict.fromkeys(("recipe", "crafting", "fingerprints"), {})
    config = {"seed": 1, "metamodel_dir": "x", "resume": True}
    description = {"kind": "metamodel", "config": config, **parts}
    assert folder_lib.deciding(description) == {"config": {"seed": 1}, **parts}
