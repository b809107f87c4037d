"""Phases of kennen-io: when images learn and when the metamodel does."""

import dataclasses
from collections.abc import Sequence

from kennen_tf.configs.crafting import IMAGES


@dataclasses.dataclass(frozen=True)
class Phase:
    """A phase of a recipe.

    Epochs are passes over the training entries, counted over all phases.

    Attributes:
        number: Its place among all phases.
        name: `IMAGES` or `METAMODEL`.
        first_epoch, last_epoch: When it begins and ends.
        image_epochs: How many epochs the images have behind them at its end.
    """

    number: int
    name: str
    first_epoch: int
    last_epoch: int
    image_epochs: int

    @property
    def length(self) -> int:
        return self.last_epoch - self.first_epoch

    @property
    def image_epochs_before(self) -> int:
        return self.image_epochs - (self.length if self.name == IMAGES else 0)


def list_phases(phases: Sequence[tuple[str, int]], reads_last: bool) -> list[Phase]:
    """Numbers the phases and the epochs of a recipe.

    Args:
        phases: Name and epochs of each.
        reads_last: Whether the last one starts anew, and so learns as long as all of
            the metamodel's together.
    """
    if reads_last:
        total = sum(length for name, length in phases if name != IMAGES)
        phases = [*phases[:-1], (phases[-1][0], total)]
    listed: list[Phase] = []
    epochs = image_epochs = 0
    for number, (name, length) in enumerate(phases):
        image_epochs += length if name == IMAGES else 0
        listed.append(Phase(number, name, epochs, epochs + length, image_epochs))
        epochs += length
    return listed
