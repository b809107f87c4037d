"""The truth about a black box that is a classifier of a zoo."""

import pathlib

from kennen_tf.attributes import AttributeTable, Values
from kennen_tf.keras_models import archives
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import store
from kennen_tf.zoo.store import Zoo


def find_truth(zoo_dir: str, path: str, table: AttributeTable) -> Values | None:
    """Returns what `true_values` does, of the zoo in a folder; None without one.

    Attributes of other values than the metamodel's, whose table is given, are left out:
    "no" of one that pools or not is another thing than "no" of one that pools somehow.
    """
    if not zoo_dir:
        return None
    zoo = Zoo.open(zoo_dir)
    return {
        name: value
        for name, value in true_values(zoo, path).items()
        if name in table and zoo.attributes[name].values == table[name].values
    }


def true_values(zoo: Zoo, path: str) -> Values:
    """Returns the value of every attribute of a zoo's classifier, None if not known.

    Args:
        zoo: The zoo.
        path: Of the classifier's file or folder, wherever it was copied to, or of a
            file that holds the same layers and weights; or the function, if it was
            imported as one.

    Raises:
        UserError: If the file is none of the zoo's classifiers.
    """
    file = pathlib.Path(path)
    own = store.fingerprint_of(file) if file.exists() else ""
    for record in zoo.accepted:
        is_own = record.sha256 == own if record.sha256 else record.file == path
        if is_own:
            return zoo.values_of([record])
    twin = archives.fingerprint(file)
    for record in zoo.accepted if twin else ():
        if archives.fingerprint(zoo.classifier_path(record)) == twin:
            return zoo.values_of([record])
    raise UserError(
        f"With --zoo_dir, a black box must be a classifier of the zoo in {zoo.zoo_dir}."
        f" Received: {path}. Leave out --zoo_dir to reveal any other."
    )
