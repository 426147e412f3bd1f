"""Reading the YAML files an operator writes, strictly.

Owns what is true of all of them: UTF-8, one mapping at the top, no key twice, and a refusal that names the file and,
for a misspelt key, the one that was probably meant. Knows nothing of what the keys mean.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

import yaml

from cordum.errors import ConfigurationRefused

__all__ = ["did_you_mean", "read_mapping"]


def read_mapping(path: Path) -> dict[str, object]:
    """The mapping a file holds ({} for an empty one); ConfigurationRefused for anything that is not one."""
    try:
        document = _StrictLoader(path.read_text(encoding="utf-8")).get_single_data()
    except OSError as error:
        raise ConfigurationRefused(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigurationRefused(f"{path} is not valid YAML: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise ConfigurationRefused(f"{path} must be a mapping from names to values")
    return document


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A suffix for an error message: the known name closest to this one, or nothing."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, where PyYAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                twice = f"the key {key.value!r} is given twice"
                raise yaml.constructor.ConstructorError(problem=twice, problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
