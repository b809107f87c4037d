"""Audits a classifier of yours: what its answers give away, and what hides it.

    python -m kennen_tf.audit_classifier --classifier=mine.keras --report_dir=audit
    python -m kennen_tf.audit_classifier --classifier=mine.keras --query_dir=queries
        --zoo_dir=zoo --truth=act=relu,drop=yes --report_dir=audit
    python -m kennen_tf.audit_classifier --classifier=mine.keras --report_dir=audit
        --defences=round:2,label,my_module:defend --fail_above=4
    python -m kennen_tf.audit_classifier --attack_dir=runs/attack --report_dir=audit

Asks the classifier what an attacker would, and names its attributes from the answers:
with natural, chosen and crafted queries, from 1 to 200 of them, and from answers that
are defended in each of a few ways, by an attacker who does not know of the defence and
by one who learned from answers defended alike. Says what each defence costs, whether
the queries would be noticed, and what to do.

Writes report_dir/index.html, which stands alone, audit.json, defences.csv and PNGs.
Answers of a URL are kept in report_dir, and not asked for again. With --fail_above=BITS
the exit status is 3 if the classifier gives away more than that, as it answers now.
"""

import contextlib
import dataclasses
import pathlib
import sys
from typing import TYPE_CHECKING

from flags import common
from kennen_tf.configs.auditing import AuditConfig

if TYPE_CHECKING:
    from kennen_tf.auditing.audits import Audit
    from kennen_tf.auditing.report import Part

TOO_MUCH = 3


def audit_classifier(config: AuditConfig) -> None:
    """Audits a classifier, prints what was found and writes a report.

    Raises:
        UserError: If what attackers learn from, the classifier, a defence or the truth
            cannot be had or is not as it should be.
        SystemExit: With status 3, if more is given away than allowed.
    """
    from kennen_tf.evaluation import printing
    from kennen_tf.machine import startup

    startup.import_tensorflow()

    from kennen_tf.auditing import audit_tables, recommending, report

    folder = report.open_folder(config.report_dir)
    # What a classifier prints itself would get between the lines of the tables.
    with contextlib.redirect_stdout(sys.stderr):
        parts = [_audit_family(config)] if config.attack_dir else []
        found = _audit(config, folder) if config.classifier else None
    page = report.write(folder, found, parts, config.to_json())
    if found is not None:
        cells = [
            audit_tables.findings(found),
            audit_tables.counts(found),
            audit_tables.defences(found),
            audit_tables.alarms(found),
        ]
        for own in filter(None, cells):
            printing.print_table(own.to_rich(), [])
        for sentence in (*found.revelation.notes, *recommending.recommend(found)):
            print(sentence)
    for part in parts:
        for own in part.tables:
            printing.print_table(own.to_rich(), [])
        for note in part.notes:
            print(note)
    print(f"{page}: the report; all numbers are in {report.JSON_NAME} beside it.")
    if found is not None and 0 <= config.fail_above < found.as_it_is.own_total:
        print(
            f"error: the classifier gives away {found.as_it_is.own_total:.2f} bits, "
            f"more than --fail_above={config.fail_above:g}.",
            file=sys.stderr,
        )
        sys.exit(TOO_MUCH)


def _audit(config: AuditConfig, folder: pathlib.Path) -> "Audit":
    from kennen_tf.auditing import audits, sources
    from kennen_tf.black_boxes.forms import Form
    from kennen_tf.revealing import boxes

    knowledge = sources.open_knowledge(config)
    asking = config.to_reveal()
    if "://" in config.classifier and not config.answers:
        kept = folder / boxes.default_answers(config.classifier)
        asking = dataclasses.replace(asking, answers=str(kept))
    form = Form.of(knowledge.info.image_shape, knowledge.info.num_classes)
    return audits.audit(config, knowledge, boxes.open_box(asking, form))


def _audit_family(config: AuditConfig) -> "Part":
    from kennen_tf.imagenet.auditing import family_part

    return family_part.make(config)


def main() -> None:
    """Runs `audit_classifier` with the flags of the command line."""
    common.run(audit_classifier, AuditConfig)


if __name__ == "__main__":
    main()
