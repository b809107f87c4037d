"""The paper's experiments on MNIST-NET: each a module, all on shared runs."""
