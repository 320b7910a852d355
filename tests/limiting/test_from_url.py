"""What `limiter="…"` may say, and what it may not give away."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncro_async import AsyncClient
from syncro_async.errors import ConfigurationError
from syncro_async.limiting.from_url import local_path, location_of, shared_limiter
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.shared.limiter import SharedLimiter
from syncro_async.limiting.shared.redis_store import RedisStore
from syncro_async.limiting.shared.sqlite_store import SqliteStore
from syncro_async.testing.fake_clock import FakeClock
from tests.transport.scripted_app import KEY, Answer, App, client_of


def files_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


class TestFiles:
    @pytest.mark.parametrize(
        ("url", "path"),
        [
            ("sqlite:///srv/app/budget.db", "/srv/app/budget.db"),
            ("SQLite:///srv/app/budget.db", "/srv/app/budget.db"),
            ("sqlite:////srv/app/budget.db", "/srv/app/budget.db"),
            ("sqlite:///srv/other/../app/budget.db", "/srv/app/budget.db"),
            ("sqlite:///srv/o%20ur%20app/b%23.db", "/srv/o ur app/b#.db"),
            ("sqlite:///srv/ação.db", "/srv/ação.db"),
        ],
    )
    def test_one_is_named_by_its_absolute_path(self, url: str, path: str) -> None:
        place = location_of(url)
        assert place.address == Path(path)
        assert place.local_share is None
        assert isinstance(place.store(FakeClock()), SqliteStore)

    def test_two_names_of_one_file_are_one_place(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real")
        names = [f"sqlite://{tmp_path}/{folder}/budget.db" for folder in ("real", "link")]
        assert location_of(names[0]) == location_of(names[1])

    @pytest.mark.parametrize(
        "url",
        ["sqlite://", "sqlite:///", "sqlite://budget.db", "sqlite://./b.db", "sqlite:///srv/"],
    )
    def test_what_is_no_absolute_path_of_a_file_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match="by its absolute path: sqlite:///srv/app/bud"):
            location_of(url)

    def test_so_are_options_it_does_not_know(self) -> None:
        with pytest.raises(ConfigurationError, match="does not know: mode, timeout"):
            location_of("sqlite:///srv/budget.db?timeout=3&mode=ro&on_outage=error")


class TestServers:
    @pytest.mark.parametrize(
        "url",
        [
            "redis://h",
            "redis://h:6379/0",
            "rediss://user:pass%23word@h:6380/1",
            "redis://[::1]:6379/0",
            "redis://h:6379/0?socket_timeout=3",
            "unix:///run/redis.sock?db=3",
            "unix://user:password@/run/redis.sock",
        ],
    )
    def test_their_urls_go_to_redis_py_as_they_are(self, url: str) -> None:
        place = location_of(url)
        assert place.address == url
        assert isinstance(place.store(FakeClock()), RedisStore)

    def test_what_is_ours_is_taken_out(self) -> None:
        place = location_of("redis://h/0?on_outage=local&socket_timeout=3&local_share=0.5&db=1")
        assert place.address == "redis://h/0?socket_timeout=3&db=1"
        assert place.local_share == 0.5
        assert location_of("REDIS://h/0?on_outage=error").address == "redis://h/0"

    def test_what_redis_py_cannot_read_is_refused_at_once(self) -> None:
        place = location_of("redis://:geheim@h:port")
        with pytest.raises(ConfigurationError, match="redis-py cannot read the limiter's URL"):
            place.store(FakeClock())

    def test_a_password_with_a_hash_would_be_cut_in_two(self) -> None:
        with pytest.raises(ConfigurationError, match="must be written '%23'") as caught:
            location_of("redis://user:12#geheim@h")
        assert "geheim" not in str(caught.value)

    def test_the_password_is_not_shown(self) -> None:
        assert "geheim" not in repr(location_of("redis://:geheim@h"))


class TestOutages:
    @pytest.mark.parametrize(
        ("query", "share"),
        [
            ("", None),
            ("?on_outage=error", None),
            ("?on_outage=local", 0.25),
            ("?on_outage=local&local_share=0.1", 0.1),
            ("?local_share=1&on_outage=local", 1.0),
        ],
    )
    def test_they_end_in_an_error_or_in_a_local_share(
        self, query: str, share: float | None
    ) -> None:
        assert location_of(f"sqlite:///srv/b.db{query}").local_share == share
        assert location_of(f"redis://h{query}").local_share == share

    @pytest.mark.parametrize(
        "query",
        ["on_outage=wait", "on_outage=", "local_share=0.5", "on_outage=error&local_share=1"],
    )
    def test_nothing_else_is_known(self, query: str) -> None:
        with pytest.raises(ConfigurationError, match=r"on_outage=local&local_share=0\.25"):
            location_of(f"redis://h?{query}")

    @pytest.mark.parametrize("share", ["0", "-0.5", "1.01", "nan", "inf", "half", ""])
    def test_a_share_is_a_part(self, share: str) -> None:
        with pytest.raises(ConfigurationError, match=f"local_share={share} must be above 0 and at"):
            location_of(f"redis://h?on_outage=local&local_share={share}")


class TestOthers:
    @pytest.mark.parametrize(
        ("url", "told"),
        [
            ("mysql://root:geheim@h/x", "limiter 'mysql' is not known"),
            ("sqlite:/srv/geheim.db", "limiter 'sqlite' is not known"),
            ("redis:geheim@h", "limiter 'redis' is not known"),
            ("root:geheim@h:6379", "limiter 'root' is not known"),
            ("geheim@h:6379/0", "limiter is no URL"),
            ("://geheim", "limiter '' is not known"),
            ("", "limiter '' is not known"),
            ("?geheim", "limiter '' is not known"),
        ],
    )
    def test_they_are_refused_without_a_word_of_what_may_be_a_password(
        self, url: str, told: str
    ) -> None:
        with pytest.raises(ConfigurationError) as caught:
            location_of(url)
        assert str(caught.value) == (
            f"{told}; write memory://, host, sqlite:///path/to/file or redis://host:6379/0"
            " (rediss:// with TLS, unix://, redis+sentinel://)"
        )


class TestAsAClientIsTold:
    async def test_by_the_argument_or_the_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SYNCRO_LIMITER", f"sqlite://{tmp_path}/of_the_environment.db")
        app = App(Answer(body={"lead": {"id": 7}}))
        async with client_of(app) as client:
            await client.leads.get(7)
        assert files_in(tmp_path) == ["of_the_environment.db"]
        async with client_of(app, limiter=f"sqlite://{tmp_path}/of_the_argument.db") as client:
            await client.leads.get(7)
        assert files_in(tmp_path) == ["of_the_argument.db", "of_the_environment.db"]
        async with client_of(app, limiter="memory://") as client:
            assert isinstance(client._limiter, InProcessLimiter)

    def test_a_wrong_one_of_the_environment_is_refused_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SYNCRO_LIMITER", "redis://:geheim@h:port")
        with pytest.raises(ConfigurationError) as caught:
            AsyncClient(KEY)
        assert "geheim" not in str(caught.value)
        assert caught.value.__cause__ is None

    async def test_key_service_timeout_and_rates_are_the_client_s(self, tmp_path: Path) -> None:
        limiter = shared_limiter(
            f"sqlite://{tmp_path}/b.db?on_outage=local",
            "https://x.invalid",
            KEY,
            (RateLimit(4, 60.0),),
            timeout=5.0,
            clock=FakeClock(),
        )
        assert isinstance(limiter, SharedLimiter)
        assert limiter.rates == (RateLimit(4, 60.0),)
        await limiter.aclose()


@pytest.mark.parametrize(
    ("address", "windows", "path"),
    [
        ("/C:/app/a%20b.db", True, "C:/app/a b.db"),
        ("/srv/app/b.db", True, "/srv/app/b.db"),
        ("/C:/app/b.db", False, "/C:/app/b.db"),
    ],
)
def test_a_drive_of_windows_is_the_start_of_a_path_there(
    *, address: str, windows: bool, path: str
) -> None:
    assert local_path(address, windows=windows) == path
