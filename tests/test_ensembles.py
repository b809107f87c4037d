"""Ensembles: 2, 3, 4 classifiers that agree in all but the seed."""

import collections
import math

from kennen_tf.zoo import ensembles
from kennen_tf.zoo.specs import ClassifierSpec
from kennen_tf.zoo.store import ACCEPTED, ClassifierRecord


def make_record(index, seed, num_params=20_000):
    return ClassifierRecord(
        spec=ClassifierSpec(index, seed),
        status=ACCEPTED,
        reason="",
        accuracy=0.98,
        num_params=num_params,
        epochs=1,
        seconds=1.0,
    )


def test_all_ensembles_of_two_to_four_are_formed():
    records = [make_record(5, seed) for seed in (1, 2, 3, 4)] + [make_record(6, 1)]
    entries = ensembles.list_entries(records)
    sizes = collections.Counter(len(entry.members) for entry in entries)
    assert sizes == {1: 5, 2: math.comb(4, 2), 3: math.comb(4, 3), 4: 1}
    assert [entry.id for entry in entries] == sorted(entry.id for entry in entries)


def test_members_agree_in_all_but_the_seed():
    records = [make_record(index, seed) for index in range(5) for seed in range(3)]
    for entry in ensembles.list_entries(records):
        assert len({record.spec.combination_index for record in entry.members}) == 1
        assert len({record.spec.seed for record in entry.members}) == len(entry.members)


def test_values_of_an_ensemble():
    records = [make_record(5, seed, num_params=20_000) for seed in (1, 2)]
    single, pair = ensembles.list_entries(records)[:2]
    assert (single.id, pair.id) == ("c00005-s001", "c00005-s001+s002")
    assert (single.values["ens"], pair.values["ens"]) == ("no", "yes")
    # 20,000 lies between 2**14 and 2**15, twice that between 2**15 and 2**16.
    assert (single.values["par"], pair.values["par"]) == (14, 15)
    assert single.values["act"] == pair.values["act"]


def test_many_replicas_do_not_swamp_the_zoo():
    entries = ensembles.list_entries([make_record(5, seed) for seed in range(8)])
    assert len(entries) == 8 + ensembles.MAX_ENSEMBLES
