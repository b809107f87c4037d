"""Everything that makes a `tf.data.Dataset`: of query outputs, and of image files."""
