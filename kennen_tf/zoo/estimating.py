"""How long a zoo will take, said from a few classifiers that are trained for it.

Classifiers differ much in cost. So some of them, from cheap to dear, are trained on few
images, what an image costs is fitted to what their layers compute, and so foretold for
the others. The workers are those of the build, all of them busy.
"""

import dataclasses
import functools
import math
import time
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from rich import box
from rich.table import Table
from scipy import optimize

from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.designs.design import Design, load_design
from kennen_tf.machine.engines import engine, worker
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.labeled_images import LabeledImages
from kennen_tf.vocabulary.seeds import derive_seed
from kennen_tf.zoo import training_tasks
from kennen_tf.zoo.specs import ClassifierSpec, step_key

# How many are trained, on how many images; and of how many the layers are looked at.
NUM_TRAINED = 16
NUM_IMAGES = 6000
_NUM_LOOKED_AT = 300
# Of what is there, for those who think of more.
_MACHINES = (1, 2, 4, 8, 16, 64)
# Before anything is measured, an output counts as many multiplications.
_WORK_OF_OUTPUT = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """What one classifier cost, in seconds.

    Attributes:
        spec: Of the classifier.
        trace: To build it, compile its step, and free what that takes.
        epoch: A pass over its part of the images; NaN if its loss was no number.
        rest: To start, validate and save it.
    """

    spec: ClassifierSpec
    trace: float
    epoch: float
    rest: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """How long a zoo will take.

    Attributes:
        num_classifiers: Of those that are missing.
        num_workers: That were measured side by side.
        training: Seconds that one worker would train.
        start: Seconds until a worker begins.
        task: Mean seconds of a task.
    """

    num_classifiers: int
    num_workers: int
    training: float
    start: float
    task: float

    def seconds(self, num_workers: int) -> float:
        """Returns how long so many workers will take."""
        if not self.num_classifiers:
            return 0.0
        num_busy = min(num_workers, self.num_classifiers)
        # At the end, half of them wait for the others' last task.
        return self.start + self.training / num_busy + self.task / 2


def estimate(
    specs: Sequence[ClassifierSpec],
    config: ZooConfig,
    images: LabeledImages,
    workers: engine.Engine,
) -> Iterator[Sample | Estimate | None]:
    """Trains a few classifiers, and says what all would take.

    Args:
        specs: What is missing; at least one.
        config: Settings of the zoo; `compute_dtype` is not "auto".
        images: To train and validate on.
        workers: Who trains.

    Yields:
        Each sample as it comes, None now and then, and at last the estimate.

    Raises:
        UserError: If none of the few could be trained.
    """
    design = load_design(config.design)
    loads = Loads(design, specs)
    few = LabeledImages(
        images.train_images[:NUM_IMAGES],
        images.train_labels[:NUM_IMAGES],
        *images[2:],
    )
    chosen = loads.choose(NUM_TRAINED)
    start, samples = 0.0, []
    begun = time.monotonic()
    for sample in workers.run(
        [[spec] for spec in chosen],
        functools.partial(_make_work, config, few),
        lambda spec: spec.id,
    ):
        if not start and any(each.progress for each in workers.crew.values()):
            start = time.monotonic() - begun
        if sample is not None and math.isfinite(sample.epoch):
            samples.append(sample)
        yield sample
    if not samples:
        raise UserError(
            "Some classifiers must be trained for an estimate. Received: none of "
            f"{len(chosen)} was. Build a few: --num_models=10."
        )
    yield loads.extrapolate(samples, config, images, workers.num_workers, start)


def make_table(found: Estimate, config: ZooConfig) -> tuple[Table, list[str]]:
    """Makes a table of how long it takes here and elsewhere, and its notes."""
    table = Table(
        title=f"{found.num_classifiers:,} classifiers of {config.design} to train",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("machines")
    table.add_column("workers", justify="right")
    table.add_column("time", justify="right")
    for times in _MACHINES:
        number = times * found.num_workers
        name = "what is here" if times == 1 else f"{times} times as many"
        table.add_row(name, str(number), _say_time(found.seconds(number)))
    return table, [
        f"One worker: {found.training / found.num_classifiers:.1f} s a classifier, "
        f"{_say_time(found.training)} in all; {found.start:.0f} s to start.",
        "A quarter more or less is usual. Those that stop early, at chance after an "
        "epoch, are counted as if they did not.",
    ]


def _say_time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 72 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:,.1f} days"


