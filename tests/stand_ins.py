"""A metamodel that needs no training, for tests of what comes after training."""

import pathlib

import keras
import numpy as np

from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.designs.mnist_net import TABLE
from kennen_tf.evaluation import splits
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.queries.query_outputs import QueryOutputsInfo


def make_reader(num_queries, query_indices=None, strength=5.0, names=TABLE.names):
    """Makes a model that reads what `fakes.make_probabilities` plants.

    Query i betrays the label of attribute i (modulo their number): the answer for an
    attribute, if it is one of `names`, is the softmax of the first outputs of the first
    such query.
    """
    places = [i % len(TABLE) for i in query_indices or range(num_queries)]
    features = keras.Input((num_queries, 10))
    flat = keras.layers.Flatten()(features)
    answers = {}
    for number, attribute in enumerate(TABLE):
        if attribute.name not in names:
            continue
        num_values = len(attribute.values)
        kernel = np.zeros((num_queries * 10, num_values), np.float32)
        start = 10 * places.index(number)
        kernel[start : start + num_values] = strength * np.eye(num_values)
        dense = keras.layers.Dense(
            num_values, use_bias=False, activation="softmax", name=attribute.name
        )
        answers[attribute.name] = dense(flat)
        dense.set_weights([kernel])
    return keras.Model(features, answers)


def write_metamodel(metamodel_dir, query_dir, model=None, **settings):
    """Writes the folder of a finished metamodel, by default one that reads all.

    One of kennen-i reads the label of an attribute from its own query, a black image.
    """
    folders = {"query_dir": str(query_dir), "metamodel_dir": str(metamodel_dir)}
    config = MetamodelConfig(**{**folders, "recipe": "kernel", **settings})
    info = QueryOutputsInfo.open(query_dir)
    config = config.for_zoo(TABLE, info.num_classes)
    query_indices = folder_lib.draw_queries(info, config.num_queries, config.seed)
    split = splits.make_split(
        info.entries,
        config.split,
        TABLE,
        config.seed,
        config.num_train,
        config.num_test,
    )
    folder = pathlib.Path(metamodel_dir)
    folder.mkdir(parents=True)
    description = folder_lib.describe(config, info)
    folder_lib.write_description(
        folder, description, TABLE, split, query_indices, info.query_inputs
    )
    crafted, names = None, config.named(TABLE).names
    if config.is_crafted:
        query_indices = [TABLE.names.index(name) for name in names]
        crafted = make_black_queries(config.num_queries)
    if model is None:
        model = make_reader(config.num_queries, query_indices, names=names)
    folder_lib.finish(folder, model, {}, crafted)
    return folder


def make_black_queries(num_queries):
    """Makes queries that are no validation images."""
    return QueryInputs(
        images=np.zeros((num_queries, 28, 28, 1), np.uint8),
        labels=np.full(num_queries, -1, np.int32),
        indices=np.full(num_queries, -1, np.int32),
    )


def write_planted_classifier(path, num_queries, pixels, labels):
    """Saves a Keras classifier that answers query i with the label of attribute i.

    It knows the queries by heart: the nearest one decides.
    """
    columns = [list(labels.values())[i % len(labels)] for i in range(num_queries)]
    flat = pixels.reshape(num_queries, 784)
    images = keras.Input((28, 28, 1))
    nearest = keras.layers.Dense(num_queries, activation="softmax")
    answer = keras.layers.Dense(10, use_bias=False)
    outputs = answer(nearest(keras.layers.Flatten()(images)))
    model = keras.Model(images, outputs)
    nearest.set_weights([flat.T, -0.5 * np.sum(flat**2, axis=1)])
    answer.set_weights([0.9 * np.eye(10)[columns] + 0.01])
    model.save(path)
    return model
