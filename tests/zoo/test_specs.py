"""Specs: numbered combinations, JSON, draws without replacement, files of specs."""

import collections
import json
import math
import re

import fakes
import pytest

from kennen_tf.designs import digits_net
from kennen_tf.designs.mnist_net import DESIGN
from kennen_tf.designs.mnist_table import TABLE
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import specs

GOLDEN = {
    "act": "tanh",
    "drop": "no",
    "pool": "no",
    "ks": 5,
    "conv": 4,
    "fc": 3,
    "alg": "rmsprop",
    "bs": 128,
    "split": "half0",
    "seed": 17,
}


def test_there_are_as_many_combinations_as_in_the_paper():
    assert DESIGN.num_combinations == 18_144
    assert specs.NUM_SEEDS == 1000


def test_no_more_classifiers_can_be_had_than_there_are_specs():
    available = DESIGN.num_combinations * specs.NUM_SEEDS
    with pytest.raises(UserError, match=str(available)):
        specs.sample_specs(DESIGN, available + 1, 1, 0)


def test_every_combination_has_its_own_values_and_survives_json():
    seen = set()
    for index in range(DESIGN.num_combinations):
        spec = fakes.spec_at(index, index % specs.NUM_SEEDS)
        values = json.loads(json.dumps(spec.to_json()))
        assert fakes.read_spec(values) == spec
        seen.add(tuple(spec.combination.values()))
    assert len(seen) == DESIGN.num_combinations


def test_numbers_of_combinations_are_the_same_for_ever():
    # Identifiers in manifests and records mean these values.
    spec = fakes.spec_at(4211, 17)
    assert spec.id == "c04211-s017"
    assert spec.combination_id == "c04211"
    assert spec.to_json() == GOLDEN
    assert spec["ks"] == GOLDEN["ks"]


def valid(**changes):
    return {**fakes.spec_at(4211, 17).to_json(), **changes}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (valid(act="gelu"), "'act'.*Received: 'gelu'"),
        (valid(ks="3"), "'ks'.*Received: '3'"),
        (valid(par=15), "exactly the keys"),
        ({"seed": 1}, "exactly the keys"),
        (valid(seed=1000), r"`seed`.*\[0, 1000\).*Received: 1000"),
        (valid(seed=-1), "`seed`"),
        (valid(seed=1.0), "`seed`"),
        (valid(seed=True), "`seed`"),
        ([1, 2], "exactly the keys"),
        (None, "exactly the keys"),
    ],
)
def test_what_is_no_spec_is_refused(values, message):
    with pytest.raises(UserError, match=message):
        fakes.read_spec(values)


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_draws_differ_and_are_repeatable(replicas):
    drawn = specs.sample_specs(DESIGN, 3000, replicas, root_seed=5)
    assert len(set(drawn)) == 3000
    assert drawn == specs.sample_specs(DESIGN, 3000, replicas, root_seed=5)
    assert drawn != specs.sample_specs(DESIGN, 3000, replicas, root_seed=6)


@pytest.mark.parametrize(
    ("design", "replicas", "fingerprint"),
    [
        (DESIGN, 1, "8da87054dda622cd"),
        (DESIGN, 3, "4a8133a3dc34395f"),
        (digits_net.DESIGN, 1, "a4fccfe4b07e2568"),
        (digits_net.DESIGN, 3, "91fca86393098043"),
    ],
)
def test_what_a_seed_draws_is_the_same_for_ever(design, replicas, fingerprint):
    drawn = specs.sample_specs(design, 500, replicas, root_seed=0)
    assert artifacts.fingerprint([spec.to_json() for spec in drawn]) == fingerprint


def test_specs_of_one_combination_share_its_values():
    drawn = specs.sample_specs(digits_net.DESIGN, 20_000, 1, root_seed=0)
    combinations = {spec.combination_index for spec in drawn}
    assert len({id(spec.combination) for spec in drawn}) == len(combinations)


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_zoo_can_grow(replicas):
    large = specs.sample_specs(DESIGN, 501, replicas, root_seed=0)
    assert specs.sample_specs(DESIGN, 100, replicas, root_seed=0) == large[:100]


def test_replicas_share_the_combination_and_differ_in_the_seed():
    drawn = specs.sample_specs(DESIGN, 301, replicas=3, root_seed=0)
    counts = collections.Counter(spec.combination_index for spec in drawn)
    assert sorted(counts.values()) == [1] + [3] * 100
    assert len(set(drawn)) == 301


def test_replicas_use_up_every_combination():
    available = 2 * DESIGN.num_combinations
    assert (
        len(set(specs.sample_specs(DESIGN, available, replicas=2, root_seed=0)))
        == available
    )
    with pytest.raises(UserError, match=f"at most {available} with --replicas=2"):
        specs.sample_specs(DESIGN, available + 1, replicas=2, root_seed=0)


def test_draws_are_uniform_over_every_attribute():
    num_specs = 10_000
    drawn = specs.sample_specs(DESIGN, num_specs, replicas=1, root_seed=0)
    for attribute in TABLE.chosen:
        counts = collections.Counter(spec[attribute.name] for spec in drawn)
        p = attribute.chance
        deviation = math.sqrt(num_specs * p * (1 - p))
        for value in attribute.values:
            assert abs(counts[value] - num_specs * p) < 4 * deviation


def write_lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_file_of_specs_is_read_in_its_order(tmp_path):
    wanted = specs.sample_specs(DESIGN, 20, replicas=1, root_seed=3)
    path = tmp_path / "specs.jsonl"
    write_lines(path, *(spec.to_json() for spec in wanted))
    path.write_text(path.read_text() + "\n  \n")
    assert specs.read_specs(str(path), TABLE) == wanted


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "at least one spec"),
        ([valid(), valid(act="gelu")], "line 2: .*'act'"),
        ([valid(), valid(seed=3), valid()], "lines 1 and 3 are the same spec"),
        ([valid(), "text"], "line 2: .*exactly the keys"),
    ],
)
def test_a_wrong_file_of_specs_is_refused_by_its_line(tmp_path, rows, message):
    path = write_lines(tmp_path / "specs.jsonl", *rows)
    with pytest.raises(UserError, match=f"{re.escape(path)}.*{message}"):
        specs.read_specs(path, TABLE)


def test_what_is_no_file_of_specs_is_refused(tmp_path):
    (tmp_path / "text").write_text("not json\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name in ("missing", "text", "binary", "."):
        with pytest.raises(UserError, match=re.escape(str(tmp_path / name))):
            specs.read_specs(str(tmp_path / name), TABLE)
