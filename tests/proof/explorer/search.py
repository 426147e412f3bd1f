"""Depth-first search over every order of the actors' calls, with every death and every lost reply in between.

States that were seen are not entered again: what can follow from them is known. A death before a call needs no branch
of its own, because it looks exactly like an actor that is never let go on, and every state on the way is judged.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cordum.store.scripts import Library
from tests.proof.explorer.actors import Company, Point
from tests.proof.explorer.evidence import Broken, Move
from tests.proof.explorer.judge import Judge
from tests.proof.explorer.moment import Moment
from tests.proof.explorer.stage import Stage
from tests.proof.explorer.tape import Call

_LOST, _DEAD = "and the reply is lost", "and the caller dies"


class State(NamedTuple):
    moment: Moment
    points: tuple[Point, ...]
    faults_left: int


class Step(NamedTuple):
    """One actor's one call, and what became of its reply."""

    state: State
    actor: str
    call: Any
    reply: Any
    fate: str  # "", "and the reply is lost", "and the caller dies"
    after: State

    def __str__(self) -> str:
        if not isinstance(self.call, Call):
            return f"{self.actor}: begins"
        word = self.reply[0] if isinstance(self.reply, list) else self.reply
        return f"{self.actor}: {self.call} -> {word}{self.fate and f', {self.fate}'}"


class Breach(NamedTuple):
    """A course of things that breaks a promise; its text is what anybody needs to go the same way again."""

    broken: Broken
    trail: tuple[Step, ...]

    def __str__(self) -> str:
        return "\n".join((str(self.broken), *(f"  {number}. {step}" for number, step in enumerate(self.trail, 1))))


@dataclass
class Found:
    """What a search saw. `orders` counts courses of things from the beginning to where nobody can go on."""

    states: int = 0
    orders: int = 0
    whole: bool = True
    exercised: Counter[str] = field(default_factory=Counter)
    breach: Breach | None = None


class Search:
    def __init__(
        self, stage: Stage, company: Company, judge: Judge, library: Library, begin: State, most_states: int
    ) -> None:
        self._stage = stage
        self._company = company
        self._judge = judge
        self._library = library
        self._begin = begin
        self._most = most_states
        self._looks = 0

    # -- searching -----------------------------------------------------------------------------------------------

    def run(self) -> Found:
        """Depth first, until every state has been entered, `most_states` have, or a promise is broken."""
        found = Found()
        orders: dict[State, int] = {self._begin: 0}
        way: list[tuple[State, Iterator[Step], Step | None]] = [(self._begin, self._steps(self._begin), None)]
        while way:
            state, steps, _ = way[-1]
            step = next(steps, None)
            if step is None:
                way.pop()
                orders[state] = orders[state] or 1
                if way:
                    orders[way[-1][0]] += orders[state]
                continue
            try:
                self._judge_step(step, found.exercised)
            except Broken as broken:
                found.breach = Breach(broken, (*(taken for _, _, taken in way if taken is not None), step))
                break
            if step.after in orders:
                orders[state] += orders[step.after]
            elif len(orders) >= self._most:
                found.whole = False
            else:
                orders[step.after] = 0
                way.append((step.after, self._steps(step.after), step))
        found.states, found.orders = len(orders), orders[self._begin]
        return found

    def shortest(self) -> Breach | None:
        """Breadth first to the first broken promise: no shorter course of things breaks one."""
        seen: dict[State, Step | None] = {self._begin: None}
        waiting = deque([self._begin])
        while waiting and len(seen) < self._most:
            for step in self._steps(waiting.popleft()):
                try:
                    self._judge_step(step, Counter())
                except Broken as broken:
                    return Breach(broken, _way_to(step, seen))
                if step.after not in seen:
                    seen[step.after] = step
                    waiting.append(step.after)
        return None

    # -- stepping ------------------------------------------------------------------------------------------------

    def _steps(self, state: State) -> Iterator[Step]:
        """All that can happen next. Each state begins with another actor, so that a short search sees a bit of all."""
        self._looks += 1
        count, first = len(state.points), self._looks
        for index in ((first + turn) % count for turn in range(count)):
            point = state.points[index]
            if point.may_go_on(state.moment):
                yield from self._steps_of(state, index, point)

    def _steps_of(self, state: State, index: int, point: Point) -> Iterator[Step]:
        if not isinstance(point.call, Call):
            assert point.call is not None
            answer = self._stage.read(state.moment, point.call, point)
            yield self._step(state, index, self._go_on(point, answer, state.moment), state.moment, None)
            return
        reply, moment = self._stage.do(state.moment, point.call, self._library)
        yield self._step(state, index, self._go_on(point, reply, moment), moment, reply)
        if state.faults_left and moment is not state.moment:
            # Without a trace in Redis a lost reply is a call not yet made, and a death after it one before it.
            yield self._step(state, index, self._company.again(point), moment, reply, _LOST)
            yield self._step(state, index, self._company.died(point), moment, reply, _DEAD)

    def _go_on(self, point: Point, reply: Any, moment: Moment) -> Point:
        return self._company.go_on(point, reply, lambda read, asker: self._stage.read(moment, read, asker))

    def _step(self, state: State, index: int, point: Point, moment: Moment, reply: Any, fate: str = "") -> Step:
        points = (*state.points[:index], point, *state.points[index + 1 :])
        after = State(moment, points, state.faults_left - bool(fate))
        before = state.points[index]
        return Step(state, before.actor.name, before.call, reply, fate, after)

    def _judge_step(self, step: Step, exercised: Counter[str]) -> None:
        if isinstance(step.call, Call):
            move = Move(step.state.moment, step.call, step.reply, step.after.moment)
            exercised.update(self._judge.move(move))
        exercised.update(self._judge.notes(step.after.moment, {p.actor.name: p.notes for p in step.after.points}))


def _way_to(last: Step, seen: dict[State, Step | None]) -> tuple[Step, ...]:
    way = [last]
    while (before := seen[way[-1].state]) is not None:
        way.append(before)
    return tuple(reversed(way))
