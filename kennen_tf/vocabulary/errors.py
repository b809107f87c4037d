"""The one exception that binaries turn into a sentence instead of a traceback."""


class UserError(ValueError):
    """A mistake that the person at the terminal can mend.

    The message says what was wanted, what came and what to do. Anything else that
    is raised is a defect of this package and keeps its traceback.
    """
