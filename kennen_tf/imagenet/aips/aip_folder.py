"""Perturbed images on disk: lossless PNG files, a folder for each set of generators."""

import functools
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kennen_tf.imagenet.attacks.ascent import Ascent
from kennen_tf.imagenet.attacks.objectives import Objective
from kennen_tf.images.image_set import ImageSet
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.seeds import derive_seed


class AipFolder:
    """The perturbed images of one set of generators.

    A file appears when its image is done, so a folder says what is left to do.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: pathlib.Path, images: ImageSet):
        """Opens a folder, new or not, for the AIPs of some clean images."""
        self.path = path
        self._images = images
        names = [_below(name) for name in images.names]
        files = [n if n.lower().endswith(".png") else f"{n}.png" for n in names]
        if len({*files}) < len(files):  # There is an a.jpg beside an a.jpg.png.
            files = [f"{name}.png" for name in names]
        self._files = files

    def image_path(self, index: int) -> pathlib.Path:
        """Returns where the image at a place of the image set is."""
        return self.path / self._files[index]

    @property
    def num_done(self) -> int:
        """Number of images that are there."""
        return sum(self.image_path(i).exists() for i in range(len(self._images.names)))

    def fill(
        self,
        ascent: Ascent,
        make_objective: Callable[[], Objective],
        batch_size: int,
        seed: int,
        on_step: Callable[[int], object],
    ) -> None:
        """Perturbs the images that are not there yet.

        How sums of floats are rounded depends on the size of a batch, not on who is in
        it, and attacks make much of little. So all batches have one size, the last one
        filled up: an image comes out the same whether or not a run was stopped, and
        however many others there are.

        Args:
            ascent: The attack's loop.
            make_objective: Opens the generators; only called if there is work.
            batch_size: Images at once, and what their AIPs depend on a little.
            seed: Root seed.
            on_step: Called after each step with the number of images.
        """
        count = len(self._images.names)
        for folder in {self.image_path(i).parent for i in range(count)}:
            artifacts.remove_incomplete(folder)
        objective = None
        for start in range(0, count, batch_size):
            places = range(start, min(start + batch_size, count))
            if all(self.image_path(i).exists() for i in places):
                continue
            if objective is None:
                objective = make_objective()
            filled = np.resize(places, batch_size)  # Repeats them.
            perturbed = ascent.perturb(
                objective,
                self._images.pixels[filled],
                self._images.labels[filled],
                _seeds(seed, [self._images.names[i] for i in filled]),
                functools.partial(on_step, len(places)),
            )
            for place, pixels in zip(places, perturbed[: len(places)], strict=True):
                self._write(self.image_path(place), pixels)

    def read(self) -> npt.NDArray[np.uint8]:
        """Reads all images, uint8 like the clean ones.

        Raises:
            UserError: If one is missing or was altered in form.
        """
        result = np.empty(self._images.pixels.shape, np.uint8)
        for index in range(len(result)):
            result[index] = self.read_image(index)
        return result

    def read_image(self, index: int) -> npt.NDArray[np.uint8]:
        """Reads one image, uint8 `(height, width, 3)`."""
        path, shape = self.image_path(index), self._images.pixels.shape[1:]
        try:
            pixels = tf.io.decode_png(path.read_bytes(), channels=3).numpy()
        except (OSError, tf.errors.InvalidArgumentError) as error:
            raise UserError(
                f"{path} must be a perturbed image. Received: {type(error).__name__}. "
                "Remove it and run the same command with --resume."
            ) from error
        if pixels.shape != shape:
            raise UserError(
                f"{path} must have the shape {shape}. Received: {pixels.shape}. Remove "
                "it and run the same command with --resume."
            )
        return pixels

    def _write(self, path: pathlib.Path, pixels: npt.NDArray[np.uint8]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        artifacts.write_bytes(path, tf.io.encode_png(pixels).numpy())


def file_name(name: str) -> str:
    """Returns the name of classifiers as that of a file; a manifest allows any."""
    return name.replace("%", "%25").replace("/", "%2F")


def _below(name: str) -> str:
    """Returns the name of an image as a path that stays below its folder.

    A csv may name files by whole paths, and write one name in two ways.
    """
    path = pathlib.PurePosixPath(name)
    if str(path) == name and not path.is_absolute() and ".." not in path.parts:
        return name
    return f"{artifacts.fingerprint(name)}/{path.name}"


def _seeds(seed: int, names: Sequence[str]) -> npt.NDArray[np.int32]:
    """Returns a pair of seeds for each image."""
    pairs = [[derive_seed(seed, "aip", n, i) for i in (0, 1)] for n in names]
    return np.array(pairs, np.int32)
