"""A recording as a server: a call gets the answers that were recorded for it, in their order, the last one for ever."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from aiohttp import web

from adapters.masking import is_personal
from adapters.recording import Call, Recording

LOOPBACK = "127.0.0.1"


class Playback:
    """One recording on a free loopback port. missing: what was asked and never recorded."""

    def __init__(self, recording: Recording) -> None:
        self._answers: dict[tuple[str, str, str, str], list[Call]] = defaultdict(list)
        for call in recording.calls:
            self._answers[_name(call.method, call.host, call.path, call.query)].append(call)
        self.missing: list[str] = []
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def endpoint(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_route("*", "/{host}/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, 0).start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, http: web.Request) -> web.Response:
        host, path = http.match_info["host"], f"/{http.match_info['path']}"
        text = await http.text()
        form = {} if text.startswith(("{", "[")) else dict(await http.post())
        query = {name: str(value) for name, value in {**http.query, **form}.items()}
        name = _name(http.method, host, path, query)
        answers = self._answers.get(name)
        if not answers:
            self.missing.append(" ".join(name))
            return web.json_response({"error": f"this was not recorded: {' '.join(name)}"}, status=404)
        call = answers.pop(0) if len(answers) > 1 else answers[0]
        return web.json_response(call.body, status=call.status)


def _name(method: str, host: str, path: str, query: Mapping[str, str]) -> tuple[str, str, str, str]:
    """What tells one call from another: words, not times, ids and amounts, which differ from day to day."""
    told = {name: value for name, value in query.items() if not is_personal(name)}
    words = sorted(f"{name}={value}" for name, value in told.items() if value.replace("_", "").isalpha())
    return method, host, path, "&".join(words)
