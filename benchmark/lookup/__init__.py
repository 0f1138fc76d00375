"""Things found by name, without a registry.

`find("benchmark.methods", "aim")` is the function `aim` in `benchmark/methods/aim.py`. Files that
start with an underscore are machinery and have no name. A folder of your own (`external`) has files
beside ours, and `method_facts` reads what a method claims. Only `find` imports the file it finds:
names and parameters are read from the source, so that a recipe is checked without torch.
"""

import ast
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmark.errors import UserError, nearest
from benchmark.lookup import external
from datamodules.files import display_path

# Of a file's code; what else goes wrong (memory, a device) is not the file's.
FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError)
PLAIN: dict[str, tuple[type, ...]] = {  # what stands in YAML for an annotation
    "str": (str,),
    "Path": (str,),
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "Fraction": (int, float),
}


def names(package: str) -> list[str]:
    """Return all names in `package`, without importing it."""
    return sorted(_files(package))


def own_file(package: str, name: str) -> Path | None:
    """Return a name's file in a folder of your own, None where it has none there."""
    folder = external.package_folder(package)
    return folder / f"{name}.py" if folder and (folder / f"{name}.py").is_file() else None


def _files(package: str) -> dict[str, Path]:
    ours = {file.stem: file for folder in _folders(package) for file in _named(folder)}
    own = external.package_folder(package)
    return external.together(ours, _named(own) if own else iter(()))


def _folders(package: str) -> list[Path]:
    """Return where files of `package` lie that are not of a folder of your own."""
    spec = find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"no package {package}")
    searched = map(Path, spec.submodule_search_locations or ())
    return [each for each in searched if each != external.package_folder(package)]


