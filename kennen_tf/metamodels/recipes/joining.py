"""A kernel regression beside networks: answers are the mean of both.

They err on other classifiers, so the mean tells more than either. The regression is
solved for before the networks are trained, which takes less time than they do, so that
all curves are those of the metamodel as it will be.
"""

from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.recipes import KernelRecipe, Recipe
from kennen_tf.metamodels.recipes import fitting, heads, mlp, solving

Array = npt.NDArray[np.float32]


class Beside:
    """A regression that is solved for, to be joined with networks.

    Attributes:
        recipe: How it reads.
        left_out: What it says of each training entry without its combination.
    """

    def __init__(
        self,
        recipe: KernelRecipe,
        table: AttributeTable,
        train_features: Array,
        labels: heads.Labels,
        combination_ids: Sequence[str],
    ):
        """Solves for it; arguments are those of `kernel.fit`."""
        self.recipe = recipe
        self.left_out: heads.LeftOut = {}
        self._table = table
        models = solving.fit(
            recipe, table, train_features, labels, combination_ids, self.left_out
        )
        self._models = fitting.PairedModels(table, *models)
        self._said: list[tuple[Array, Array]] = []

    def predict_logits(self, networks: fitting.PairedModels, features: Array) -> Array:
        """Returns what `join` will, with networks as they are now.

        Args:
            networks: Those that are trained.
            features: Represented outputs, `(entries, num_queries, classes)`. What the
                regression says of them is kept: each evaluation asks for the same.

        Returns:
            `(entries, sum of values)`: the logarithms of mean probabilities.
        """
        said = next((own for asked, own in self._said if asked is features), None)
        if said is None:
            said = self._models.predict_logits(features)
            self._said.append((features, said))
        both = np.logaddexp(networks.predict_logits(features), said)
        return both - np.float32(np.log(2))

    def join(
        self, recipe: Recipe, networks: fitting.PairedModels, train_features: Array
    ) -> fitting.PairedModels:
        """Makes one metamodel of both, of layers of Keras only.

        Args:
            recipe: Of the networks; its groups are those of the table.
            networks: They have been trained.
            train_features: Represented outputs `(entries, num_queries, classes)`.
        """
        # Networks of their own: those that were trained may be trained again, for
        # another metamodel, or lie on several devices.
        _, own = mlp.build(recipe, self._table, train_features, 0)
        own.set_weights(networks.model.get_weights())
        inputs = keras.Input(train_features.shape[1:], name="features")
        trained, solved = (
            _by_attribute(self._table, model(inputs))
            for model in (own, self._models.model)
        )
        logits = {}
        for name in self._table.names:
            # As many members of either kind: the mean over all is that of both.
            members = [trained[name], *[solved[name]] * recipe.members]
            logits[name] = keras.layers.Concatenate(1, name=f"{name}_both")(members)
        models = heads.make_models(self._table, inputs, logits, "joined")
        return fitting.PairedModels(self._table, *models)

    def join_left_out(self, left_out: heads.LeftOut) -> heads.LeftOut:
        """Returns what both say of entries that neither has seen.

        Args:
            left_out: What networks say of some entries, trained without them.

        Returns:
            The same without attributes of which no entry has a value.
        """
        return {
            name: (own + self.left_out[name]) / 2
            for name, own in left_out.items()
            if name in self.left_out
        }


def _by_attribute(
    table: AttributeTable, logits: keras.KerasTensor
) -> dict[str, keras.KerasTensor]:
    """Divides logits side by side, `(batch, members, sum of values)`, by attribute."""
    ends = heads.ends_of(table)
    return {
        # An operation like `split` would bear the name of an attribute.
        name: logits[..., end - num_values : end]
        for name, num_values, end in zip(
            table.names, table.num_values, ends, strict=True
        )
    }
