"""Too many entries: said before anything is read, with numbers and a way out."""

import fakes
import numpy as np
import pytest
from absl import logging

from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.machine import memory
from kennen_tf.metamodels import jobs, limiting
from kennen_tf.metamodels.recipes import solving
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary.errors import UserError
from pipelines.outputs_in_memory import OutputsInMemory


@pytest.fixture
def free(monkeypatch):
    """Returns what sets how much memory is free, in bytes."""
    return lambda amount: monkeypatch.setattr(
        memory, "_find_available", lambda: int(amount)
    )


@pytest.mark.parametrize("recipe", ["svm", "ridge"])
def test_the_square_of_the_entries_must_fit(free, recipe):
    free(16e9)
    solving.check_size(recipe, 15_000)
    wanted = f"--recipe={recipe} with 100,000 .* 640.0 GB .* 16.0 GB .*=15811"
    with pytest.raises(UserError, match=wanted):
        solving.check_size(recipe, 100_000)


def test_likeness_to_landmarks_must_fit(free):
    free(2e9)
    # 0.8 GB of landmarks' own, and 20 kB for each entry.
    solving.check_size("kernel", 50_000)
    wanted = "--recipe=kernel with 100,000 .* 2.8 GB .* 2.0 GB .*=60000"
    with pytest.raises(UserError, match=wanted):
        solving.check_size("kernel", 100_000)
    solving.check_size("kernel", 60_000)
    # Of so many, each is a landmark.
    free(0.36e9)
    solving.check_size("kernel", 3162)
    with pytest.raises(UserError, match="0.9 GB .* 0.4 GB .*=3162"):
        solving.check_size("kernel", 5000)


def test_hours_are_said_before_they_begin(free, monkeypatch):
    free(1e15)
    said = []
    monkeypatch.setattr(
        logging, "warning", lambda text, *values: said.append(text % values)
    )
    solving.check_size("ridge", 5000)
    solving.check_size("kernel", 50_000)
    assert not said
    solving.check_size("ridge", 20_000)
    solving.check_size("kernel", 500_000)
    first, second = said
    assert "14.8 hours" in first
    assert "25.6 GB" in first
    assert "1.4 hours" in second
    assert "10.8 GB" in second
    assert "--recipe=mlp" in first


@pytest.mark.parametrize(
    ("recipe", "amount", "wanted"),
    [("kernel", 0.3e6, "=91"), ("mlp", 1e4, "Training on 96 entries and 10 queries")],
)
def test_what_does_not_fit_is_refused_before_it_is_read(
    make_job, free, tmp_path, recipe, amount, wanted
):
    fakes.write_query_outputs(tmp_path / "queries", 120, 24, planted=True)
    job = make_job(
        MetamodelConfig(
            query_dir=str(tmp_path / "queries"),
            metamodel_dir=str(tmp_path / "run"),
            recipe=recipe,
            num_queries=10,
            num_train=96,
        )
    )
    free(amount)
    for path in job.info.shard_paths:
        path.unlink()
    with pytest.raises(UserError, match=wanted):
        jobs.load_sides(job)


def test_outputs_that_do_not_fit_are_not_kept_in_memory(free, tmp_path):
    fakes.write_query_outputs(tmp_path, 40, 24, planted=True)
    info = QueryOutputsInfo.open(tmp_path)
    free(4 * len(info.entries) * 24 * 10 - 1)
    with pytest.raises(UserError, match="24 queries needs about .* --num_queries"):
        OutputsInMemory(info)


def test_of_many_entries_whole_combinations_are_looked_at_for_novelty(monkeypatch):
    ids = [f"c{place // 3}" for place in range(90)]
    np.testing.assert_array_equal(limiting._choose_some(ids), np.arange(90))
    monkeypatch.setattr(limiting, "_MOST_FOR_NOVELTY", 30)
    chosen = limiting._choose_some(ids)
    assert len(chosen) == 30
    assert len({ids[place] for place in chosen}) == 10
    assert len(limiting._choose_some(["c0"] * 90)) == 90
