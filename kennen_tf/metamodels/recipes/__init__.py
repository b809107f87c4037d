"""What reads outputs: features, networks, and machines that are solved for at once."""
