"""Settings: `HITL_…` environment variables, then `hitl.toml` in the working directory, then defaults for a laptop."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, HttpUrl, RedisDsn, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from hitl.core.errors import AppError

DATABASE_DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg")


class SettingsFileUnreadable(AppError):
    """hitl.toml in this folder cannot be read."""

    code = "settings_file_unreadable"


class _SettingsFile(TomlConfigSettingsSource):
    def _read_file(self, file_path: Any) -> dict[str, Any]:
        try:
            return super()._read_file(file_path)
        except (ValueError, OSError) as error:  # no TOML, no UTF-8, no right to read it
            raise SettingsFileUnreadable(f"{file_path} cannot be read: {error}.") from error


class Settings(BaseSettings):
    """Everything an operator may set. docs/operations.md says what each means for them."""

    model_config = SettingsConfigDict(env_prefix="HITL_", toml_file="hitl.toml", extra="forbid")

    database_url: str = "sqlite:///hitl.sqlite3"
    secret: SecretStr | None = None  # at least 32 characters; on SQLite one is made and kept in a 0600 file
    public_url: HttpUrl = HttpUrl("http://127.0.0.1:8000")  # links are made from it; https makes cookies Secure
    storage_url: str = "hitl-storage"  # where dataset versions live: a folder, or a URL that Arrow's file systems know
    sqlite_synchronous: Literal["NORMAL", "FULL"] = "NORMAL"  # FULL: acknowledged work survives a power loss too
    trusted_proxies: int = Field(default=0, ge=0, le=8)  # how many reverse proxies' X-Forwarded-* headers count
    max_body_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    private_hosts: str = (
        ""  # hosts that calls may go to though they are not public, by comma: "llm.internal, 127.0.0.1:8001"
    )
    log_format: Literal["text", "json"] = "text"
    web_processes: int = Field(default=1, ge=1, le=64)  # on SQLite only 1
    web_threads: int = Field(default=16, ge=1, le=512)  # per process: requests that are worked on at once
    web_streams: int = Field(default=256, ge=1, le=20_000)  # per process: live streams and held requests open at once
    redis_url: RedisDsn | None = None  # over it processes wake each other; without one they look each second

    @field_validator("database_url")
    @classmethod
    def _names_a_database(cls, url: str) -> str:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            driver = make_url(url).drivername
        except (ArgumentError, ValueError):
            driver = ""
        if driver not in DATABASE_DRIVERS:  # the URL may hold a password: it is not repeated
            raise ValueError("write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE")
        return url

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _SettingsFile(settings_cls)

    @property
    def private_host_list(self) -> list[str]:
        return [host.strip() for host in self.private_hosts.split(",") if host.strip()]

    @property
    def is_https(self) -> bool:
        return self.public_url.scheme == "https"


def sqlite_file(database_url: str) -> Path | None:
    """Return the file behind a SQLite URL; None for other databases and for one in memory."""
    from sqlalchemy import make_url

    url = make_url(database_url)
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)
