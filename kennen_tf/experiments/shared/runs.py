"""Runs: metamodels that experiments train, score, share and find again.

A run is a `MetamodelConfig`. Its folder in report_dir/runs is named after the settings
and a hash of all that decides its result: settings, recipes and the fingerprints of
query outputs and zoo. So a run is trained once, whichever experiments ask for it and
however often, and never taken for one of other query outputs. `results.json` is written
last; without it, a run goes on from its checkpoint.

Runs are trained here, one after the other, or by workers, who write nothing. kennen-i
and kennen-io ask the zoo's classifiers, whose files are surely on this machine only,
and go on from checkpoints: these are trained here in any case, after the others.
"""

import dataclasses
import functools
import pathlib
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import tqdm

from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.configs.reproduction import ReproductionConfig
from kennen_tf.evaluation.results import RESULTS_NAME, read_results
from kennen_tf.experiments.shared import run_tasks
from kennen_tf.machine import distribution
from kennen_tf.machine.engines import engine
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels import jobs
from kennen_tf.metamodels.metrics import Side
from kennen_tf.metamodels.recipes import fitting
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo.store import Zoo
from pipelines.outputs_in_memory import OutputsInMemory

FOLDER_NAME = "runs"

# Curves of single runs are not looked at, and each evaluation asks the test entries.
_NEVER = 1_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A metamodel that was trained and scored.

    Attributes:
        config: Its settings.
        document: Its `results.json`, and "seconds" that it took.
    """

    config: MetamodelConfig
    document: dict[str, Any]

    @property
    def folder(self) -> pathlib.Path:
        return pathlib.Path(self.config.metamodel_dir)

    @property
    def name(self) -> str:
        return self.folder.name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refused:
    """A run that the zoo or its query outputs do not allow.

    Attributes:
        config: Its settings.
        reason: Why, for people.
    """

    config: MetamodelConfig
    reason: str


class Runs:
    """All runs on one zoo.

    Args:
        workers: Who trains them; None: this process.

    Attributes:
        config: Settings of the experiments.
        info: The query outputs.
        zoo: The zoo that was queried.
        outputs: All outputs, in memory.
    """

    def __init__(
        self,
        config: ReproductionConfig,
        info: QueryOutputsInfo,
        zoo: Zoo,
        workers: engine.Engine | None = None,
    ):
        self.config = config
        self.info = info
        self.zoo = zoo
        self.outputs = OutputsInMemory(info)
        self._num_trained = 0
        self._beside: list[Runs] = []
        self._folder = pathlib.Path(config.report_dir) / FOLDER_NAME
        self._strategy = distribution.make_strategy("auto")
        self._compiled = fitting.CompiledModels()
        self._workers = workers
        # One for all calls, so that outputs are sent once.
        self._make_work = functools.partial(run_tasks.make_work, info, self.outputs)

    def make_config(self, method: str, seed: int, **settings: Any) -> MetamodelConfig:
        """Returns the settings of a run, in the folder that is its own."""
        config = MetamodelConfig(
            **{
                "method": method,
                "seed": seed,
                "zoo_dir": self.config.zoo_dir,
                "query_dir": self.config.query_dir,
                "num_queries": self.config.num_queries,
                "num_train": self.config.num_train,
                "num_test": self.config.num_test,
                "epochs": self.config.epochs,
                "image_epochs": self.config.image_epochs,
                "max_memory_mb": self.config.max_memory_mb,
                "evaluate_every": _NEVER,
                "checkpoint_every": 5,
                "resume": True,
                **settings,
            }
        )
        job = self._make_job(config)
        folder = self._folder / run_tasks.name(job)
        return dataclasses.replace(job.config, metamodel_dir=str(folder))

    def train(
        self, experiment: str, configs: Sequence[MetamodelConfig]
    ) -> list[Run | Refused]:
        """Trains the runs that are not there yet; a bar shows which.

        Args:
            experiment: Name of the experiment, for the bar.
            configs: What `make_config` returned.

        Returns:
            What became of them, in their order.

        Raises:
            UserError: If a training did, or workers die of one again and again.
        """
        wanted = {config.metamodel_dir: config for config in configs}
        results: dict[str, Run | Refused] = {}
        with tqdm.tqdm(total=len(wanted), desc=experiment, unit="run") as bar:
            for result in self._settle(list(wanted.values()), bar):
                results[result.config.metamodel_dir] = result
                bar.update()
        return [results[config.metamodel_dir] for config in configs]

    def beside(self, zoo_dir: str, query_dir: str) -> "Runs":
        """Opens another zoo, for the same experiments; runs go to the same folder.

        Raises:
            UserError: If it or its query outputs are missing or do not belong together.
        """
        info, zoo = QueryOutputsInfo.open(query_dir), Zoo.open(zoo_dir)
        info.check_zoo(zoo)
        config = dataclasses.replace(self.config, zoo_dir=zoo_dir, query_dir=query_dir)
        opened = Runs(config, info, zoo, self._workers)
        self._beside.append(opened)
        return opened

    @property
    def num_trained(self) -> int:
        """How many runs were trained and not found, those on zoos beside included."""
        return self._num_trained + sum(other.num_trained for other in self._beside)

    def query_indices(self, config: MetamodelConfig) -> list[int]:
        """Returns which of the stored queries a run reads."""
        return self._make_job(config).choose_queries()

    def load_sides(self, config: MetamodelConfig) -> tuple[Side, Side]:
        """Returns what a run trains on and tests on; see `jobs.load_sides`."""
        return jobs.load_sides(self._make_job(config))

    def split_sizes(self, config: MetamodelConfig) -> tuple[int, int]:
        """Returns how many entries a run trains on and tests on.

        Raises:
            UserError: If a side has too few.
        """
        split = self._make_job(config).split
        return len(split.train_ids), len(split.test_ids)

    def _make_job(self, config: MetamodelConfig) -> jobs.Job:
        return jobs.Job(
            config=config,
            info=self.info,
            outputs=self.outputs,
            strategy=self._strategy,
            keeps_curves=False,
            compiled=self._compiled,
        )

    def _settle(
        self, configs: Sequence[MetamodelConfig], bar: tqdm.tqdm
    ) -> Iterator[Run | Refused]:
        """Yields what became of each run, as soon as it is known."""
        later = []
        for config in configs:
            bar.set_postfix_str(run_tasks.say(config))
            found = self._find(config)
            if not isinstance(found, jobs.Job):
                yield found
            elif self._workers is None:
                yield self._make(found)
            else:
                later.append(found)
        shared = [job for job in later if not job.config.is_crafted]
        if shared and self._workers is not None:
            yield from self._have_made(self._workers, shared, bar)
        for job in later:
            if job.config.is_crafted:
                bar.set_postfix_str(run_tasks.say(job.config))
                yield self._make(job)

    def _find(self, config: MetamodelConfig) -> Run | Refused | jobs.Job:
        """Returns a run that is there, why there is none, or what is to be made."""
        document = read_results(config.metamodel_dir)
        if document is not None:
            return Run(config=config, document=document)
        job = self._make_job(config)
        try:
            # What the zoo does not allow, it says here; later errors are others.
            _ = job.split
            if config.is_crafted:
                self.zoo.check_has_classifiers(config.method)
            if config.method == "kennen-i":
                job.choose_queries()
            else:  # To choose those that tell most takes minutes, where it is made.
                folder_lib.draw_queries(
                    self.info, config.num_queries, config.seed_of_queries
                )
        except UserError as error:
            return Refused(config=config, reason=str(error))
        return job

    def _make(self, job: jobs.Job) -> Run:
        return self._end(job, run_tasks.make(job))

    def _have_made(
        self, workers: engine.Engine, shared: Sequence[jobs.Job], bar: tqdm.tqdm
    ) -> Iterator[Run]:
        """Yields runs as workers have made them; writes their folders."""
        job_of = {job.config.metamodel_dir: job for job in shared}
        bar.set_postfix_str("workers start")
        groups = run_tasks.group(shared, workers.num_workers)
        for made in workers.run(groups, self._make_work, run_tasks.say):
            if made is not None:
                yield self._write(job_of[made.config.metamodel_dir], made)
            words = run_tasks.say_crew(workers.crew)
            # Twice a second nothing is new, which a log should not be filled with.
            if words not in ("", bar.postfix):
                bar.set_postfix_str(words)

    def _write(self, job: jobs.Job, made: run_tasks.Made) -> Run:
        """Writes the folder of a run, as if it had been trained there."""
        folder_lib.write_description(
            artifacts.make_folder(job.folder),
            job.description,
            job.table,
            job.split,
            list(made.query_indices),
            self.info.query_inputs,
        )
        # The worker's versions; the command and the commit are this process's.
        ours = artifacts.provenance()
        asked = {key: ours[key] for key in ("command", "commit")}
        provenance = {**made.document["provenance"], **asked}
        return self._end(job, {**made.document, "provenance": provenance})

    def _end(self, job: jobs.Job, document: dict[str, Any]) -> Run:
        """Writes that a run is there."""
        artifacts.write_json(job.folder / RESULTS_NAME, document)
        shutil.rmtree(job.folder / folder_lib.CHECKPOINTS_NAME, ignore_errors=True)
        self._num_trained += 1
        return Run(config=job.config, document=document)
