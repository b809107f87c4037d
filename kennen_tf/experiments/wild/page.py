"""What the experiment has to say: tables, and one figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from kennen_tf.attributes import AttributeTable
from kennen_tf.evaluation import figures
from kennen_tf.evaluation.results import AttributeResult, Results
from kennen_tf.experiments.shared.sections import Picture, Section, Table

_NONE = "-"
_SIDES = {"held_out": "entries of the zoo held out", "files": "other people's files"}
_SHORT = {"held_out": "held out", "files": "files"}
_METHODS = ("kennen-o", "kennen-s", "kennen-io")
# Whose figure is drawn, the first that there is: of the ready metamodels.
_DRAWN = ("kennen-io", "kennen-s")


def draw(result: Mapping[str, Any]) -> dict[str, Figure]:
    """Draws the coarse questions: held out, and files, beside chance."""
    row = _pick(result)
    sides = {side: row[side] for side in _SIDES if row[side]}
    results = {s: Results.from_json(own["questions"]) for s, own in sides.items()}
    asked = [own.attribute for own in next(iter(results.values())).attributes]
    figure, axes = figures.make_bars([figures.name_in_full(own) for own in asked])
    handles: dict[str, Any] = {}
    for number, (side, own) in enumerate(results.items()):
        for place, question in enumerate(own.attributes):
            if question.accuracy is None or question.interval is None:
                continue
            at = place + (number - (len(results) - 1) / 2) * 0.36
            accuracy = 100 * question.accuracy
            lower, upper = (100 * end for end in question.interval)
            handles[_SIDES[side]], handles["95% interval"] = figures.add_bar(
                axes,
                at,
                accuracy,
                (lower, upper),
                height=0.34,
                color=("0.9", "0.65")[number],
            )
            if question.chance is not None:
                handles["chance"] = axes.vlines(
                    100 * question.chance, at - 0.18, at + 0.18, "black", ":"
                )
            axes.text(
                max(upper, accuracy) + 1.5,
                at,
                f"{accuracy:.0f} ({question.count})",
                va="center",
                fontsize=7,
            )
    axes.set_xlim(0, 115)
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("class-balanced accuracy (%), classifiers in brackets", fontsize=9)
    figures.add_legend(figure, handles, columns=2)
    figure.suptitle(f"{row['label']} on classifiers that others published", fontsize=10)
    return {"questions": figure}


def show(result: Mapping[str, Any], table: AttributeTable) -> Section:
    """Says all of it."""
    rows = result["rows"]
    sides = [side for side in _SIDES if any(row[side] for row in rows)]
    tables = [_tabulate(rows, side) for side in reversed(sides)]
    tables += [_count_right(rows)] if "files" in sides else []
    tables.append(_tabulate_attributes(rows, sides, table))
    tables += [_tabulate_epochs(result["epochs"], side) for side in sides]
    picked = _pick(result)
    tables += [own for side in sides if (own := _confuse(picked, side)) is not None]
    tables.append(_tabulate_strange(result["strange"]))
    failed = [
        f"{name} could not be asked: {why}" for name, why in result["failed"].items()
    ]
    return Section(
        title="Classifiers that others published (not in the paper)",
        about=f"Metamodels trained on {result['num_train']:,} entries of the zoo and "
        f"tested on {result['num_test']:,} held out, and on {result['num_networks']} "
        f"networks of {result['num_files']} files that others trained: those of the "
        "same weights count once, what is not known of one counts nowhere, and "
        "nothing was chosen by them here. Pooling, kernels and numbers of convolutions "
        "are asked of convolutional networks alone.",
        tables=tables,
        pictures=[
            Picture(
                stem="questions",
                caption="Coarse questions, of entries held out and of files.",
            )
        ],
        notes=[*_explain(rows, sides), *failed],
    )


def _explain(rows: Sequence[Mapping[str, Any]], sides: Sequence[str]) -> list[str]:
    """Returns what codes of questions mean, and what rows are."""
    asked = Results.from_json(rows[0][sides[0]]["questions"]).attributes
    return [
        "; ".join(f"{own.code}: {own.description}" for own in asked) + ".",
        "Undivided: log-probabilities are read as they are, not over their root mean "
        "square. Values alike: none is likelier than others beforehand, where the "
        "package's metamodels name sooner what is common in its zoo. kennen-s and "
        "kennen-io are what the ready metamodels of a package are.",
    ]


def _pick(result: Mapping[str, Any]) -> Mapping[str, Any]:
    by_label = {row["label"]: row for row in result["rows"]}
    return next(by_label[own] for own in _DRAWN if own in by_label)


def _tabulate(rows: Sequence[Mapping[str, Any]], side: str) -> Table:
    scored = [
        (row["label"], Results.from_json(row[side]["questions"]))
        for row in rows
        if row[side]
    ]
    columns = {own.name: own.code for own in scored[0][1].attributes}
    return Table(
        caption=f"{_SIDES[side].capitalize()}, coarse questions: class-balanced "
        "accuracy in %, its 95% interval over classifiers, and chance.",
        columns=["metamodel", *columns.values()],
        rows=[
            [label, *(_say(_find(results, name)) for name in columns)]
            for label, results in scored
        ]
        + [["chance", *(_say_chance(scored, name) for name in columns)]],
    )


def _tabulate_attributes(
    rows: Sequence[Mapping[str, Any]], sides: Sequence[str], table: AttributeTable
) -> Table:
    shown = [row for row in rows if row["label"] in _METHODS]
    scored = {
        (row["label"], side): Results.from_json(row[side]["attributes"])
        for side in sides
        for row in shown
        if row[side]
    }
    lines = []
    for attribute in table:
        found = {key: _find(own, attribute.name) for key, own in scored.items()}
        if any(own and own.accuracy is not None for own in found.values()):
            cells = [_say(own) for own in found.values()]
            chance = f"{100 * attribute.chance:.0f}"
            lines.append([attribute.in_full, *cells, chance])
    return Table(
        caption="Each attribute, of entries held out and of other people's files: "
        "class-balanced accuracy in %, its 95% interval over classifiers; where files "
        "have one value only, there is none.",
        columns=[
            "attribute",
            *(f"{label}, {_SHORT[side]}" for label, side in scored),
            "chance",
        ],
        rows=lines,
    )


def _find(results: Results, name: str) -> AttributeResult | None:
    return next((own for own in results.attributes if own.name == name), None)


def _say(result: AttributeResult | None) -> str:
    if result is None or result.accuracy is None or result.interval is None:
        return _NONE
    lower, upper = result.interval
    return f"{100 * result.accuracy:.0f} ({100 * lower:.0f}-{100 * upper:.0f})"


def _say_chance(scored: Sequence[tuple[str, Results]], name: str) -> str:
    found = [_find(results, name) for _, results in scored]
    chances = [own.chance for own in found if own and own.chance is not None]
    return f"{100 * chances[0]:.0f}" if chances else _NONE


def _count_right(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Returns how many files each names rightly, most of which are alike."""
    read = [row for row in rows if row["files"]]
    scored = [
        (row["label"], Results.from_json(row["files"]["questions"])) for row in read
    ]
    columns = {own.name: own.code for own in scored[0][1].attributes}
    lines = []
    for label, results in scored:
        cells = []
        for name in columns:
            own = _find(results, name)
            matrix = np.asarray(own.confusion) if own else np.zeros((1, 1), int)
            total = int(matrix.sum())
            cells.append(f"{int(np.trace(matrix))} of {total}" if total else _NONE)
        lines.append([label, *cells])
    # Of all of them: those whose files are there are fewer.
    guessed, asked = read[0]["files"]["guessed"], scored[0][1]
    cells = [f"{guessed[name]} of {asked[name].count}" for name in columns]
    lines.append(["the same answer to all", *cells])
    return Table(
        caption="Other people's files: how many are named rightly, values counted as "
        "often as they occur; of the last line, the answer that is right most often.",
        columns=["metamodel", *columns.values()],
        rows=lines,
    )


def _tabulate_epochs(rows: Sequence[Mapping[str, Any]], side: str) -> Table:
    scored = [(row, Results.from_json(row[side]["questions"])) for row in rows]
    columns = {o.name: o.code for o in scored[0][1].attributes} if scored else {}
    return Table(
        caption=f"{_SIDES[side].capitalize()}, by the passes over their data that the "
        "classifiers made which kennen-s learned from: class-balanced accuracy in %.",
        columns=["passes", "to train", *columns.values()],
        rows=[
            [
                " or ".join(map(str, row["epochs"])),
                str(row["num_train"]),
                *(_say(_find(results, name)) for name in columns),
            ]
            for row, results in scored
        ],
    )


def _confuse(row: Mapping[str, Any], side: str) -> Table | None:
    found = Results.from_json(row[side]["questions"]).attributes
    kind = next((own for own in found if own.name == "kind"), None)
    if kind is None:
        return None
    return Table(
        caption=f"{_SIDES[side].capitalize()}: what {row['label']} takes perceptrons "
        "and convolutional networks for, by number.",
        columns=["true", *(f"named {value}" for value in kind.values)],
        rows=[
            [str(value), *map(str, counts)]
            for value, counts in zip(kind.values, kind.confusion, strict=True)
        ],
    )


def _tabulate_strange(found: Mapping[str, Any]) -> Table:
    kinds = list(dict.fromkeys(kind for own in found.values() for kind in own))
    return Table(
        caption="Which share is called unlike the zoo, in %, of how many; of entries "
        "held out and other people's networks, that is a false alarm. Networks of "
        "other images name the digits no better than by chance, too, and are told so.",
        columns=["queries of", *kinds],
        rows=[
            [
                method,
                *(
                    f"{100 * own[kind]['flagged']:.0f} of {len(own[kind]['p_values'])}"
                    if kind in own
                    else _NONE
                    for kind in kinds
                ),
            ]
            for method, own in found.items()
        ],
    )
