"""A zoo that is built in seconds: its specs, its images, and what is compared of it."""

import json

import design_fakes
import numpy as np

from kennen_tf.designs import digits_net
from kennen_tf.zoo import store

# Two classifiers for each of three compiled steps, on a half of few images each.
SPECS = [
    design_fakes.make_spec(digits_net.DESIGN, seed, split="half1", bs=64, **changes)
    for changes in ({"alg": "adam"}, {"alg": "sgd", "drop": "yes"}, {"fc": 2})
    for seed in (1, 2)
]


def write_source(folder):
    """Writes the images and the specs to a folder; returns the command for them."""
    images = design_fakes.small_images(digits_net.DESIGN, 700, 200)
    np.savez(folder / "digits.npz", **images._asdict())
    lines = [json.dumps(spec.to_json()) for spec in SPECS]
    (folder / "specs.jsonl").write_text("\n".join(lines))
    return (
        f"build_zoo --design=digits_net --dataset={folder}/digits.npz "
        f"--specs={folder}/specs.jsonl"
    )


def contents(zoo_dir):
    """Returns what two equal zoos have in common: all but times."""
    rows = [record.to_json() for record in store.read_manifest(zoo_dir)]
    for row in rows:
        del row["seconds"]
    return rows
