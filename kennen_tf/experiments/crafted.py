"""crafted: the images of kennen-i, and how well each names its attribute (Figure 3)."""

import base64
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from kennen_tf.attributes import AttributeTable
from kennen_tf.evaluation import figures, paper
from kennen_tf.experiments.shared import summaries
from kennen_tf.experiments.shared.experiment import Experiment
from kennen_tf.experiments.shared.runs import Refused, Run, Runs
from kennen_tf.experiments.shared.sections import Picture, Section, Table
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels.metamodel import Metamodel
from kennen_tf.vocabulary import artifacts

_METHOD = "kennen-i"


def _images(run: Run) -> dict[str, Any]:
    """Returns each attribute's image, base64 of its bytes, and its accuracies."""
    metamodel = Metamodel.load(run.folder)
    rows = artifacts.read_json_lines(run.folder / folder_lib.METRICS_NAME)
    trained = rows[-1]["train"]["accuracy"]
    tested = {a["name"]: a for a in run.document["attributes"]}
    return {
        name: {
            "pixels": base64.b64encode(image.tobytes()).decode(),
            "shape": list(image.shape),
            "train_accuracy": trained.get(name),
            "test_accuracy": tested[name]["accuracy"],
            "test_interval": tested[name]["interval"],
            "chance": tested[name]["chance"],
        }
        for name, image in zip(
            metamodel.attribute_names, metamodel.query_inputs.images, strict=True
        )
    }


class Crafted(Experiment):
    """The images of kennen-i."""

    name = "crafted"

    def measure(self, runs: Runs) -> dict[str, Any]:
        # Crafts an image for each attribute, for each seed; keeps those of the first.
        configs = [runs.make_config(_METHOD, s) for s in runs.config.seeds(_METHOD)]
        results = runs.train(self.name, configs)
        first, table = results[0], runs.info.attributes
        row = paper.table_2_row(
            _METHOD,
            configs[0].representation,
            configs[0].split,
            table,
        )
        return {
            "summary": summaries.summarize_runs(results, table),
            "images": {} if isinstance(first, Refused) else _images(first),
            "paper": {n: row.accuracy(n) if row else None for n in table.names},
            "paper_source": row.source if row else "",
        }

    def draw(self, result: dict[str, Any], table: AttributeTable) -> dict[str, Figure]:
        if not result["images"]:
            return {}
        columns = min(figures.COLUMNS, len(result["images"]))
        num_rows = -(-len(result["images"]) // columns)
        keys = {name: figures.class_key(table[name]) for name in result["images"]}
        names = {name: figures.name_in_full(table[name]) for name in result["images"]}
        num_lines = max(
            keys[name].count("\n") + names[name].count("\n") for name in names
        )
        height = 2.6 + 0.15 * num_lines
        figure = figures.make_figure(figures.WIDTH, height * num_rows + 0.8)
        for place, (name, own) in enumerate(result["images"].items(), start=1):
            axes = figure.add_subplot(num_rows, columns, place)
            pixels = np.frombuffer(base64.b64decode(own["pixels"]), np.uint8)
            # Before there were other images, all were of digits.
            image = pixels.reshape(own.get("shape", (28, 28, 1))) / np.float32(255)
            axes.imshow(figures.colors_of(image), interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            accuracy, chance = own["test_accuracy"], own["chance"]
            text = "not scored"
            if accuracy is not None:
                text = (
                    f"named rightly: {100 * accuracy:.0f}% (chance {100 * chance:.0f}%)"
                )
            axes.set_title(names[name], fontsize=9)
            axes.set_xlabel(f"{keys[name]}\n{text}", fontsize=8)
        figure.suptitle(
            "Images that kennen-i crafted: the class (the digit) that a\n"
            "classifier sees in one names the value of its attribute",
            fontsize=10,
        )
        return {"images": figure}

    def show(self, result: dict[str, Any], table: AttributeTable) -> Section:
        scores = result["summary"]["scores"]
        rows = []
        has_paper = paper.is_papers(table)
        for attribute in table:
            name, score = attribute.name, scores[attribute.name]
            own = result["images"].get(name, {})
            trained, beside = own.get("train_accuracy"), result["paper"][name]
            classes = ", ".join(
                f"{i}: {value}" for i, value in enumerate(attribute.values)
            )
            rows.append(
                [
                    attribute.in_full,
                    classes,
                    "-" if score is None else f"{100 * score['chance']:.1f}",
                    "-" if trained is None else f"{100 * trained:.1f}",
                    summaries.say(score and score["accuracy"]),
                ]
            )
            if has_paper:
                rows[-1].append("-" if beside is None else f"{beside:.1f}")
        columns = ["attribute", "class: value", "chance", "training", "test"]
        return Section(
            title="Crafted images (kennen-i)",
            about="One image for each attribute, made so that the class which a "
            "classifier sees in it is the label of the attribute. It needs one label "
            "of one query.",
            tables=[
                Table(
                    caption="Class-balanced accuracy in %: of the first seed on "
                    "training classifiers, and mean (lowest-highest) over seeds on "
                    "test classifiers."
                    + (" The column with † is the paper's." if has_paper else ""),
                    columns=[*columns, "† test"] if has_paper else columns,
                    rows=rows,
                )
            ],
            pictures=[
                Picture(
                    stem="images",
                    caption="The images of the first seed; below each, which class "
                    "stands for which value, and class-balanced accuracy on test "
                    "classifiers.",
                )
            ]
            if result["images"]
            else [],
            notes=[
                *result["summary"]["refused"],
                *(
                    [f"† Table 2 of the paper ({result['paper_source']})."]
                    if has_paper
                    else []
                ),
            ],
        )
