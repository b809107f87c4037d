"""Runs: metamodels that experiments train, score, share and find again.

A run is a `MetamodelConfig`. Its folder in report_dir/runs is named after the settings
and a hash of all that decides its result: settings, recipes and the fingerprints of
query outputs and zoo. So a run is trained once, whichever experiments ask for it and
however often, and never taken for one of other query outputs. `results.json` is written
last; without it, a run goes on from its checkpoint.
"""

import dataclasses
import hashlib
import pathlib
import shutil
import time
from collections.abc import Sequence
from typing import Any

import keras
import tqdm

from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.configs.reproduction import ReproductionConfig
from kennen_tf.evaluation.results import RESULTS_NAME, read_results
from kennen_tf.machine import distribution
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels import jobs, making, scoring
from kennen_tf.metamodels.metamodel import Metamodel
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

    Attributes:
        config: Settings of the experiments.
        info: The query outputs.
        zoo: The zoo that was queried.
        outputs: All outputs, in memory.
        num_trained: How many runs were trained and not found.
    """

    def __init__(
        self,
        config: ReproductionConfig,
        info: QueryOutputsInfo,
        zoo: Zoo,
    ):
        self.config = config
        self.info = info
        self.zoo = zoo
        self.outputs = OutputsInMemory(info)
        self.num_trained = 0
        self._folder = pathlib.Path(config.report_dir) / FOLDER_NAME
        self._strategy = distribution.make_strategy("auto")
        self._compiled = fitting.CompiledModels()

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
        deciding = folder_lib.deciding(job.description)
        name = f"{_say(job.config)}-{artifacts.fingerprint(deciding)[:8]}"
        return dataclasses.replace(job.config, metamodel_dir=str(self._folder / name))

    def train(
        self, experiment: str, configs: Sequence[MetamodelConfig]
    ) -> list[Run | Refused]:
        """Trains the runs that are not there yet; a bar shows which.

        Args:
            experiment: Name of the experiment, for the bar.
            configs: What `make_config` returned.
        """
        results: list[Run | Refused] = []
        with tqdm.tqdm(total=len(configs), desc=experiment, unit="run") as bar:
            for config in configs:
                bar.set_postfix_str(_say(config))
                results.append(self._get(config))
                bar.update()
        return results

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

    def _get(self, config: MetamodelConfig) -> Run | Refused:
        document = read_results(config.metamodel_dir)
        if document is None:
            job = self._make_job(config)
            try:
                # What the zoo does not allow, it says here; later errors are others.
                _ = job.split, job.choose_queries()
            except UserError as error:
                return Refused(config=config, reason=str(error))
            document = self._make(job)
            self.num_trained += 1
        return Run(config=config, document=document)

    def _make(self, job: jobs.Job) -> dict[str, Any]:
        started = time.monotonic()
        trained = making.make(job)
        if job.config.is_crafted:
            metamodel = Metamodel.load(job.folder)
        else:
            if trained is None:
                raise ValueError(f"{job.folder} holds a metamodel without results.")
            metamodel = Metamodel(
                config=job.config,
                attributes=self.info.attributes,
                split=job.split,
                query_indices=tuple(job.choose_queries()),
                query_inputs=self.info.query_inputs.take(job.choose_queries()),
                fingerprints={
                    **job.description["fingerprints"],
                    "metamodel": _fingerprint(trained.model),
                },
                keras_model=trained.model,
            )
        document = scoring.score(metamodel, self.info, outputs=self.outputs)
        document["seconds"] = time.monotonic() - started
        artifacts.write_json(job.folder / RESULTS_NAME, document)
        shutil.rmtree(job.folder / folder_lib.CHECKPOINTS_NAME, ignore_errors=True)
        return document


def _say(config: MetamodelConfig) -> str:
    """Returns what distinguishes a run, in a few words that suit a folder's name."""
    representation = config.representation
    if representation == "top-k":
        representation = f"top-{config.top_k}"
    parts = [
        config.method,
        config.recipe if config.recipe != MetamodelConfig.recipe else "",
        representation,
        f"{config.num_queries}q",
        config.split,
        f"{config.num_train}t" if config.num_train else "",
        f"seed{config.seed}",
        f"draw{config.query_seed}" if config.query_seed >= 0 else "",
    ]
    return "-".join(filter(None, parts))


def _fingerprint(model: keras.Model) -> str:
    """Returns 16 hexadecimal digits that name a model's weights."""
    digest = hashlib.sha256()
    for weights in model.get_weights():
        digest.update(weights.tobytes())
    return digest.hexdigest()[:16]
