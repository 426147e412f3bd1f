"""The Lua scripts: loaded from their files, called by keyword, answered in declared words.

A script's header says what it takes and gives:

    -- KEYS run steps ...      names of its keys; `...` at the end: more follow, to which arguments refer by number
    -- ARGV plan version ...   names of its arguments; `...` likewise; `each:`: those after it come once for each of
                               several things that one call is about, and the script itself says of which it speaks
    -- REPLY COMMITTED ...     the first element of every reply is one of these words
    -- MOVES queued>running    the state changes it writes (`planned`: those of the planner)
    -- include clock wake      fragments (`_clock.lua` ...) put in front of it; `release+quota:release,free_quotas`:
                               those of which a call makes the functions only when it calls one of these

In the script a key is `k_<name>` and an argument `a_<name>`. A line that refuses carries `-- guard: <name>`; a
Library can be made without some of them, for the tests that show what each guard is there for.

Each call makes all functions of its script anew, and what they capture is most of the cost: so fragments look for keys
and arguments where Redis puts them, and what is seldom needed waits until it is called.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.resources import files
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

Argument: TypeAlias = str | int | bytes

_HEADER = re.compile(r"^-- (KEYS|ARGV|REPLY|MOVES|include)\b *(.*)$", re.MULTILINE)
_NAME = re.compile(r"\b[ka]_\w+")
_GUARD = re.compile(r"-- guard: (\w+)\s*$")
_LUA = files("cordum.store") / "lua"


@dataclass(frozen=True)
class Script:
    """One script, ready to be sent."""

    name: str
    keys: tuple[str, ...]
    more_keys: bool
    args: tuple[str, ...]
    more_args: bool
    replies: frozenset[str]
    moves: tuple[str, ...]
    fragments: tuple[str, ...]
    source: str = field(repr=False)
    each_key: tuple[str, ...] = ()  # the last of the keys, which come once for each
    each_arg: tuple[str, ...] = ()

    @cached_property
    def sha(self) -> str:
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    @cached_property
    def _pick_keys(self) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
        return _picker(self.keys)

    @cached_property
    def _pick_args(self) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
        return _picker(self.args)

    @property
    def guards(self) -> tuple[str, ...]:
        found = (match[1] for line in self.source.splitlines() if (match := _GUARD.search(line)))
        return tuple(dict.fromkeys(found))

    def arrange(
        self,
        keys: Mapping[str, str],
        args: Mapping[str, Argument],
        more_keys: Sequence[str] = (),
        more_args: Sequence[Argument] = (),
    ) -> tuple[list[str], list[Argument]]:
        """Keys and arguments in the order of the header; anything missing or unknown is a programming error."""
        if len(keys) != len(self.keys) or len(args) != len(self.args):
            raise self._misfit(keys, args)
        self._refuse_more(more_keys, more_args)
        try:
            return [*self._pick_keys(keys), *more_keys], [*self._pick_args(args), *more_args]
        except KeyError:
            raise self._misfit(keys, args) from None

    def arrange_each(
        self, fixed: Mapping[str, Argument], rows: Sequence[tuple[Sequence[str], Sequence[Argument]]]
    ) -> list[Argument]:
        """All arguments of a call about several things; of each its keys and its arguments, in the order of the header.

        `fixed`: what is the same for all, by name as in the script.
        """
        keys = [fixed[f"k_{name}"] for name in self.keys[: -len(self.each_key)]]
        args = [fixed[f"a_{name}"] for name in self.args[: -len(self.each_arg)]]
        if len(fixed) != len(keys) + len(args) or any(
            (len(own_keys), len(own_args)) != (len(self.each_key), len(self.each_arg)) for own_keys, own_args in rows
        ):
            raise TypeError(f"{self.name}: keys or arguments do not fit its header")
        for own_keys, _ in rows:
            keys += own_keys
        for _, own_args in rows:
            args += own_args
        return [len(keys), *keys, *args]

    def form(self, more_keys: Sequence[str] = (), more_args: Sequence[Argument] = (), **fixed: Argument) -> Form:
        """A call of which this much is always the same; keys and arguments are named as in the script."""
        keys, args = [f"k_{name}" for name in self.keys], [f"a_{name}" for name in self.args]
        if not fixed.keys() <= {*keys, *args}:
            raise TypeError(f"{self.name} has no {', '.join(sorted(fixed.keys() - {*keys, *args}))}")
        self._refuse_more(more_keys, more_args)
        given = ((name, fixed.get(name, "")) for name in keys), ((name, fixed.get(name, "")) for name in args)
        places = [*given[0], *((None, key) for key in more_keys), *given[1], *((None, one) for one in more_args)]
        return Form(
            self,
            (len(keys) + len(more_keys), *(value for _, value in places)),
            tuple((name, number) for number, (name, _) in enumerate(places, 1) if name and name not in fixed),
        )

    def _refuse_more(self, more_keys: Sequence[str], more_args: Sequence[Argument]) -> None:
        if (more_keys and not self.more_keys) or (more_args and not self.more_args):
            raise TypeError(f"{self.name} takes no further keys or arguments")

    def _misfit(self, keys: Mapping[str, str], args: Mapping[str, Argument]) -> TypeError:
        wrong = sorted(set(keys) ^ set(self.keys) | set(args) ^ set(self.args))
        return TypeError(f"{self.name}: keys or arguments do not fit its header: {', '.join(wrong)}")


class Form(NamedTuple):
    """A call that wants filling in: `blanks` are what is missing, by name and place."""

    script: Script
    arguments: tuple[Argument, ...]
    blanks: tuple[tuple[str, int], ...]

    def filled(self, **given: Argument) -> list[Argument]:
        """All arguments of the call; anything missing or unknown is a programming error."""
        if len(given) != len(self.blanks):
            wrong = sorted(given.keys() ^ {name for name, _ in self.blanks})
            raise TypeError(f"{self.script.name}: {', '.join(wrong)} do not fit what is blank")
        arguments = list(self.arguments)
        for name, place in self.blanks:
            arguments[place] = given[name]
        return arguments


def _picker(names: Sequence[str]) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    """Takes the values of these names, in order; of one name `itemgetter` alone would give the bare value."""
    return itemgetter(*names) if len(names) > 1 else lambda values: [values[name] for name in names]


class Library:
    """All scripts by name.

    `virtual_clock` swaps the clock fragment, so that what is shipped holds no override; `without` leaves out guards,
    given as (script, guard).
    """

    def __init__(self, *, virtual_clock: bool = False, without: Sequence[tuple[str, str]] = ()) -> None:
        self._fragments = {
            path.name[1:-4]: path.read_text() for path in _LUA.iterdir() if re.fullmatch(r"_\w+\.lua", path.name)
        }
        if virtual_clock:
            self._fragments["clock"] = self._fragments["virtual_clock"]
        sources = {
            path.name[:-4]: path.read_text() for path in _LUA.iterdir() if re.fullmatch(r"[a-z]\w*\.lua", path.name)
        }
        built = {name: self._build(name, text) for name, text in sorted(sources.items())}
        for script, guard in without:
            built[script] = replace(built[script], source=_without(built[script].source, guard))
        self.scripts: Mapping[str, Script] = built

    def __getitem__(self, name: str) -> Script:
        return self.scripts[name]

    def _build(self, name: str, text: str) -> Script:
        header = {key: value.split() for key, value in _HEADER.findall(text)}
        keys, each_key, more_keys = _names(header.get("KEYS", []))
        args, each_arg, more_args = _names(header.get("ARGV", []))
        names = _places("k", keys, "KEYS") | _places("a", args, "ARGV")
        each = [*(f"k_{name}" for name in each_key), *(f"a_{name}" for name in each_arg)]
        names = {name: place for name, place in names.items() if name not in each}
        parts = [_locals(names, text), *([f"local {', '.join(each)}"] if each else [])]
        included = []
        for word in header.get("include", []):
            fragments, _, entries = word.partition(":")
            included += fragments.split("+")
            source = "\n".join(_in_place(names, self._fragments[one]) for one in fragments.split("+"))
            parts += [_when_called(entry, source) for entry in entries.split(",")] if entries else [source]
        moves = [*header.get("MOVES", [])]
        for fragment in included:
            moves += dict(_HEADER.findall(self._fragments[fragment])).get("MOVES", "").split()
        return Script(
            name=name,
            keys=keys,
            more_keys=more_keys,
            args=args,
            more_args=more_args,
            replies=frozenset(header.get("REPLY", [])),
            moves=tuple(moves),
            fragments=tuple(included),
            source="\n".join((*parts, text)),
            each_key=each_key,
            each_arg=each_arg,
        )


def _names(words: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """All that a header line names; of these the ones that come once for each; whether more follow."""
    named = tuple(word for word in words if word not in ("each:", "..."))
    each = tuple(words[words.index("each:") + 1 :]) if "each:" in words else ()
    return named, each, "..." in words


def _places(prefix: str, names: Sequence[str], table: str) -> dict[str, str]:
    """{`k_run`: `KEYS[1]`}: inside a script nothing is known by its position."""
    return {f"{prefix}_{name}": f"{table}[{number}]" for number, name in enumerate(names, 1)}


def _locals(places: Mapping[str, str], text: str) -> str:
    used = [name for name in places if re.search(rf"\b{name}\b", text)]
    return f"local {', '.join(used)} = {', '.join(places[name] for name in used)}" if used else ""


def _in_place(places: Mapping[str, str], text: str) -> str:
    """A fragment that looks for its keys and arguments where Redis puts them."""
    return _NAME.sub(lambda match: places.get(match[0], match[0]), text)


def _when_called(entry: str, text: str) -> str:
    """Fragments whose functions exist only within a call of this one of them."""
    return f"local function {entry}(...)\n{text}\nreturn {entry}(...)\nend"


def _without(source: str, guard: str) -> str:
    """The script with one guard taken away: its line is dropped, or, where a block hangs on it, never taken."""
    lines = []
    found = False
    for line in source.splitlines():
        match = _GUARD.search(line)
        if match is None or match[1] != guard:
            lines.append(line)
            continue
        found = True
        code = line[: match.start()].rstrip()
        if re.match(r"\s*if .* then$", code):
            lines.append("if false then")
        elif assigned := re.match(r"\s*local (\w+) = ", code):
            lines.append(f"local {assigned[1]} = true")
    if not found:
        raise KeyError(f"no guard {guard}")
    return "\n".join(lines)


def word_of(reply: Any) -> str:
    return str(reply[0])
