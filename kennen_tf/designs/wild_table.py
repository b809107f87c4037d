"""What wild_net varies, and how often each value is drawn."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kennen_tf.attributes import Attribute, AttributeTable, Facts, Value, Values
from kennen_tf.designs import wild_layers

# Parameters are told apart between 2 ** 12 and 2 ** 21; beyond, as at the ends.
FEWEST_PARAMS, MOST_PARAMS = 12, 20


def _is_convolutional(values: Values) -> bool:
    return values["conv"] != 0


def _has_two_convolutions(values: Values) -> bool:
    return values["conv"] not in (0, 1)


def _has_three_convolutions(values: Values) -> bool:
    return values["conv"] not in (0, 1, 2)


def _pools_twice(values: Values) -> bool:
    return _has_two_convolutions(values) and values["pool"] != "no"


def _is_deep(values: Values) -> bool:
    """Whether there is more than one linear layer."""
    return values["conv"] != 0 or values["fc"] != 1


def _has_hidden_dense(values: Values) -> bool:
    return values["fc"] != 1


def _has_two_hidden_dense(values: Values) -> bool:
    return values["fc"] not in (1, 2)


def _derive_kind(facts: Facts) -> Value:
    return "convolutional" if facts.combination["conv"] else "perceptron"


def _derive_drop(facts: Facts) -> Value | None:
    given = {facts.combination[name] for name in ("drop_conv", "drop_fc")}
    return "yes" if "yes" in given else "no" if "no" in given else None


def _derive_bn(facts: Facts) -> Value | None:
    norm = facts.combination["norm"]
    return "yes" if norm in ("before", "after") else norm


def _derive_par(facts: Facts) -> Value:
    return min(max(facts.num_params.bit_length() - 1, FEWEST_PARAMS), MOST_PARAMS)


# Values are given as often as their share says, before what is too dear is left out.
SHARES: dict[str, dict[Value, int]] = {
    "act": {"relu": 5, "elu": 2, "tanh": 2, "sigmoid": 1},
    "pool": {"no": 3, "max": 5, "average": 2},
    "ks": {3: 2, 5: 1},
    "conv": {0: 2, 1: 3, 2: 9, 3: 10, 4: 6},
    "fc": {1: 2, 2: 4, 3: 3, 4: 2},
    "filters": {8: 1, 16: 3, 32: 6, 64: 4},
    "units": {32: 2, 64: 3, 128: 4, 256: 2, 512: 2},
    "drop_conv": {"no": 3, "yes": 1},
    "drop_fc": {"no": 3, "yes": 2},
    "norm": {"no": 4, "before": 1, "after": 1},
    "growth": {"no": 1, "yes": 1},
    "taper": {"no": 1, "yes": 1},
    "pad": {"valid": 2, "same": 1},
    "per_pool": {1: 2, 2: 1},
    "head": {"flatten": 5, "average": 1},
    "alg": {"sgd": 2, "adam": 3, "rmsprop": 2},
    "bs": {32: 1, 64: 1, 128: 1},
    "epochs": {1: 1, 2: 2, 5: 4, 10: 4, 20: 4},
    "size": {"all": 2, "third": 1},
    "pixels": {"unit": 2, "pm1": 1, "standardised": 1},
}
# Each value as many times as its share says.
_TICKETS = {
    name: [value for value, share in shares.items() for _ in range(share)]
    for name, shares in SHARES.items()
}


def _choose(name: str, description: str, group: str, **more: Any) -> Attribute:
    """Makes an attribute that is drawn."""
    return Attribute(
        name=name,
        description=description,
        group=group,
        values=tuple(SHARES[name]),
        **more,
    )


def _choose_layers(name: str, description: str, **more: Any) -> Attribute:
    return _choose(name, description, "architecture", **more)


def _derive(
    name: str, description: str, values: tuple[Value, ...], **more: Any
) -> Attribute:
    """Makes an attribute of the layers that follows from others."""
    return Attribute(
        name=name, description=description, group="architecture", values=values, **more
    )


TABLE = AttributeTable(
    (
        _derive(
            "kind",
            "kind of network",
            ("perceptron", "convolutional"),
            derive=_derive_kind,
        ),
        _choose_layers("act", "activation", applies=_is_deep),
        _derive("drop", "dropout", ("no", "yes"), derive=_derive_drop),
        _choose_layers("pool", "pooling", applies=_is_convolutional),
        _choose_layers("ks", "kernel size", applies=_is_convolutional),
        _choose_layers("conv", "convolution layers", code="#conv"),
        _choose_layers(
            "fc", "fully connected layers, the last linear one included", code="#fc"
        ),
        _derive("bn", "batch normalisation", ("no", "yes"), derive=_derive_bn),
        _derive(
            "par",
            "parameters, floor of log2, the ends for what is beyond",
            tuple(range(FEWEST_PARAMS, MOST_PARAMS + 1)),
            code="#par",
            derive=_derive_par,
        ),
        _choose_layers(
            "filters", "filters of the first convolution", applies=_is_convolutional
        ),
        _choose_layers(
            "units", "units of the first hidden dense layer", applies=_has_hidden_dense
        ),
        _choose("alg", "optimizer", "optimization"),
        _choose("bs", "batch size", "optimization"),
        _choose("epochs", "passes over the training data", "optimization"),
        _choose("size", "amount of training data", "data"),
        _choose("pixels", "range of pixels", "data"),
        # What makes classifiers as different as they are, and is seldom asked for.
        _choose_layers(
            "drop_conv", "dropout between convolutions", applies=_is_convolutional
        ),
        _choose_layers("drop_fc", "dropout between dense layers", applies=_is_deep),
        _choose_layers("norm", "batch normalisation and activation", applies=_is_deep),
        _choose_layers("growth", "filters are doubled", applies=_has_two_convolutions),
        _choose_layers(
            "taper", "units are halved each time", applies=_has_two_hidden_dense
        ),
        _choose_layers("pad", "padding", applies=_is_convolutional),
        _choose_layers(
            "per_pool", "convolutions before each pooling", applies=_pools_twice
        ),
        # Of fewer, means over an image tell no digits apart.
        _choose_layers(
            "head", "from maps to features", applies=_has_three_convolutions
        ),
    )
)


def draw(random: np.random.Generator) -> Mapping[str, Value | None]:
    """Draws values, anew until a training costs at most `wild_layers.MOST_SECONDS`."""
    while True:
        values: dict[str, Value | None] = {}
        for name, tickets in _TICKETS.items():
            values[name] = tickets[int(random.integers(len(tickets)))]
        chosen = dict(values)
        for attribute in TABLE.chosen:
            if attribute.applies and not attribute.applies(chosen):
                values[attribute.name] = None
        if wild_layers.estimate_seconds(values) <= wild_layers.MOST_SECONDS:
            return values
