"""What a person did that the program cannot go on with."""


class UserError(ValueError):
    """Bad input, said in one sentence: what was received, what is allowed, what to do.

    The commands print it on one line and exit with a status that is not zero; no traceback is shown.
    """
