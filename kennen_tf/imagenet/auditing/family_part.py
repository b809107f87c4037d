"""The part of a leak audit's report that is about an ImageNet classifier's family."""

import tqdm

from kennen_tf.auditing.audit_tables import Cells
from kennen_tf.auditing.report import Part
from kennen_tf.configs.auditing import AuditConfig
from kennen_tf.imagenet.auditing import (
    attack_folder,
    family_audit,
    family_audit_reporting,
)


def make(config: AuditConfig) -> Part:
    """Audits the family of a black box that `attack_black_box` attacked.

    Raises:
        UserError: See `attack_folder.open_answers` and `family_audit.audit`.
    """
    answers = attack_folder.open_answers(config.attack_dir)
    names = config.defence_names
    with tqdm.tqdm(total=len(names), desc="family", unit="defence") as bar:
        found = family_audit.audit(
            answers,
            names,
            family=config.family or None,
            num_asked=config.num_asked,
            seed=config.seed,
            on_defence=bar.update,
        )
    table = family_audit_reporting.audit_table(found)
    return Part(
        name="family",
        title="The family of an ImageNet classifier",
        tables=(Cells.from_rich(table),),
        notes=tuple(family_audit_reporting.audit_notes(found)),
        figure=family_audit_reporting.audit_figure(found),
        caption="How often the family is named, and how many images err.",
        numbers=found.to_json(),
    )
