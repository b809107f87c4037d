"""Classifiers of families: what is known of a classifier before it is opened."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from kennen_tf.attributes import Value

if TYPE_CHECKING:
    from kennen_tf.keras_models.pixel_models import PixelModel

# The one attribute of a zoo that is made of families.
FAMILY = "family"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FamilyClassifier:
    """A classifier of a family, not opened yet; an entry of a zoo of families.

    Attributes:
        family: Name of its family, e.g. "resnet".
        name: Its own name, e.g. "resnet50"; unique among all families.
        image_size: Side of its own input, in pixels.
        num_classes: Number of its logits.
        identity: Text that changes when its logits may: the SHA-256 of its file, or
            where its weights come from.
        opener: Builds it and loads its weights.
        twin: What its file has in common with others of the same layers and weights,
            however they were saved; "" if that is not known.
    """

    family: str
    name: str
    image_size: int
    num_classes: int
    identity: str
    opener: Callable[[], "PixelModel"] = dataclasses.field(compare=False, repr=False)
    twin: str = ""

    @property
    def id(self) -> str:
        """Its name, as an entry of a zoo has it."""
        return self.name

    @property
    def combination_id(self) -> str:
        """Its name: splits hold out each classifier alone."""
        return self.name

    @property
    def values(self) -> dict[str, Value | None]:
        """Value of the one attribute."""
        return {FAMILY: self.family}

    @property
    def content(self) -> str:
        """The SHA-256 of its file, however the file is used, if it has one."""
        return self.identity.split()[0]

    def open(self) -> "PixelModel":
        """Builds the classifier and loads its weights.

        Raises:
            UserError: If its weights cannot be had or do not fit.
        """
        return self.opener()


Families = dict[str, tuple[FamilyClassifier, ...]]
