"""The screens in a browser: this machine's own pages only."""

from __future__ import annotations

from pathlib import Path

import pytest

from cpt_tui.commands import web
from engine.errors import InputError
from tests.cpt_tui import worlds


def test_without_the_extra_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"cpt-tui\[web\]"):
        web.serve(worlds.draft(tmp_path))


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:8321", "", 200),
        ("localhost:8321", "http://localhost:8321", 200),
        ("127.0.0.1:8321", "https://elsewhere.example", 403),
        ("elsewhere.example:8321", "", 403),
    ],
)
async def test_only_its_own_pages_are_answered(host: str, origin: str, status: int) -> None:
    """A site that the user visits must not reach a session, nor by a name that points here."""
    aiohttp = pytest.importorskip("aiohttp")
    from aiohttp import test_utils
    from aiohttp import web as server

    async def page(_: object) -> object:
        return server.Response(text="page")

    app = server.Application(middlewares=[web.guard({"127.0.0.1:8321", "localhost:8321"})])
    app.router.add_get("/", page)
    async with test_utils.TestClient(test_utils.TestServer(app)) as client:
        headers = {"Host": host, **({"Origin": origin} if origin else {})}
        answer = await client.get("/", headers=headers)
        assert answer.status == status, aiohttp.__version__
