"""Exports a metamodel that was trained, with all that is known of it."""

import pathlib
from collections.abc import Mapping
from typing import Any

from kennen_tf.metamodels.metamodel import Metamodel
from kennen_tf.revealing import exporting
from kennen_tf.vocabulary import artifacts


def export(
    metamodel: Metamodel,
    results: Mapping[str, Any] | None,
    export_dir: artifacts.Path,
    *,
    overwrite: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> pathlib.Path:
    """Writes an exported metamodel; see `exporting.export`.

    Args:
        metamodel: It is finished.
        results: What results.json holds, if it was evaluated.
        export_dir, overwrite: As those of `exporting.export`.
        changes: What the export says otherwise, e.g. of its "provenance".

    Raises:
        UserError: As `exporting.export`.
    """
    description: dict[str, Any] = {
        "config": metamodel.config.to_json(),
        "fingerprints": dict(metamodel.fingerprints),
        "labels": metamodel.query_inputs.labels.tolist(),
        "levels": len(metamodel.limits),
    }
    if metamodel.query_accuracies:
        description["query_accuracies"] = list(metamodel.query_accuracies)
    # Results of a metamodel that was trained anew since are not this one's.
    if results and results["fingerprints"] == metamodel.fingerprints:
        description["test_accuracy"] = {
            row["name"]: row["accuracy"]
            for row in results["attributes"]
            if row["name"] in metamodel.attribute_names
        }
    description |= changes or {}
    return exporting.export(
        metamodel.keras_model,
        table=metamodel.attributes,
        representation=metamodel.config.representation,
        top_k=metamodel.config.top_k,
        pixels=metamodel.query_inputs.pixels,
        description=description,
        export_dir=export_dir,
        overwrite=overwrite,
        coarse=metamodel.load_coarse(),
        limits=metamodel.limits,
    )
