"""``cpt watch --web``: the same screens in a browser of this machine, through textual-serve.

Only the loopback is listened on, and only pages that this server sent may open a session: a web
site that the user visits could else reach it through the browser, and a session starts workers.
"""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import typer

from cpt_tui.safe import clean
from engine.errors import InputError
from engine.runs.run import Run

HOST = "127.0.0.1"
PORT = 8321


def serve(run: Run, port: int = PORT) -> None:
    """Serve the run's screen until Ctrl-C. InputError without the extra."""
    if importlib.util.find_spec("textual_serve") is None:
        raise InputError("--web needs textual-serve; install it with: pip install 'cpt-tui[web]'")
    from textual_serve.server import Server

    code = "from cpt_tui.cli import main; main()"
    command = shlex.join([sys.executable, "-P", "-c", code, "watch", run.id])
    server: Any = Server(command, host=HOST, port=port, title=f"cpt {clean(run.id)}")
    make = server._make_app

    async def make_guarded() -> Any:
        app = await make()
        app.middlewares.append(guard({f"{HOST}:{port}", f"localhost:{port}"}))
        return app

    server._make_app = make_guarded
    typer.echo(f"cpt: {clean(run.id)} at http://{HOST}:{port} (this machine only; Ctrl-C ends it)")
    typer.echo(f"From elsewhere: ssh -L {port}:{HOST}:{port} THIS_MACHINE")
    server.serve()


def guard(hosts: set[str]) -> Any:
    """Refuses what no page of this server sent: another host's name, another origin."""
    from aiohttp import web

    @web.middleware
    async def check(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        origin = request.headers.get("Origin", "")
        foreign = origin and origin.partition("://")[2] not in hosts
        if request.host not in hosts or foreign:
            raise web.HTTPForbidden(text="cpt answers to pages of its own only")
        return await handler(request)

    return check
