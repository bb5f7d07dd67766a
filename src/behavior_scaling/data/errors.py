"""The one error of this package's data room; it stands alone so that readers need no pandas."""


class DataError(ValueError):
    """Data that cannot be used; the message names file, row or column, and what to do."""
