"""Others' classifiers and answers: from sheets to a zoo or query outputs."""
