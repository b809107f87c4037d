"""The zoo (MNIST-NET in the paper): specs, classifiers, training, store, ensembles."""
