"""Ensembles: 2, 3, 4 classifiers that agree in all but the seed."""

import collections
import math

import fakes
import pytest

from kennen_tf.zoo import ensembles
from kennen_tf.zoo.store import ACCEPTED, ClassifierRecord


def make_record(index, seed, num_params=20_000):
    return ClassifierRecord(
        spec=fakes.spec_at(index, seed),
        status=ACCEPTED,
        reason="",
        accuracy=0.98,
        num_params=num_params,
        epochs=1,
        seconds=1.0,
    )


@pytest.fixture
def list_entries(tmp_path):
    zoo = fakes.make_zoo(tmp_path, [])
    return lambda records: ensembles.list_entries(zoo, records)


def test_all_ensembles_of_two_to_four_are_formed(list_entries):
    records = [make_record(5, seed) for seed in (1, 2, 3, 4)] + [make_record(6, 1)]
    entries = list_entries(records)
    sizes = collections.Counter(len(entry.members) for entry in entries)
    assert sizes == {1: 5, 2: math.comb(4, 2), 3: math.comb(4, 3), 4: 1}
    assert [entry.id for entry in entries] == sorted(entry.id for entry in entries)


def test_members_agree_in_all_but_the_seed(list_entries):
    records = [make_record(index, seed) for index in range(5) for seed in range(3)]
    for entry in list_entries(records):
        assert {member.split("-")[0] for member in entry.members} == {
            entry.combination_id
        }
        assert len(set(entry.members)) == len(entry.members)


def test_values_of_an_ensemble(list_entries):
    records = [make_record(5, seed, num_params=20_000) for seed in (1, 2)]
    single, pair = list_entries(records)[:2]
    assert (single.id, pair.id) == ("c00005-s001", "c00005-s001+s002")
    assert (single.values["ens"], pair.values["ens"]) == ("no", "yes")
    # 20,000 lies between 2**14 and 2**15, twice that between 2**15 and 2**16.
    assert (single.values["par"], pair.values["par"]) == (14, 15)
    assert single.values["act"] == pair.values["act"]


def test_many_replicas_do_not_swamp_the_zoo(list_entries):
    entries = list_entries([make_record(5, seed) for seed in range(8)])
    assert len(entries) == 8 + ensembles.MAX_ENSEMBLES
