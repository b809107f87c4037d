"""Forms: what black boxes of one kind take and answer."""

import dataclasses

import numpy as np
import numpy.typing as npt

from kennen_tf.vocabulary.errors import UserError

FloatArray = npt.NDArray[np.float32]
Shape = tuple[int | None, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """What black boxes of one kind take and answer.

    Attributes:
        noun: What they classify; used in messages.
        shapes: Shapes of an image that they may take; the first, height, width and
            channels, is that of the images they are sent. The others hold the same
            numbers in the same order, or the channels first. None stands for any size.
        num_classes: How many numbers they answer; 0: as many as each does, two or more.
    """

    noun: str
    shapes: tuple[Shape, ...]
    num_classes: int

    @classmethod
    def of(
        cls, image_shape: tuple[int, ...], num_classes: int, noun: str = "images"
    ) -> "Form":
        """Returns the form of black boxes that take images of one shape.

        They may do without an axis for a single channel, have the channels first, or
        take all numbers in a row.

        Args:
            image_shape: Height, width and channels.
            num_classes: How many numbers they answer.
            noun: What they classify.
        """
        height, width, channels = image_shape
        plain = [(height, width)] if channels == 1 else []
        others = [(channels, height, width), (height * width * channels,)]
        shapes = (tuple(image_shape), *plain, *others)
        return cls(noun=noun, shapes=shapes, num_classes=num_classes)


def find_image_shape(where: str, declared: Shape | None, form: Form) -> Shape:
    """Returns the accepted shape that agrees with the declared one of an image."""
    for shape in form.shapes:
        if declared is not None and len(declared) == len(shape):
            pairs = list(zip(declared, shape, strict=True))
            if all(None in (d, s) or d == s for d, s in pairs):
                return tuple(s if d is None else d for d, s in pairs)
    raise UserError(
        f"A black box must take images of one of the shapes {form.shapes}. Received: "
        f"{where}, which takes {declared}. If it takes {form.noun} in another form, "
        "give a function that prepares them, as module:function."
    )


def reshape(images: FloatArray, shape: Shape) -> FloatArray:
    """Returns the images, `(n, height, width, channels)`, as a black box takes them."""
    if None in shape or shape == images.shape[1:]:
        return images
    if shape == (images.shape[-1], *images.shape[1:-1]):
        return np.moveaxis(images, -1, 1)
    return images.reshape(-1, *shape)