class Loads:
    """What the layers of classifiers compute, for those that share a compiled step.

    Args:
        design: Of the zoo.
        specs: All that are to be trained.
    """

    def __init__(self, design: Design, specs: Sequence[ClassifierSpec]):
        self._design = design
        rng = np.random.default_rng(derive_seed(0, "estimate"))
        count = min(_NUM_LOOKED_AT, len(specs))
        chosen = rng.choice(len(specs), count, replace=False)
        self._specs = [specs[place] for place in sorted(chosen)]
        self._all = specs
        self._by_key: dict[tuple[object, ...], tuple[float, float, float]] = {}

    def choose(self, count: int) -> list[ClassifierSpec]:
        """Returns specs from cheap to dear, the middles of as many equal parts."""
        ordered = sorted(self._specs, key=self._guess)
        count = min(count, len(ordered))
        places = (np.arange(count) + 0.5) / count * len(ordered)
        # The dear ones first, so that none waits for them at the end.
        return [ordered[int(place)] for place in places][::-1]

    def _guess(self, spec: ClassifierSpec) -> float:
        products, outputs, _ = self.load(spec)
        return products + _WORK_OF_OUTPUT * outputs

    def load(self, spec: ClassifierSpec) -> tuple[float, float, float]:
        """Returns multiplications and outputs for an image, and parameters."""
        from kennen_tf.designs import building

        key = step_key(self._design, spec)
        if key not in self._by_key:
            model = building.build_logits(
                self._design, spec.combination, building.no_seed
            )
            products = outputs = 0.0
            for layer in model.layers:
                shape = layer.output.shape[1:]
                outputs += math.prod(shape)
                if hasattr(layer, "kernel"):
                    products += math.prod(layer.kernel.shape) * math.prod(shape[:-1])
            self._by_key[key] = products, outputs, float(model.count_params())
        return self._by_key[key]

    def _costs(self, spec: ClassifierSpec) -> npt.NDArray[np.float64]:
        """Returns what an image may cost: in products, outputs, updates and steps."""
        products, outputs, num_params = self.load(spec)
        batch_size = self._design.batch_size(spec.combination)
        return np.array([products, outputs, num_params / batch_size, 1 / batch_size])

    def _num_images(self, spec: ClassifierSpec, available: int) -> int:
        return len(self._design.training_indices(spec.combination, available))

    def extrapolate(
        self,
        samples: Sequence[Sample],
        config: ZooConfig,
        images: LabeledImages,
        num_workers: int,
        start: float,
    ) -> Estimate:
        """Foretells what all classifiers cost from what some did."""
        available = len(images.train_labels)
        costs = np.array([self._costs(sample.spec) for sample in samples])
        measured = np.array(
            [
                s.epoch / self._num_images(s.spec, min(NUM_IMAGES, available))
                for s in samples
            ]
        )
        # Relative errors count, and no part of a cost is negative.
        scale = costs.max(axis=0)
        rates, _ = optimize.nnls(
            costs / scale / measured[:, None], np.ones(len(samples))
        )
        rates /= scale
        # Of the images to validate on, each costs a part of one to train on.
        pairs = np.stack([np.ones(len(samples)), costs @ rates], axis=1)
        (fixed, part), _ = optimize.nnls(pairs, np.array([s.rest for s in samples]))
        total = 0.0
        for spec in self._specs:
            image = float(self._costs(spec) @ rates)
            epochs = config.epochs or self._design.num_epochs(spec.combination)
            epoch = image * self._num_images(spec, available)
            total += epochs * epoch + fixed + part * image
        total *= len(self._all) / len(self._specs)
        num_tasks = len(
            training_tasks.group_specs(self._design, self._all, num_workers)
        )
        total += num_tasks * float(np.mean([s.trace for s in samples]))
        total += num_tasks // training_tasks.TRACES_PER_WORKER * start
        return Estimate(
            num_classifiers=len(self._all),
            num_workers=num_workers,
            training=total,
            start=start,
            task=total / num_tasks,
        )


def _make_work(config: ZooConfig, images: LabeledImages) -> engine.Work:
    """Runs in a worker: returns what trains classifiers and looks at the clock."""
    # One that sits at chance is timed, too.
    design = dataclasses.replace(load_design(config.design), gives_up=False)

    def measure(task: Sequence[ClassifierSpec]) -> Iterator[engine.Progress | Sample]:
        for spec in task:
            yield engine.Progress(spec.id)
            yield _measure(design, spec, config, images)

    return measure


def _measure(
    design: Design, spec: ClassifierSpec, config: ZooConfig, images: LabeledImages
) -> Sample:
    """Times one classifier."""
    from kennen_tf.zoo import training

    clock = time.perf_counter
    begun = clock()
    trainer = training.Trainer(design, spec, images, config.compute_dtype)
    trainer.train(spec, config.seed, 1)
    traced = clock()
    marks = [clock() for _ in trainer.train_by_epochs(spec, config.seed, 2)]
    training_tasks.read_model(trainer.classifier)
    end = clock()
    del trainer
    worker.free_memory()
    # One whose loss is no number ends early.
    epoch = marks[1] - marks[0] if marks[2:] else math.nan
    rest = max(end - traced - 2 * epoch, 0.0)
    return Sample(
        spec=spec,
        trace=max(traced - begun - rest - epoch, 0.0) + clock() - end,
        epoch=epoch,
        rest=rest,
    )
