"""`make fuzz`: schemathesis over the /openapi.json of a running daemon, as a bot and as an operator.

No 5xx, no answer that is not documented, and nothing that is not allowed has an effect: afterwards the daemon still
runs, the gate is open and nothing is halted. The one thing an operator's token may do for good, a halt, is left out.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path

from tests.e2e.harness import ROOT, Daemon

CONFIG = """
[portfolio]
initial_capital = 10000
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
simulated = true
[venues.krakenfutures]
exchange = "krakenfutures"
markets = ["perp"]
simulated = true
[breakers.drawdown]
[breakers.error_rate]
max_errors = 99999
[breakers.order_rate]
max_orders = 99999
[baselines]
peak_hold = "1s"
[gate]
duplicate_window = "1s"
"""


def token(daemon: Daemon, role: str) -> str:
    made = daemon.command("token", "create", "--role", role, "--name", f"fuzz-{role}")
    if made.returncode != 0:
        raise RuntimeError(made.stderr)
    return made.stdout.strip().splitlines()[-1]


def fuzz(address: str, bearer: str, seconds: float, *more: str) -> int:
    words = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"http://{address}/openapi.json",
        "--header",
        f"Authorization: Bearer {bearer}",
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        "--max-time",
        str(int(seconds)),
        "--max-examples",
        "100000",
        "--exclude-path",
        "/api/v1/events",  # endless by its nature
        "--request-timeout",
        "10",
        *more,
    ]
    return subprocess.run(words, cwd=ROOT, check=False).returncode


def main() -> int:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as name:
        daemon = Daemon(Path(name), CONFIG, {})
        try:
            return _run(daemon, seconds)
        finally:
            daemon.close()


def _run(daemon: Daemon, seconds: float) -> int:
    daemon.start()
    daemon.wait_open()
    address = next(e["address"] for e in daemon.of("api_listening") if not e["address"].startswith("unix:"))
    codes = [
        fuzz(address, token(daemon, "bot"), seconds / 2),
        fuzz(address, token(daemon, "operator"), seconds / 2, "--exclude-path", "/api/v1/halt"),
    ]
    found = json.loads(daemon.command("status", "--json").stdout)
    seen = {key: found.get(key) for key in ("state", "locked", "halts")}
    is_unmoved = daemon.is_running() and seen == {"state": "ACTIVE", "locked": False, "halts": []}
    print(f"schemathesis ended with {codes}; the daemon: running {daemon.is_running()}, {seen}")
    return 0 if codes == [0, 0] and is_unmoved else 1


if __name__ == "__main__":
    sys.exit(main())
