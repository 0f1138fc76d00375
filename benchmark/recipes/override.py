"""What is typed as KEY=VALUE: the value is taken as it stands there, not as YAML would have it.

A value is null, true or false, a decimal number, a list [a, b], keys {a: 1}, or a text. YAML reads
more into it: a comment after " #", 8 in 010, 90 in 1:30, true in yes. What a key takes decides
where a value could be two things: a folder may be called 2024.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

import yaml

from benchmark.errors import UserError
from benchmark.lookup import accepts
from benchmark.recipes.schema import SCHEMA


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    """Read flow collections and quotes as YAML does, and plain words as said above."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {}


for _kind, _form in {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(0|[1-9]\d*)",
    "float": r"[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?|[-+]?\.?inf|\.?nan",
}.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"({_form})$"), None)


def read(text: str) -> Any:
    """Return the value that `text` is.

    Raises:
        yaml.YAMLError: it begins as a list, keys or a quoted text, and is none.
    """
    if text.startswith(("[", "{", "'", '"')):
        return yaml.load(text, Loader=_Loader)  # a SafeLoader
    loader = _Loader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))
    return loader.construct_object(yaml.ScalarNode(tag, text))


def parse(override: str, kinds: Mapping[str, str] | None = None) -> tuple[str, Any]:
    """Return key and value of an override, `key=value`.

    Args:
        override: As typed.
        kinds: The annotations of keys that no schema knows. One that takes text, and does not take
            what else `value` is, gets it as text.

    Raises:
        UserError: it is not of this form, or its value is none.
    """
    key, equals, text = override.partition("=")
    if not equals or not re.fullmatch(r"\w+(\.\w+)*", key):
        raise UserError(f"{override!r} is no override: key=value, such as optim.lr=1e-3")
    kind = "str | None" if SCHEMA.get(key) in (str, str | None) else (kinds or {}).get(key, "int")
    try:
        value = read(text)
    except (yaml.YAMLError, ValueError) as error:  # the latter: a number of thousands of digits
        if accepts(kind, text):
            return key, text
        problem = getattr(error, "problem", None) or error
        raise UserError(f"override {override!r}: {problem}") from None
    except RecursionError:
        raise UserError(f"override {key}=...: is nested too deeply") from None
    as_text = value is not None and not accepts(kind, value) and accepts(kind, text)
    return key, text if as_text else value


def written(value: Any) -> str:
    """Return a value as it stands in a run's name: what `read` reads once unquoted, path-safe."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list():
            return f"[{','.join(written(each) for each in value)}]"
        case str() if not _is_plain(value):
            value = "'" + value.replace("'", "''") + "'"
    return quote(str(value), safe="=.+-")


def _is_plain(text: str) -> bool:
    """Return whether a text is read as itself, alone and in a list."""
    try:
        return bool(read(text) == text and read(f"[{text}]") == [text])
    except yaml.YAMLError:
        return "${" in text  # a reference
