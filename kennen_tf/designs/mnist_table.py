"""The attributes of MNIST-NET (paper, Table 1).

To add a thirteenth, append it here; if it is chosen and not derived, use it where
`mnist_net.py` builds or trains a classifier. Its first value is what the classifiers of
older zoos have.
"""

from kennen_tf.attributes import Attribute, AttributeTable

TABLE = AttributeTable(
    (
        Attribute(
            name="act",
            description="activation",
            values=("relu", "prelu", "elu", "tanh"),
            group="architecture",
        ),
        Attribute(
            name="drop",
            description="dropout",
            values=("no", "yes"),
            group="architecture",
        ),
        Attribute(
            name="pool",
            description="max pooling",
            values=("no", "yes"),
            group="architecture",
        ),
        Attribute(
            name="ks",
            description="kernel size",
            values=(3, 5),
            group="architecture",
        ),
        Attribute(
            name="conv",
            code="#conv",
            description="convolution layers",
            values=(2, 3, 4),
            group="architecture",
        ),
        Attribute(
            name="fc",
            code="#fc",
            description="fully connected layers, the last linear one included",
            values=(2, 3, 4),
            group="architecture",
        ),
        Attribute(
            name="par",
            code="#par",
            description="parameters, floor of log2",
            values=(14, 15, 16, 17, 18, 19, 20, 21),
            group="architecture",
            derive=lambda facts: facts.num_params.bit_length() - 1,
        ),
        Attribute(
            name="ens",
            description="ensemble",
            values=("no", "yes"),
            group="architecture",
            derive=lambda facts: "yes" if facts.num_members > 1 else "no",
        ),
        Attribute(
            name="alg",
            description="optimizer",
            values=("sgd", "adam", "rmsprop"),
            group="optimization",
        ),
        Attribute(
            name="bs",
            description="batch size",
            values=(64, 128, 256),
            group="optimization",
        ),
        Attribute(
            name="size",
            description="amount of training data",
            values=("all", "half", "quarter"),
            group="data",
            derive=lambda facts: str(facts.combination["split"]).rstrip("0123"),
        ),
        Attribute(
            name="split",
            description="which training data",
            values=(
                *("all0", "half0", "half1"),
                *("quarter0", "quarter1", "quarter2", "quarter3"),
            ),
            group="data",
        ),
    )
)
