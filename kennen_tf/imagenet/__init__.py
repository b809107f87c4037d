"""The ImageNet half of the paper (section 4): families of classifiers, and AIPs."""
