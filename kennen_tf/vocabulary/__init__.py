"""What all parts speak of: files, errors, seeds, splits, images. Never TensorFlow."""
