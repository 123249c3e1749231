"""The ways a dataset says no."""

from hitl.core.errors import AppError, Conflict, Invalid, NotFound


class DatasetNameInvalid(Invalid):
    """A dataset's name has 1 to 63 lower-case letters, digits or . - _, the first a letter or digit."""

    code = "dataset_name_invalid"


class SelectionInvalid(Invalid):
    """This selection does not fit the kind of dataset."""

    code = "selection_invalid"


class DatasetKindDiffers(Conflict):
    """This dataset holds another kind of rows. Choose another name."""

    code = "dataset_kind_differs"


class SeedDiffers(Conflict):
    """This dataset has another seed. With a new one, rows would move between train and test; choose another name."""

    code = "seed_differs"


class AlreadyFreezing(Conflict):
    """A version of this dataset is being frozen right now. Wait until it is done."""

    code = "already_freezing"


class NothingNew(Conflict):
    """Nothing new: the rows and their origin are the same as in an earlier version."""

    code = "nothing_new"


class NoRows(Conflict):
    """Nothing in this project makes a row for this selection."""

    code = "no_rows"


class FreezeFailed(Conflict):
    """The version could not be frozen."""

    code = "freeze_failed"


class VersionNotFrozen(Conflict):
    """This version is not frozen: it has no rows yet."""

    code = "version_not_frozen"


class NoSuchVersion(NotFound):
    """There is no such dataset or version in this project."""

    code = "no_such_version"


class NoSuchRow(NotFound):
    """There is no such row in this version."""

    code = "no_such_row"


class StorageTrouble(AppError):
    """The storage cannot be read or written. Nothing was frozen or exported."""

    code = "storage_trouble"


class ExportNotAsked(Conflict):
    """Nobody has asked for this version in this format yet. Ask for it with POST, then come back."""

    code = "export_not_asked"


class ExportRefused(AppError):
    """This export cannot be made."""

    status = 422
    type = "invalid"
    code = "export_refused"
