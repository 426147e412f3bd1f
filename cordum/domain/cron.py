"""When a cron expression ticks, in a time zone.

Five fields as in crontab(5), or one of `@hourly @daily @weekly @monthly @yearly`. Where clocks change, what Debian's
cron does: an expression with a fixed minute and hour ticks once a day, at the first minute after a skipped hour and in
the first pass of a doubled one; one that begins with `*` in either field follows elapsed time. Instants are
milliseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError

from cordum.config_files import did_you_mean
from cordum.errors import Problem

_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS = 5
_MAX_CHARS = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_402_300_799_000  # the end of the year 9999, beyond which there are no dates


@dataclass(frozen=True, slots=True)
class Cron:
    """One expression in one zone; checked by `problems`."""

    expression: str
    timezone: str = "UTC"

    def ticks(self, after: int) -> Iterator[int]:
        """The moments later than `after`, in order, each once; may end."""
        last = after
        try:
            for tick in CronSim(_plain(self.expression), _local(after, self.timezone)):
                moment = (tick.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
                # What fell into a skipped hour comes together in its end, and the second pass of an hour begins before
                # the first one's ticks.
                if moment > last:
                    last = moment
                    yield moment
        except (OverflowError, ValueError):  # no date is that late
            return

    def next(self, after: int) -> int | None:
        return next(self.ticks(after), None)


def problems(expression: str, timezone: str) -> list[Problem]:
    """What is wrong, with its mend; paths are those of a schedule's fields."""
    found = []
    if not _known(timezone):
        mend = did_you_mean(timezone, available_timezones())
        found.append(
            Problem("/timezone", "invalid_choice", f"not an IANA time zone such as Europe/Berlin or UTC{mend}")
        )
    said = _wrong(expression)
    if said:
        found.append(Problem("/cron", "cron_syntax", said))
    return found


def _wrong(expression: str) -> str | None:
    if expression.startswith("@"):
        known = expression.lower() in _NAMED
        return None if known else f"there is no {expression[:32]!r}{did_you_mean(expression, _NAMED)}"
    given = len(expression.split())
    if given != _FIELDS or len(expression) > _MAX_CHARS:
        return f"write five fields (minute hour day-of-month month day-of-week), as in '30 2 * * 1-5'; here are {given}"
    try:
        never = next(CronSim(expression, _EPOCH), None) is None
    except CronSimError as error:
        name = str(error).removeprefix("Bad ")
        return f"the field {name} cannot be read, or names what no date has: write numbers, *, a-b, a,b or */n"
    except Exception:
        # What the library's reader does not expect: a step over a last day, for example.
        return "cannot be read: write numbers, *, a-b, a,b or */n in each field"
    return "no date fits it" if never else None


def _plain(expression: str) -> str:
    return _NAMED.get(expression.lower(), expression)


def _known(timezone: str) -> bool:
    try:
        return bool(_zone(timezone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


@lru_cache(maxsize=256)
def _zone(timezone: str) -> ZoneInfo:
    return ZoneInfo(timezone)


def _local(moment: int, timezone: str) -> datetime:
    # Plain UTC where it is meant: the library knows it by identity, and needs no rules for it.
    zone = UTC if timezone == "UTC" else _zone(timezone)
    return (_EPOCH + timedelta(milliseconds=min(moment, _LAST_MS))).astimezone(zone)
