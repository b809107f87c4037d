"""Black boxes: classifiers that can only be asked."""
