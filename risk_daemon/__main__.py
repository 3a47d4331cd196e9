"""The entry point: every way to end becomes an exit code.

Python ends with 1 for any uncaught exception, and 1 means here "triggered and proven": systemd would leave
a crashed guard down. So nothing gets past `main`, not even an import of this project that fails, and 1 is
returned only when the daemon itself said so. When the guard dies of a bug, the lock is shut first.

Standard library only, and the lock is shut without any other module: theirs may be what failed.
"""

from __future__ import annotations

import os
import sys
from typing import Any

# The same numbers as errors.ExitCode, which may be what can't be imported.
STOPPED = 0
TRIGGERED_AND_PROVEN = 1
TRIGGERED_UNPROVEN = 4
BUG = 70
REFUSED = 78

_MAY_TRIGGER = frozenset({"run", "demo"})
_INTERRUPTED = {"run": STOPPED, "cancel-all": TRIGGERED_UNPROVEN, "close-positions": TRIGGERED_UNPROVEN}
_FORCED_AFTER_S = 5.0
_STATE_AT, _OPEN = 48, b"OPEN"  # where gate.bin says that it is open
_DEFAULT_CONFIG = "config.toml"
_DEFAULT_STATE = "var"


def main() -> int:
    """Run the command line and return its exit code. Never raises."""
    arguments = sys.argv[1:]
    command = next((word for word in arguments if not word.startswith("-")), "")
    try:
        code = _trusted(_run(arguments), command)
    except KeyboardInterrupt:
        _say("interrupted")
        code = _INTERRUPTED.get(command, REFUSED)
    except BaseException as error:
        code = _explain(error, command)
    if code == BUG and command == "run":
        shut_the_lock(arguments)
    return _flushed(code, command)


def _run(arguments: list[str]) -> object:
    from risk_daemon import cli

    return cli.main(arguments)


def _trusted(code: object, command: str) -> int:
    """`code` if it is one of ours and the command can give it. Anything else is a bug, not a success."""
    from risk_daemon.errors import ExitCode

    if not isinstance(code, ExitCode) or (code == TRIGGERED_AND_PROVEN and command not in _MAY_TRIGGER):
        _say(f"the command {command!r} ended with {code!r}, which is no exit code of its own")
        return BUG
    return int(code)


def _explain(error: BaseException, command: str) -> int:
    """Say what went wrong: a sentence for what a person can mend, a traceback for a bug."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, SystemExit) and command != "run":
        if error.code in (None, STOPPED):
            return STOPPED
        if error.code == 2:  # how other parsers of command lines say "usage"
            return REFUSED
    code = _own_code(error)
    if code == BUG:
        _trace(error)
    else:
        _say(str(error))
    return code


def _own_code(error: BaseException) -> int:
    """The exit code an error of this project carries. An error never means "triggered and proven"."""
    errors: Any = sys.modules.get("risk_daemon.errors")
    known = getattr(errors, "RiskDaemonError", None)
    if known is None or not isinstance(error, known):
        return BUG
    code = int(error.exit_code)
    return code if code != TRIGGERED_AND_PROVEN else BUG


def _say(sentence: str) -> None:
    try:
        lines = f"risk-daemon: {sentence}".splitlines()
        print("\n".join(_priority() + line for line in lines), file=sys.stderr, flush=True)
    except (OSError, ValueError, AttributeError):
        return  # nobody listens: the exit code still tells


def _priority() -> str:
    """What makes a line an error in the journal, where standard error goes there."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return ""
    return "<3>" if os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}" else ""


def _trace(error: BaseException) -> None:
    import traceback

    _say("".join(traceback.format_exception(error)).rstrip() + "\nThis is a bug of risk-daemon.")


def _flushed(code: int, command: str) -> int:
    """`code`, after making sure that Python's own flush at exit can't change it."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        except OSError:
            _say(f"the output of {command!r} could not be written")
    return code


# --- the last resort -------------------------------------------------------------------------------


def shut_the_lock(arguments: list[str]) -> None:
    """Make every reader find the lock of the configured state directory unreadable, which is locked.

    Nothing is done while another process owns the directory, or where there is none. Never raises.
    """
    try:
        state = _state_directory(arguments)
        if not os.path.isdir(state):
            return
        if not _ours(os.path.join(state, "owner.lock")):
            _say(f"{state}: another process owns this state, so its lock is left alone")
            return
    except Exception as error:  # the last line of defence: whatever it is, it is said
        _say(f"the lock could not be shut: {error!r}")
        return
    _try_to_say(_zero, os.path.join(state, "gate.bin"))
    _try_to_say(_garble, os.path.join(state, "lock.json"))


def _try_to_say(shut: Any, path: str) -> None:
    """One way to shut must not keep the other from being tried."""
    try:
        shut(path)
        _say(f"{path}: shut, so nothing trades until the guard is back")
    except FileNotFoundError:
        return  # what is not there is locked for every reader
    except Exception as error:
        _say(f"{path}: it could not be shut: {error!r}")


def _state_directory(arguments: list[str]) -> str:
    """Where the configuration says the state is. Raises if that can't be read."""
    import tomllib

    config = os.path.abspath(_option(arguments, "--config") or _DEFAULT_CONFIG)
    with open(config, "rb") as file:
        table = tomllib.load(file)
    return os.path.join(os.path.dirname(config), table.get("state", {}).get("dir", _DEFAULT_STATE))


def _option(arguments: list[str], name: str) -> str | None:
    found = None
    for word, following in zip(arguments, [*arguments[1:], None], strict=True):
        if word == name:
            found = following
        elif word.startswith(f"{name}="):
            found = word.partition("=")[2]
    return found


def _ours(path: str) -> bool:
    """Whether the ownership of the state is free, or already held by this process."""
    import fcntl

    try:
        descriptors = [os.open(path, os.O_RDWR | os.O_CLOEXEC)]
    except FileNotFoundError:
        return True
    wanted = os.fstat(descriptors[0])
    for entry in os.listdir("/proc/self/fd"):
        try:
            if os.path.samestat(os.fstat(int(entry)), wanted):
                descriptors.append(int(entry))
        except OSError:
            continue  # the descriptor that listed the directory is gone by now
    for descriptor in descriptors:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False


def _zero(path: str) -> None:
    """In place, so that every process that has the file open sees it at once. A shut gate may tell of a trip."""
    with open(path, "r+b") as file:
        if file.read(_STATE_AT + len(_OPEN))[_STATE_AT:] != _OPEN:
            return
        file.seek(0)
        file.write(bytes(os.fstat(file.fileno()).st_size))
        file.flush()
        os.fsync(file.fileno())


def _garble(path: str) -> None:
    """Not a lock record any more. In place, so that a full disk can't keep the old one standing.

    One that is locked stays: it may be the only one to tell of a trip.
    """
    with open(path, "r+b") as file:
        if b'"locked":true' in file.read().replace(b" ", b""):
            return
        file.seek(0)
        file.write(b"{}")
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def process() -> None:
    """The process: `main`, and then an end that no thread left behind can hold up."""
    code = main()
    import threading

    timer = threading.Timer(_FORCED_AFTER_S, os._exit, (code,))
    timer.daemon = True
    timer.start()
    sys.exit(code)


if __name__ == "__main__":
    process()
