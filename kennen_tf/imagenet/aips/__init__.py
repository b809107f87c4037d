"""Adversarial image perturbations (AIPs): who makes them against whom, and the run."""
