"""Who generates against whom, as the paper has it."""

import pytest
from family_fakes import make_registry

from kennen_tf.imagenet.aips import generator_sets
from kennen_tf.imagenet.aips.generator_sets import ITSELF, ONE_OF_EACH


@pytest.fixture
def registry():
    return make_registry(a=2, b=4, c=3)


def test_every_target_meets_every_family_each_and_itself(registry):
    pairings = generator_sets.pair_all(registry, seed=0)
    for target in registry.classifiers:
        own = [p.generated_on for p in pairings if p.target == target]
        assert own == ["a", "b", "c", ONE_OF_EACH, ITSELF]


@pytest.mark.parametrize("seed", range(5))
def test_only_the_white_box_generates_against_itself(registry, seed):
    for pairing in generator_sets.pair_all(registry, seed):
        is_generator = pairing.target in pairing.generators.classifiers
        assert is_generator == (pairing.generated_on == ITSELF)


def test_within_a_family_all_others_generate_and_across_as_many(registry):
    for pairing in generator_sets.pair_all(registry, seed=0):
        classifiers = pairing.generators.classifiers
        size = len(registry.families[pairing.target.family])
        if pairing.generated_on == pairing.target.family:
            assert len(classifiers) == size - 1
        elif pairing.generated_on in registry.families:
            available = len(registry.families[pairing.generated_on])
            assert len(classifiers) == min(size - 1, available)
            assert {c.family for c in classifiers} == {pairing.generated_on}
        elif pairing.generated_on == ONE_OF_EACH:
            assert sorted(c.family for c in classifiers) == ["a", "b", "c"]


def test_a_family_of_one_has_no_generators_of_its_own():
    pairings = generator_sets.pair_all(make_registry(a=1, b=2), seed=0)
    alone = [p for p in pairings if p.target.family == "a"]
    assert [p.generated_on for p in alone] == ["b", ONE_OF_EACH, ITSELF]
    assert [len(p.generators.classifiers) for p in alone] == [1, 1, 1]


def test_sets_are_shared_and_named_after_their_classifiers(registry):
    pairings = generator_sets.pair_all(registry, seed=0)
    sets = generator_sets.distinct_sets(pairings)
    assert len(sets) < len(pairings)
    names = [s.name for s in sets]
    assert len(set(names)) == len(names)
    assert "a0" in names and "b0+b1+b2" in names


def test_long_names_are_cut_but_differ():
    classifiers = make_registry(a_rather_long_family_name=9).classifiers
    first = generator_sets.make_set(classifiers[:8]).name
    second = generator_sets.make_set(classifiers[1:]).name
    assert len(first) <= 80 and first != second


def test_the_seed_decides_and_the_order_of_classifiers_does_not(registry):
    def names(seed):
        return [p.generators.name for p in generator_sets.pair_all(registry, seed)]

    assert names(1) == names(1)
    assert any(names(1) != names(seed) for seed in range(2, 6))
    b = registry.families["b"]
    assert generator_sets.make_set(b) == generator_sets.make_set(b[::-1])
