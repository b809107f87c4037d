"""Classifiers of the zoo's images that are no networks: who must be called strange.

Of the kinds that a package's metamodels may have learned from
(`packaging/strangers.py`), but with other settings, and trained on other images.
"""

from collections.abc import Iterator

from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import BernoulliNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from kennen_tf.black_boxes.black_box import BlackBox
from kennen_tf.black_boxes.formats.opened import Opened
from kennen_tf.black_boxes.forms import Form
from kennen_tf.black_boxes.opening import wrap
from kennen_tf.configs.revealing import AUTO
from kennen_tf.experiments.wild.files import PublishedFile
from kennen_tf.packaging.strangers import Stranger, calibrate
from kennen_tf.vocabulary.labeled_images import LabeledImages

_NUM_IMAGES = 8000
_MADE = {
    "support vector machine": calibrate(SVC(C=5.0)),
    "support vector machine, isotonic": calibrate(SVC(C=1.0, gamma=0.02), "isotonic"),
    "support vector machine, polynomial": calibrate(
        SVC(kernel="poly", degree=3, C=3.0)
    ),
    "nearest neighbours, 4": KNeighborsClassifier(4),
    "nearest neighbours, 7, by distance": KNeighborsClassifier(7, weights="distance"),
    "random forest, 200": RandomForestClassifier(200, random_state=7),
    "random forest, 80, pruned": RandomForestClassifier(
        80, min_samples_leaf=3, random_state=7
    ),
    "naive Bayes": BernoulliNB(binarize=0.3),
}


def open_strangers(
    images: LabeledImages, form: Form, seed: int
) -> Iterator[tuple[PublishedFile, BlackBox]]:
    """Trains them and yields each as a black box."""
    for name, classifier in _MADE.items():
        stranger = Stranger(
            name=f"asked: {name}", classifier=classifier, num_images=_NUM_IMAGES
        )
        answer = stranger.train(images, seed)
        box = wrap(
            name,
            Opened(answer=answer, shape=form.shapes[0]),
            outputs_kind=AUTO,
            pixels=AUTO,
            form=form,
        )
        yield PublishedFile(id=name, path=None, network=name, cells={}), box
