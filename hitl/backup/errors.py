"""The ways a backup or a restore says no."""

from hitl.core.errors import AppError, Conflict


class BackupExists(Conflict):
    """There is a file of this name already. A backup never overwrites one."""

    code = "backup_exists"


class BackupFailed(AppError):
    """The backup could not be written. Nothing was left behind."""

    code = "backup_failed"


class BackupDamaged(AppError):
    """This is not a whole backup: it was cut short or changed. Nothing was restored."""

    code = "backup_damaged"


class BackupOfOtherVersion(Conflict):
    """This backup has another schema than this program. Restore it with its own version, then upgrade."""

    code = "backup_of_other_version"


class DatabaseNotEmpty(Conflict):
    """A backup is restored into an empty database only, and this one holds something."""

    code = "database_not_empty"


class StorageNotEmpty(Conflict):
    """A backup is restored into an empty storage only, and this one holds files."""

    code = "storage_not_empty"


class BackupOfOtherSecret(Conflict):
    """This backup comes from an installation with another HITL_SECRET: set that one."""

    code = "backup_of_other_secret"


class RowUnfit(Conflict):
    """This database cannot hold a row of the backup."""

    code = "row_unfit"
