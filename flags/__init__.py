"""Command-line flags, made from the configs, and running a binary. Never TensorFlow."""