def _named(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder that have a name; one look finds them, whatever their number."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for each in entries:
            if each.name.endswith(".py") and each.name[0] != "_" and each.is_file():
                yield folder / each.name


def find(package: str, name: str) -> Callable[..., Any]:
    """Return the function `name` of the file `name` of `package`.

    Raises:
        UserError: nothing in `package` has this name, or its file cannot be imported.
    """
    parameters(package, name)  # a file without its function is told in one line, too
    try:
        _add_own_folder(package)
        function: Callable[..., Any] = getattr(import_module(f"{package}.{name}"), name)
    except Exception as error:  # whatever the file does when it is imported
        if blamed := _blamed(error, package):
            raise blamed from error
        raise
    return function


def _add_own_folder(package: str) -> None:
    """Let `package` import files of a folder of your own, under its own name, as it does ours."""
    own, searched = external.package_folder(package), import_module(package).__path__
    if own and str(own) not in searched:
        searched.append(str(own))


def call(package: str, named: Mapping[str, Any], *arguments: object) -> Any:
    """Call the function `named["name"]` of `package` with `arguments` and the rest of `named`.

    Raises:
        UserError: nothing has this name, a value or a file is not what it should be, or the file
            of that name has an error in it.
    """
    options = {key: value for key, value in named.items() if key != "name"}
    function = find(package, named["name"])
    try:
        return function(*arguments, **options)
    except ValueError as error:
        raise UserError(f"{named['name']}: {error}") from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise UserError(f"{named['name']}: {where}{error.strerror or error}") from error
    except FAULTS as error:
        if blamed := _blamed(error, package):
            raise blamed from error
        raise


def parameters(package: str, name: str) -> dict[str, str]:
    """Return the keyword parameters of that function and their annotations, as source text.

    Where it takes `**options: Unpack[Options]`, the keys of that typed dictionary are among them.

    Raises:
        UserError: nothing in `package` has this name.
    """
    tree = _tree_of(package, name)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            found = {
                argument.arg: ast.unparse(argument.annotation) if argument.annotation else "Any"
                for argument in node.args.kwonlyargs
            }
            match node.args.kwarg:
                case ast.arg(annotation=ast.Subscript(ast.Name("Unpack"), ast.Name(options))):
                    found |= _keys(tree, options)
            return found
    file = own_file(package, name) or f"{package}/{name}.py"
    raise UserError(f"{file} holds no function {name!r}")


def fact(package: str, name: str, key: str) -> Any:
    """Return the literal that the file `name` of `package` assigns to `key`, None if it does not.

    Raises:
        UserError: nothing in `package` has this name, or what it assigns is no literal.
    """
    for node in _tree_of(package, name).body:
        match node:
            case ast.Assign(targets=[ast.Name(own)], value=value) if own == key:
                try:
                    return ast.literal_eval(value)
                except (TypeError, ValueError):
                    file = own_file(package, name) or f"{package}/{name}.py"
                    raise UserError(f"{file}:{node.lineno}: {key} is no literal") from None
    return None


def _tree_of(package: str, name: str) -> ast.Module:
    """Return the source of the file `name` of `package`, which is not imported to find it."""
    known = _files(package)
    if name not in known:
        raise UserError(f"no {name!r} in {package}{nearest(name, sorted(known))}")
    return _parsed(known[name])


def _keys(tree: ast.Module, name: str) -> dict[str, str]:
    """Return the keys of a typed dictionary that a file has or imports, and their annotations."""
    for node in tree.body:
        match node:
            case ast.ClassDef(name=own, bases=bases, body=body) if own == name:
                inherited = (_keys(tree, base.id) for base in bases if isinstance(base, ast.Name))
                found = {key: kind for each in inherited for key, kind in each.items()}
                for each in body:
                    match each:
                        case ast.AnnAssign(ast.Name(key), annotation):
                            found[key] = ast.unparse(annotation)
                return found
            case ast.ImportFrom(module=str(module), names=imported) if module != "typing":
                if any(alias.name == name for alias in imported):
                    return _keys(_tree(module), name)
    return {}  # TypedDict itself


def functions(module: str) -> list[str]:
    """Return the names of the public functions of a module, without importing it."""
    found = (node.name for node in _tree(module).body if isinstance(node, ast.FunctionDef))
    return sorted(name for name in found if not name.startswith("_"))


def _tree(module: str) -> ast.Module:
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None, module
    return _parsed(Path(spec.origin))


def _parsed(file: Path) -> ast.Module:
    try:
        changed = file.stat()
        return _parsed_once(file, changed.st_mtime_ns, changed.st_size)
    except SyntaxError as error:
        line = f":{error.lineno}" if error.lineno else ""
        raise UserError(f"{display_path(file)}{line}: {error.msg}") from None
    except (OSError, ValueError) as error:  # ValueError: it is no text
        said = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{display_path(file)}: {said}") from None


@cache
def _parsed_once(file: Path, changed: int, size: int) -> ast.Module:
    """Parse a file; the runs of a sweep ask for the same few again and again."""
    return ast.parse(file.read_text(encoding="utf-8"))


def _blamed(error: Exception, package: str) -> UserError | None:
    """Return an error that came from the code of a file in `package` as one line that says where.

    None: it came from elsewhere, and is not the file's.
    """
    if isinstance(error, UserError):
        return error
    folders = {*_folders(package), external.package_folder(package)}
    frames = traceback.extract_tb(error.__traceback__)
    within = [frame for frame in frames if Path(frame.filename).parent in folders]
    own = within and (frames[-1] is within[-1] or isinstance(error, ImportError))
    if isinstance(error, SyntaxError) and error.filename:  # of what the file imports
        file, line = error.filename, error.lineno
    elif own:
        file, line = within[-1].filename, within[-1].lineno
    else:
        return None
    said = " ".join(str(error).split())
    return UserError(f"{display_path(Path(file))}:{line}: {type(error).__name__}: {said}")


def accepts(annotation: str, value: object) -> bool:
    """Return whether `value` can be what `annotation` says; what is not plain data always can."""
    return _accepts(ast.parse(annotation, mode="eval").body, value)


def _accepts(node: ast.expr, value: object) -> bool:
    match node:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _accepts(left, value) or _accepts(right, value)
        case ast.Constant(value=None):
            return value is None
        case ast.Name(id=kind) if kind in PLAIN:
            # a bool is an int in Python, and never meant as one in a recipe
            return isinstance(value, PLAIN[kind]) and (kind == "bool") == isinstance(value, bool)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple(elts=options)):
            return any(isinstance(o, ast.Constant) and o.value == value for o in options)
        case ast.Subscript(value=ast.Name(id="Sequence" | "list"), slice=item):
            if isinstance(value, str) or not isinstance(value, Sequence):
                return False
            return all(_accepts(item, each) for each in value)
        case ast.Subscript(value=ast.Name(id="Mapping" | "dict")):
            return isinstance(value, Mapping)
        case _:
            return True
