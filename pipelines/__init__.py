"""Everything that reads data for training: images, and `tf.data.Dataset`s of outputs."""
