"""Command-line flags of the binaries: names, help and types. Never TensorFlow."""
