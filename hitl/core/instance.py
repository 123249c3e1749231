"""One installation of the product: its settings, its database and its keys."""

from dataclasses import dataclass

from hitl.core import feeds, schema
from hitl.core.bell import Bell
from hitl.core.database import Database
from hitl.core.secrets import Keys, ensure_same_secret, load_keys
from hitl.core.settings import Settings


@dataclass(frozen=True)
class Instance:
    """What every edge (web, worker, command) starts from."""

    settings: Settings
    database: Database
    keys: Keys

    @property
    def bell(self) -> Bell:
        """What wakes those who wait for something to be committed."""
        return self.database.bell


def open_instance(settings: Settings | None = None) -> Instance:
    """Return the instance that the settings describe. Does not connect yet.

    Raises SecretMissing, SecretTooShort or SecretFileUnusable; pydantic.ValidationError for settings of the wrong type.
    """
    settings = settings or Settings()
    keys = load_keys(settings)
    database = Database(
        settings.database_url,
        sqlite_synchronous=settings.sqlite_synchronous,
        pool_size=settings.web_threads,
        session_info={"keys": keys, "storage_url": settings.storage_url},
        bell=Bell(None if settings.redis_url is None else str(settings.redis_url)),
    )
    return Instance(settings, database, keys)


def open_ready_instance(settings: Settings | None = None) -> Instance:
    """Return the instance that the settings describe, whose database fits this program and its secret.

    Raises what `open_instance` and `ensure_ready` raise.
    """
    instance = open_instance(settings)
    ensure_ready(instance)
    return instance


def ensure_ready(instance: Instance) -> None:
    """Look whether this process may work on the database: with another secret, pseudonyms and draws would be wrong.

    Raises SchemaOutOfDate, SecretDiffers.
    """
    schema.ensure_current(instance.database)
    ensure_same_secret(instance.database, instance.keys)
    feeds.continue_after_restore(instance.database)
