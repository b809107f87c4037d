"""Folders of runs of the ImageNet half: new, of this very run, or of something else."""

import contextlib
import pathlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

SCHEMA_VERSION = 1
CONFIG_NAME = "config.json"
RESULTS_NAME = "results.json"

# What is kept does not depend on these, but for AIPs on the size of a batch: `aip_run`
# keeps and checks that.
_FREE_FIELDS = ("output_dir", "resume", "weights_dir", "batch_size")


@contextlib.contextmanager
def open_run(
    binary: str,
    config: Mapping[str, Any],
    made_from: Mapping[str, Any],
    *,
    free_fields: Collection[str] = (),
) -> Iterator[pathlib.Path]:
    """Holds the folder of a run, new or stopped before, and yields it.

    Args:
        binary: Name of the binary.
        config: Its config as plain values; "output_dir" and "resume" among them.
        made_from: Fingerprints of what else decides the results.
        free_fields: More fields of the config that may change from call to call: what
            is kept does not depend on them.

    Raises:
        UserError: If the folder holds anything else, or this run and "resume" is false.
    """
    folder = pathlib.Path(config["output_dir"])
    description = {
        "schema_version": SCHEMA_VERSION,
        "kind": binary,
        "config": dict(config),
        "made_from": dict(made_from),
    }
    free = {*_FREE_FIELDS, *free_fields}
    _check(folder, description, free)
    artifacts.make_folder(folder)
    with artifacts.folder_lock(folder, f"running {binary}"):
        artifacts.remove_incomplete(folder)
        if not (folder / CONFIG_NAME).exists():
            header = {**description, "provenance": artifacts.provenance()}
            artifacts.write_json(folder / CONFIG_NAME, header)
        yield folder


def _check(
    folder: pathlib.Path, wanted: Mapping[str, Any], free: Collection[str]
) -> None:
    path = folder / CONFIG_NAME
    if not path.exists():
        names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
        foreign = sorted(
            n for n in names if n[0] != "." and artifacts.TEMPORARY_MARK not in n
        )
        if foreign:
            raise UserError(
                "--output_dir must be a new or empty folder, or one of the same run. "
                f"Received: {folder}, which holds {foreign[:3]}."
            )
        return
    stored = artifacts.read_json(path, wanted="run", make_with=wanted["kind"])
    artifacts.check_schema(stored, SCHEMA_VERSION, path)
    if stored.get("kind") != wanted["kind"]:
        raise UserError(
            f"--output_dir must be a folder of {wanted['kind']}. Received: {folder}, "
            f"of {stored.get('kind')}. Choose another."
        )
    differing = [
        f"{name} {stored.get(part, {}).get(name)!r}, not {value!r}"
        for part in ("config", "made_from")
        for name, value in wanted[part].items()
        if name not in free and stored.get(part, {}).get(name) != value
    ]
    if differing:
        raise UserError(
            f"{folder} holds a run of other settings: {'; '.join(differing)}. Choose "
            "another --output_dir, or remove that folder."
        )
    if not wanted["config"]["resume"]:
        done = (folder / RESULTS_NAME).exists()
        raise UserError(
            f"{folder} holds the same run, {'finished' if done else 'not finished'}. "
            "Say --resume to keep what is there and do only what is missing, or choose "
            "another --output_dir."
        )
