"""What an owner learns from an attack on a classifier: the family, and its price."""
