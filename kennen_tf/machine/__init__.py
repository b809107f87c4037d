"""What programs run on: environment, processors, TensorFlow's start, strategies."""
