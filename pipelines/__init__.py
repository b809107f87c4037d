"""Everything that reads data: images as arrays, query outputs as `tf.data.Dataset`s."""
