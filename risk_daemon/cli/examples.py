"""How each command is typed, and where it stands in the list of all. A command without a row has no example yet."""

from __future__ import annotations

from collections.abc import Mapping

EVERY_DAY, STOPPING, SETTING_UP, TRYING = "Every day", "Stopping and resuming", "Setting up", "Trying it out"
OTHERS = "Others"

PANELS: Mapping[str, str] = {
    **dict.fromkeys(
        ("run", "status", "top", "check-drawdown", "tail", "alerts", "broadcast", "watch", "reload"), EVERY_DAY
    ),
    **dict.fromkeys(
        ("halt", "release", "reset", "disable", "enable", "cancel-all", "close-positions", "warden"), STOPPING
    ),
    **dict.fromkeys(
        ("init", "check", "token", "fund", "venues", "record-venue", "verify-log", "migrate", "convert-risk-limits",
         "convert-alert-env", "install-service", "example-config"), SETTING_UP
    ),
    **dict.fromkeys(("demo", "simulate-breach", "simulate-venue", "replay"), TRYING),
}  # fmt: skip

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "": ("demo", "check --explain", "run", "status --watch", 'halt --reason "the bots are mad"'),
    "run": ("run", "run --config /etc/risk-daemon/config.toml"),
    "init": ("init", "init --from-store"),
    "demo": ("demo", "demo --venues binance,okx"),
    "check": ("check", "check --explain"),
    "status": ("status", "status --watch", "status --json"),
    "top": ("top",),
    "reload": ("reload --check", "reload"),
    "replay": (
        "replay 2025-02 --profile moderate",
        "replay equity.csv --config config.toml --plot replay.png",
    ),
    "install-service": ("install-service --print", "install-service --instance fund2"),
    "example-config": ("example-config",),
    "check-drawdown": ("check-drawdown", "check-drawdown --venue kraken", "check-drawdown --store"),
    "tail": ("tail -f", "tail -n 100 --json"),
    "alerts": ("alerts", "alerts ack", "alerts test oncall"),
    "broadcast": ("broadcast", "broadcast --send"),
    "watch": ("watch --config /etc/risk-daemon/config.toml",),
    "halt": ('halt --reason "the bots are mad"', 'halt --bot grid-1 --reason "it floods"'),
    "release": ('release --bot grid-1 --reason "mended"', 'release --everything --reason "looked at the accounts"'),
    "reset": ('reset --reason "a bad price, see the log" --rebaseline keep',),
    "disable": ('disable --for 10m --reason "moving coins by hand"',),
    "enable": ("enable",),
    "cancel-all": ("cancel-all", "cancel-all --venue kraken --market spot"),
    "close-positions": ("close-positions", "close-positions --venue krakenfutures"),
    "simulate-breach": ("simulate-breach", "simulate-breach --dry-run --no-alerts"),
    "simulate-venue": ("simulate-venue kraken --port 9001",),
    "verify-log": ("verify-log", 'verify-log --explained "restored from the backup of Sunday"'),
    "migrate": ("migrate",),
    "venues": ("venues", "venues kraken"),
    "record-venue": ("record-venue kraken --out kraken.recording.gz",),
    "token": ("token create --role bot --name grid-1", "token list", "token revoke grid-1"),
    "token create": ("token create --role bot --name grid-1", "token create --role viewer --name prometheus"),
    "token list": ("token list",),
    "token revoke": ("token revoke grid-1",),
    "alerts ack": ("alerts ack",),
    "alerts test": ("alerts test", "alerts test oncall"),
    "fund": ("fund status", "fund transfer 500 --to b"),
    "fund found": ("fund found", "fund found --capital 100000", 'fund found --anew --reason "looked at all accounts"'),
    "fund join": ("fund join",),
    "fund status": ("fund status", "fund status --json"),
    "fund transfer": ("fund transfer 500 --to b",),
    "fund leave": ("fund leave", "fund leave --to b"),
    "fund adopt": ('fund adopt b --reason "its machine burned"',),
    "warden": ("warden enroll alice", "warden list"),
    "warden enroll": ("warden enroll alice",),
    "warden list": ("warden list",),
    "warden revoke": ('warden revoke alice --reason "left the company"',),
    "warden accept-configuration": ('warden accept-configuration --reason "a wider daily limit"',),
    "warden break-glass": ("warden break-glass", "warden break-glass --stop"),
}
