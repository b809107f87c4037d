"""What layers a classifier of wild_net has, and what it costs to train them."""

import dataclasses
from typing import Any

from kennen_tf.attributes import Values

SIDE, NUM_CLASSES = 28, 10
MOST_POOLINGS = 2
# Of a training, by `estimate_seconds`: the bound, and what it comes to on average.
MOST_SECONDS, MEAN_SECONDS = 75.0, 40.0
# Of the training images, by the amount that is chosen.
SHARES_OF_IMAGES = {"all": 1.0, "third": 1 / 3}
# Building, tracing and validating.
_SECONDS_AROUND = 8.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Convolution:
    """A convolution and what follows it.

    Attributes:
        channels: Of what it reads.
        filters: Of what it answers.
        padding: "valid" or "same", as Keras has them.
        side: Height and width of what it answers, before pooling.
        is_pooled: Whether pooling follows, and dropout if it is chosen.
    """

    channels: int
    filters: int
    padding: str
    side: int
    is_pooled: bool


def plan_convolutions(values: Values) -> list[Convolution]:
    """Returns the convolutions in their order.

    Pooling follows each of the first two, or every second one. Filters are doubled
    once, at the second. Where an image has become smaller than a kernel, padding is
    "same", whatever was chosen.
    """
    chosen: Any = values
    layers: list[Convolution] = []
    channels, side, num_pooled = 1, SIDE, 0
    per_pool = chosen["per_pool"] or 1
    for index in range(chosen["conv"]):
        padding = chosen["pad"] if side >= chosen["ks"] else "same"
        side -= chosen["ks"] - 1 if padding == "valid" else 0
        is_pooled = (
            chosen["pool"] != "no"
            and (index + 1) % per_pool == 0
            and num_pooled < MOST_POOLINGS
        )
        doubled = index > 0 and chosen["growth"] == "yes"
        filters = chosen["filters"] * (2 if doubled else 1)
        layers.append(
            Convolution(
                channels=channels,
                filters=filters,
                padding=padding,
                side=side,
                is_pooled=is_pooled,
            )
        )
        channels = filters
        if is_pooled:
            num_pooled += 1
            side //= 2
    return layers


def plan_hidden(values: Values) -> list[int]:
    """Returns the units of the hidden dense layers in their order."""
    chosen: Any = values
    halvings = range(chosen["fc"] - 1)
    return [chosen["units"] >> (i if chosen["taper"] == "yes" else 0) for i in halvings]


def count_features(values: Values) -> int:
    """Returns the number of features that the dense layers read."""
    convolutions = plan_convolutions(values)
    if not convolutions:
        return SIDE**2
    last = convolutions[-1]
    side = last.side // 2 if last.is_pooled else last.side
    return last.filters * (1 if values["head"] == "average" else side**2)


def count_work(values: Values) -> dict[str, float]:
    """Returns the work of one image, forward: of what there is, how much.

    Returns:
        "conv" and "dense": multiplications; "maps": numbers in the feature maps.
    """
    convolutions = plan_convolutions(values)
    sizes = [count_features(values), *plan_hidden(values), NUM_CLASSES]
    kernel: Any = values["ks"] or 0
    return {
        "conv": sum(
            layer.side**2 * kernel**2 * layer.channels * layer.filters
            for layer in convolutions
        ),
        "maps": sum(layer.side**2 * layer.filters for layer in convolutions),
        "dense": sum(a * b for a, b in zip(sizes, sizes[1:], strict=False)),
    }


def estimate_seconds(values: Values) -> float:
    """Returns about how long a training takes, in seconds of one core with AVX2.

    In float32; an epoch has all 60,000 images, or a third. Fitted to the steps of a
    dozen classifiers, with other work on the same cores; with AVX-512, half of it was
    measured.
    """
    chosen: Any = values
    work = count_work(values)
    # Normalisation and dropout read and write feature maps as activations do.
    passes = (
        1 + (chosen["norm"] in ("before", "after")) + (chosen["drop_conv"] == "yes")
    )
    epoch = (
        60.0 / chosen["bs"]
        + 7.5e-6 * work["conv"]
        + 3e-4 * work["maps"] * passes
        + 3e-6 * work["dense"]
    )
    share = SHARES_OF_IMAGES[chosen["size"]]
    return _SECONDS_AROUND + chosen["epochs"] * share * epoch
