"""The errors, split by what the reader can do about them, and the exit codes.

    RiskDaemonError
      ConfigError         the configuration is wrong: mend the file        -> 78
      StateError          the state directory is refused: init, or look    -> 78
        StateOwned          another process has it
          OwnedMidTrip        while a trip is not proven                   -> 4
      UsageError          the command can't be carried out as said         -> 78
      StartUnavailable    first start ever and a venue is out of reach     -> 75
      InvariantError      a bug of ours                                    -> 70
        GuardFailed         whatever it was, in the middle of a trip
      RecordError         something could not be written down; act anyway
      VenueError          a venue did not give a proven answer
        VenueUnavailable    no answer, or "later": try again
        VenueRejected       the venue understood and refused: a person must look
        MalformedReply      an answer, but not the venue's own envelope: proves nothing
      CircuitBreakerError   a breaker's operation is refused
        CircuitBreakerException  raised in a bot's path: trading is locked

Standard library only: `__main__` maps these to exit codes before anything else is imported.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Every code the process ends with. 1 means "triggered and proven", nothing else."""

    STOPPED = 0
    TRIGGERED_AND_PROVEN = 1
    TRIGGERED_UNPROVEN = 4
    BUG = 70
    VENUE_UNAVAILABLE_AT_FIRST_START = 75
    REFUSED = 78


class RiskDaemonError(Exception):
    """Base of all errors of this project."""

    exit_code: ExitCode = ExitCode.BUG


class ConfigError(RiskDaemonError):
    """The configuration is refused. Its text is one sentence with file, key and what to do."""

    exit_code = ExitCode.REFUSED


class StateError(RiskDaemonError):
    """The state directory is missing, foreign, of another version, corrupt, or owned by another process."""

    exit_code = ExitCode.REFUSED


class StateOwned(StateError):
    """Another process owns the state directory."""


class OwnedMidTrip(StateOwned):
    """Another process owns the state directory while a trip is not proven: to be tried again, until it is."""

    exit_code = ExitCode.TRIGGERED_UNPROVEN


class UsageError(RiskDaemonError):
    """A command that can't be carried out as it was given."""

    exit_code = ExitCode.REFUSED


class StartUnavailable(RiskDaemonError):
    """The first start ever could not reach a venue, so there is no baseline."""

    exit_code = ExitCode.VENUE_UNAVAILABLE_AT_FIRST_START


class InvariantError(RiskDaemonError):
    """Something that can't be happened: a bug of ours."""


class GuardFailed(InvariantError):
    """The guard failed in the middle of a trip. Whatever the cause says of itself: it must be started again."""


class RecordError(RiskDaemonError):
    """A log line, latch or lock could not be written. The caller alerts and acts all the same."""


class Stopping(RiskDaemonError):
    """The daemon is about to end and takes nothing in any more. What was asked was not done."""


class VenueError(RiskDaemonError):
    """A venue did not give a proven answer. Whatever was asked is unknown."""


class VenueUnavailable(VenueError):
    """No answer, or "not now". `retry_after_s` is the venue's own wish, where it gave one."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class VenueRejected(VenueError):
    """The venue understood and refused: credentials, permissions, an unknown request."""


class MalformedReply(VenueError):
    """A reply that is not the venue's own envelope. It proves nothing."""


class CircuitBreakerError(RiskDaemonError):
    """An operation on a circuit breaker is refused, with the reason."""

    exit_code = ExitCode.REFUSED


class CircuitBreakerException(CircuitBreakerError):
    """Trading is locked. Raised where a bot asks before it sends an order."""


def check(condition: bool, sentence: str) -> None:
    """Raise InvariantError unless `condition` holds. Unlike `assert`, `python -O` keeps it."""
    if not condition:
        raise InvariantError(sentence)
