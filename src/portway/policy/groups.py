"""Groups as they are written, made into groups that can be asked.

Not here: TOML (config), and the groups that accounts belong to by themselves, which an
access brings along. Invariant: a group that is in itself is a problem, and nothing here
runs in circles for it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from portway.config import schema
from portway.config.report import nearest, spell
from portway.errors import Problem
from portway.policy.clients import LATER, By, Client, Group, read_client

Note = Callable[[Problem], None]
Written = Mapping[str, Sequence[Client]]  # the members of each group, by its name


def compile_groups(
    groups: Iterable[schema.Group], problems: list[Problem]
) -> dict[str, Group]:
    """Return the groups by name, and add what is wrong with them to *problems*."""
    groups = tuple(groups)
    known = dict.fromkeys(group.name for group in groups)
    written = {
        group.name: _read_members(group, known, problems.append) for group in groups
    }
    _note_circles(groups, written, problems.append)
    found: dict[str, Group] = {}
    for name in known:
        inner = _within(name, written)
        members = [member for one in (name, *inner) for member in written[one]]
        found[name] = Group(name, members, inner)
    return found


def read_member(word: str) -> Client:
    """Read one word of ``members``. Raises ValueError, which names the cure."""
    if word == "*":
        text = '"*" is everyone, which is no group: write who = ["*"] in the rule'
        raise ValueError(text)
    if word.startswith("@"):
        raise ValueError(f'"{word}": a list in a group {LATER}')
    return read_client(word)


def unknown_group(name: str, known: Iterable[str]) -> str:
    """Say that there is no group *name*, and the cure."""
    cure = nearest(name, known) or f"; add [{spell(('group', name))}]"
    return f'there is no group "{name}"{cure}'


def _read_members(
    group: schema.Group, known: Collection[str], note: Note
) -> list[Client]:
    members: list[Client] = []
    for place, word in enumerate(group.members):
        try:
            member = read_member(word)
            if member.by is By.GROUP and member.name not in known:
                raise ValueError(unknown_group(member.name, known))  # noqa: TRY301 - one of several faults
        except ValueError as error:
            note(problem_of(group, place, str(error)))
        else:
            members.append(member)
    return members


def problem_of(group: schema.Group, place: int, text: str) -> Problem:
    """Return what is wrong with the member at *place*."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return Problem(group.lines[place], spell(("group", group.name, "members")), line)


def _inner(name: str, written: Written) -> list[str]:
    return [member.name for member in written[name] if member.by is By.GROUP]


def _within(name: str, written: Written) -> list[str]:
    """Return the names of all groups in the group *name*, itself left out."""
    found: dict[str, None] = {name: None}
    waiting = [name]
    while waiting:
        for inner in _inner(waiting.pop(), written):
            if inner not in found:
                found[inner] = None
                waiting.append(inner)
    return [*found][1:]


def _note_circles(groups: Iterable[schema.Group], written: Written, note: Note) -> None:
    told: set[str] = set()
    for group in groups:
        circle = _circle(group.name, written)
        if not circle or not told.isdisjoint(circle):
            continue
        told.update(circle)
        way = " in ".join(f'"{name}"' for name in reversed([group.name, *circle]))
        text = f"a group cannot be in itself, as {way} is; take one of them out"
        note(problem_of(group, _place_of(group, circle[0]), text))


def _place_of(group: schema.Group, member: str) -> int:
    """Return the place at which the group *member* stands in *group*."""
    for place, word in enumerate(group.members):
        try:
            read = read_client(word)
        except ValueError:
            continue  # it was told
        if read.by is By.GROUP and read.name == member:
            return place
    return 0


def _circle(name: str, written: Written) -> list[str]:
    """Return a shortest way from the group *name* through those in it to itself."""
    came_from: dict[str, str] = {}
    waiting = [name]
    for at in waiting:  # it grows meanwhile
        for inner in _inner(at, written):
            if inner in came_from:
                continue
            came_from[inner] = at
            if inner == name:
                return _way_back(name, came_from)
            waiting.append(inner)
    return []


def _way_back(name: str, came_from: Mapping[str, str]) -> list[str]:
    way = [name]
    while came_from[way[-1]] != name:
        way.append(came_from[way[-1]])
    return way[::-1]
