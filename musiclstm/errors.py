"""What a person did that the program cannot go on with."""


class UserError(ValueError):
    """Bad input, said in one sentence: what was received, what is allowed, what to do.

    The commands print it on one line and exit with a status that is not zero; no traceback is shown.
    """


class FileError(UserError):
    """A file of music that cannot be used. `kind` is "damaged" (unsound, or bytes are lost), "empty" (no notes),
    "limit" (beyond what music is, or it took too much time or memory), "crash" (its parser died) or "selection" (sound,
    but not what was asked for)."""

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind
