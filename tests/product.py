"""The product for tests: a real database, rolled back at the end, and the real application over it.

db          a session that is rolled back; for functions
committed   a session whose work others see after `committed.commit()`; for what follows
sign_in     sign_in(user).get("/") as that person's browser, without scripts
api         api(project, "capture").post("/api/v1/…", json={…}) as a program
address     the application behind a real socket, for real browsers; `enter(page, user)` signs one in
"""

import threading
from collections.abc import Callable, Iterator

import pytest
from alembic import command
from flask import Flask, session
from flask.testing import FlaskClient
from flask_wtf.csrf import generate_csrf
from playwright.sync_api import Page
from sqlalchemy.orm import Session
from werkzeug.serving import make_server

from hitl.accounts.access import SESSION_ID
from hitl.accounts.keys import create_key
from hitl.accounts.models import Project, User
from hitl.accounts.sessions import start_session
from hitl.app import create_app, import_parts
from hitl.core import schema
from hitl.core.database import Base, Database
from hitl.core.instance import Instance
from hitl.core.secrets import Keys
from hitl.core.settings import Settings
from tests.hitl import factories

KEYS = Keys.derive("a secret only for tests" * 2)

SignIn = Callable[[User], FlaskClient]
Api = Callable[..., FlaskClient]
Enter = Callable[[Page, User], None]


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database(
    request: pytest.FixtureRequest, database_urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A database with all tables, the same for all tests of this run: leave nothing committed in it."""
    import_parts()
    storage = tmp_path_factory.mktemp("storage")
    database = Database(database_urls[request.param], session_info={"keys": KEYS, "storage_url": str(storage)})
    Base.metadata.create_all(database.engine)
    command.stamp(schema.alembic_config(database), "head")
    yield database
    database.close()


@pytest.fixture
def db(database: Database) -> Iterator[Session]:
    """A session in a transaction that is rolled back; the factories write into it."""
    with database.engine.connect() as connection:
        outer = connection.begin()
        with Session(
            connection, join_transaction_mode="create_savepoint", expire_on_commit=False, info=database.session_info
        ) as db:
            factories.bind(db)
            yield db
            factories.unbind()
        outer.rollback()


@pytest.fixture
def shared_database(database: Database) -> Iterator[Database]:
    """The database for tests that must commit, because several connections look on. Emptied afterwards."""
    yield database
    with database.writing() as db:
        for table in reversed(Base.metadata.sorted_tables):
            db.execute(table.delete())


@pytest.fixture
def committed(shared_database: Database) -> Iterator[Session]:
    """A session of `shared_database`; the factories write into it.

    Commit before the service is asked: SQLite has one writer, so an open transaction here would keep the service out.
    """
    with shared_database.session(readonly=False) as db:
        factories.bind(db)
        yield db
        factories.unbind()


def new_app(database: Database) -> Flask:
    """The whole service on this database, for a test that adds to it."""
    settings = Settings(database_url=database.url.render_as_string(hide_password=False))
    app = create_app(Instance(settings, database, KEYS))
    app.config["PROPAGATE_EXCEPTIONS"] = False  # mistakes become the page that people would see
    return app


@pytest.fixture(scope="session")
def service(database: Database) -> Flask:
    """The whole service, made once for a database: that and compiling its templates take longer than most tests."""
    return new_app(database)


@pytest.fixture
def app(service: Flask, shared_database: Database) -> Iterator[Flask]:
    """The whole service on an empty database; what a test changes in its configuration is put back."""
    configured = dict(service.config)
    yield service
    service.config.clear()
    service.config.update(configured)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Somebody who is not signed in."""
    return app.test_client()


@pytest.fixture
def sign_in(app: Flask, committed: Session) -> SignIn:
    """Signs a person in, commits, and returns their browser; it sends the CSRF token of its session with each request.

    A test of what happens without: `browser.environ_base.pop("HTTP_X_CSRFTOKEN")`.
    """

    def browser_of(user: User) -> FlaskClient:
        session_id = start_session(committed, user).id
        committed.commit()
        browser = app.test_client()
        browser.environ_base["HTTP_X_CSRFTOKEN"] = _keep_session(app, browser, str(session_id))
        return browser

    return browser_of


def _keep_session(app: Flask, browser: FlaskClient, session_id: str) -> str:
    """Give a browser the cookie of a signed-in person; return the token for its forms."""
    with app.test_request_context():
        token = generate_csrf()
        secret = session["csrf_token"]
    with browser.session_transaction() as kept:
        kept[SESSION_ID] = session_id
        kept["csrf_token"] = secret
    return token


@pytest.fixture
def api(app: Flask, committed: Session) -> Api:
    """Makes a key and returns a program with it: api(project, "capture", maker=user). No maker: a new admin."""

    def program(project: Project, *scopes: str, maker: User | None = None) -> FlaskClient:
        maker = maker or factories.Membership(project=project, role="admin").user
        _, token = create_key(committed, project, maker, "For tests", scopes)
        committed.commit()
        client = app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        return client

    return program


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """The address of the application behind a real socket."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    # It looks so often whether it shall end; by default twice a second, for which each test would wait.
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def enter(sign_in: SignIn, address: str) -> Enter:
    """Signs a person in and gives the session to a page of a real browser: enter(page, user); page.goto(address)."""

    def enter(page: Page, user: User) -> None:
        cookie = sign_in(user).get_cookie("hitl_session")
        assert cookie is not None
        page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": address}])

    return enter
