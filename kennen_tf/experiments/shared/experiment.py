"""What an experiment is."""

import abc
from typing import Any

from matplotlib.figure import Figure

from kennen_tf.attributes import AttributeTable
from kennen_tf.experiments.shared.runs import Runs
from kennen_tf.experiments.shared.sections import Section


class Experiment(abc.ABC):
    """A table or a figure of the paper.

    Attributes:
        name: As flags and folders spell it.
    """

    name: str

    @abc.abstractmethod
    def measure(self, runs: Runs) -> dict[str, Any]:
        """Trains what is missing; returns all numbers, as JSON holds them."""

    @abc.abstractmethod
    def draw(self, result: dict[str, Any], table: AttributeTable) -> dict[str, Figure]:
        """Draws what `measure` returned; the keys are the stems of the files.

        Args:
            result: What `measure` returned.
            table: The zoo's attributes.
        """

    @abc.abstractmethod
    def show(self, result: dict[str, Any], table: AttributeTable) -> Section:
        """Says what `measure` returned; arguments are those of `draw`."""
