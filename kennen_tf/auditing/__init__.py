"""What a classifier's answers give away, what hides it, and what that costs."""
