"""What a zoo will take: foretold from costs that are known, and printed."""

import dataclasses

import commands
import numpy as np
import pytest

from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.designs import digits_net
from kennen_tf.images import datasets
from kennen_tf.machine.engines import making
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import estimating, specs, training_tasks

DESIGN = digits_net.DESIGN
CONFIG = ZooConfig(design="digits_net", num_models=1, epochs=3, compute_dtype="float32")
# Seconds, of the stand-in.
TRACE, FIXED, OUTPUT, STEP, VALIDATING = 2.0, 0.5, 3e-7, 0.01, 150


class PlantedEngine(commands.EngineHere):
    """An engine whose classifiers cost what their outputs and steps do."""

    num_workers = 2

    def __init__(self, images, **settings):
        super().__init__(**settings)
        self.costs = Costs(images)
        self.asked = []

    def run(self, tasks, make_work, name_of=str):
        for [spec] in tasks:
            self.asked.append(spec)
            image, num_images = self.costs.image(spec), self.costs.num_images(spec)
            yield estimating.Sample(
                spec=spec,
                trace=TRACE,
                epoch=image * min(num_images, self.costs.num_few(spec)),
                rest=FIXED + VALIDATING * image,
            )


class Costs:
    """What classifiers of the stand-in cost."""

    def __init__(self, images):
        self._total = len(images.train_labels)
        self._loads = estimating.Loads(
            DESIGN, [specs.make_spec(DESIGN.attributes, 0, 0)]
        )

    def num_images(self, spec):
        return len(DESIGN.training_indices(spec.combination, self._total))

    def num_few(self, spec):
        few = min(estimating.NUM_IMAGES, self._total)
        return len(DESIGN.training_indices(spec.combination, few))

    def image(self, spec):
        _, outputs, _ = self._loads.load(spec)
        return OUTPUT * outputs + STEP / DESIGN.batch_size(spec.combination)

    def whole(self, spec, epochs):
        image = self.image(spec)
        return epochs * image * self.num_images(spec) + FIXED + VALIDATING * image


def test_what_all_cost_is_foretold_from_what_some_did():
    images = datasets.load_zoo_images("digits_net", "")
    wanted = specs.sample_specs(DESIGN, 60, 1, 0)
    planted = PlantedEngine(images)
    *samples, found = estimating.estimate(wanted, CONFIG, images, planted)
    assert len(samples) == len(planted.asked) == 16
    # From dear to cheap, and both ends are among them.
    costs = [planted.costs.image(spec) for spec in planted.asked]
    everyones = np.quantile([planted.costs.image(spec) for spec in wanted], [0.1, 0.9])
    assert max(costs) >= everyones[1] and min(costs) <= everyones[0]

    tasks = len(training_tasks.group_specs(DESIGN, wanted, 2))
    truth = sum(planted.costs.whole(spec, 3) for spec in wanted) + TRACE * tasks
    assert found.training == pytest.approx(truth, rel=0.02)
    assert found.num_classifiers == 60
    assert found.seconds(1) == pytest.approx(truth + truth / tasks / 2, rel=0.02)
    # More workers than classifiers are of no use.
    assert found.seconds(60) == found.seconds(1000) < found.seconds(4)

    table, notes = estimating.make_table(found, CONFIG)
    assert table.row_count == 6 and "60 classifiers of digits_net" in table.title
    assert f"{truth / 60:.1f} s a classifier" in notes[0]


def test_without_a_sample_it_is_told():
    images = datasets.load_zoo_images("digits_net", "")

    class Diverging(PlantedEngine):
        def run(self, tasks, make_work, name_of=str):
            for sample in super().run(tasks, make_work):
                yield dataclasses.replace(sample, epoch=float("nan"))

    wanted = specs.sample_specs(DESIGN, 3, 1, 0)
    with pytest.raises(UserError, match="none of 3 was"):
        list(estimating.estimate(wanted, CONFIG, images, Diverging(images)))


@pytest.mark.long
def test_it_trains_some_for_real_and_keeps_none(tmp_path, monkeypatch):
    monkeypatch.setattr(making, "make_engine", commands.EngineHere)
    monkeypatch.setattr(estimating, "NUM_TRAINED", 2)
    monkeypatch.setattr(estimating, "NUM_IMAGES", 600)
    printed = commands.run(
        tmp_path,
        "build_zoo --design=digits_net --num_models=8 --estimate --zoo_dir=zoo",
    )
    assert "8 classifiers of digits_net to train" in printed
    assert "what is here" in printed and "64 times as many" in printed
    assert list(tmp_path.iterdir()) == []
