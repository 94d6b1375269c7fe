"""TorchScript and torch.export archives, looked at before PyTorch opens them.

Neither format is as harmless as it seems (PyTorch 2.13, torch/export, torch/_export/serde and torch/csrc/jit):
`torch.export.load` reads sample inputs with `weights_only=False` when the safe way fails, hands symbolic sizes to
sympy's parser, which evaluates Python, resolves an operator such as `torch.os.system`, writes the names of inputs
into Python source, and loads compiled libraries. TorchScript has operators that write files, and runs `__setstate__`
while it loads. What the two exporters write needs none of this.
"""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from robot_ai.backends.archives import check_pickle, members_of, refusal
from robot_ai.backends.errors import ArtifactLoadError

_SCRIPT_MEMBERS = re.compile(
    r"data\.pkl|constants\.pkl|traced_inputs\.pkl|attributes\.pkl|version|byteorder|\.format_version|\.storage_alignment"
    r"|\.data/\w+|(data|constants|traced_inputs|tensors)/\d+|code/.*|extra/.*"
)
_EXPORT_MEMBERS = re.compile(
    r"models/model\.json|data/(weights|constants)/(model_weights_config\.json|model_constants_config\.json|weight_\d+"
    r"|tensor_\d+)|data/sample_inputs/model\.pt|archive_format|archive_version|version|byteorder|\.format_version"
    r"|\.storage_alignment|\.data/\w+|extra/.*"
)
# Operators that touch files, reached through any name: TorchScript lets code rename `torch`.
_FILE_OPERATORS = re.compile(rb"\.(?:\s|\\|#[^\n]*\n)*(save|from_file)\b")
_SCRIPT_NAMESPACE = re.compile(rb"\bops(?:\s|\\|#[^\n]*\n)*\.(?:\s|\\|#[^\n]*\n)*(\w+)")
_NAMESPACES = {
    "aten",
    "prim",
    "prims",
    "quantized",
    "torchvision",
    "quantized_decomposed",
    "mkldnn_prepacked",
    "sparse",
}
_OPERATOR = re.compile(
    r"torch\.ops\.(?P<namespace>\w+)\.(?P<name>\w+)(\.\w+)?"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|pow|neg|pos|eq|ne|lt|le|gt|ge|and_|or_|xor|not_)"
    r"|math\.(ceil|floor|trunc|sqrt)|torch\.(_sym_\w+|sym_\w+)"
)
_HIGHER_ORDER = {"cond", "while_loop", "map_impl", "scan", "wrap_with_set_grad_enabled", "wrap_with_autocast"}
_NAME = re.compile(r"[A-Za-z0-9_.]*")
_PLAIN = re.compile(r"[\w.:/+\- ,<>\[\]]*", re.ASCII)
# Where a node came from, and guards, which are executed only if one asks for it (`module(check_guards=True)`).
_UNUSED = {"metadata", "guards_code"}
_CONTAINERS = {None, "builtins.list", "builtins.tuple", "builtins.dict", "collections.OrderedDict"}
_CONTEXT = re.compile(r"None|null|\[(\"[\w.\- ]*\"(, )?|\d+(, )?)*\]", re.ASCII)
_SYMBOLIC = {
    *("Symbol", "Integer", "Float", "Rational", "Max", "Min", "Mod", "Pow", "Add", "Mul", "floor", "ceiling"),
    *("FloorDiv", "CleanDiv", "CeilDiv", "ModularIndexing", "PythonMod", "IntTrueDiv", "FloatTrueDiv", "CeilToInt"),
    *("FloorToInt", "TruncToInt", "TruncToFloat", "RoundToInt", "RoundDecimal", "ToFloat", "FloatPow", "PowByNatural"),
    *("Eq", "Ne", "Lt", "Le", "Gt", "Ge", "And", "Or", "Not", "Equality", "Unequality", "Where", "Piecewise"),
}
_EXPRESSION_NODES = (
    *(ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp, ast.Compare),
    *(ast.operator, ast.unaryop, ast.cmpop),
)


def check_torchscript(torch: Any, path: Path) -> None:
    """Raises ArtifactLoadError for a file that is no TorchScript, or has code in it that is no network's."""
    records = _records(torch, path, _SCRIPT_MEMBERS, "TorchScript")
    if not any(name.startswith("code/") for name in records):
        raise ArtifactLoadError(
            f"{path} is a pickled checkpoint and not TorchScript; a pickle can execute code and is never opened. Store "
            "its weights as safetensors, or export it: `robot_ai model export`"
        )
    for name, content in records.items():
        if name.endswith(("pkl", ".debug_pkl")):
            check_pickle(path, name, content, _is_torchscript_global)
        elif name.startswith("code/"):
            _check_code(path, name, content)


def check_exported(torch: Any, path: Path) -> None:
    """Raises ArtifactLoadError for a file that is not from `torch.export.save`, or has more in it than a network."""
    records = _records(torch, path, _EXPORT_MEMBERS, "a program of torch.export")
    try:
        program = json.loads(records["models/model.json"])
        samples = records["data/sample_inputs/model.pt"]
        configs = [json.loads(records[f"data/{kind}/model_{kind}_config.json"]) for kind in ("weights", "constants")]
        ranges = dict(program.get("range_constraints") or {})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactLoadError(f"{path} is not a program of torch.export: {error}. Export it again") from error
    for payload in _mappings(configs):
        if payload.get("use_pickle"):
            raise refusal(path, f"'{payload.get('path_name')}', weights in a pickle")
        if not re.fullmatch(r"(weight|tensor)_\d+", str(payload.get("path_name", "weight_0"))):
            raise refusal(path, f"'{payload['path_name']}', which is no tensor")
    if samples:
        try:
            torch.load(io.BytesIO(samples), weights_only=True)
        except Exception as error:
            raise refusal(path, f"sample inputs with code in them ({str(error).splitlines()[0]})") from error
    # Ranges are looked up by what they limit: `s0`, or `32*s0` for sides that must be multiples.
    for limited in ranges:
        _check_expression(path, limited)
    for mapping in _mappings({**program, "range_constraints": list(ranges.values())}):
        _check_texts(path, mapping)


def _records(torch: Any, path: Path, expected: re.Pattern[str], what: str) -> dict[str, bytes]:
    """The archive's records, read by the reader that PyTorch itself uses; weights are left out."""
    names = members_of(path)
    roots = {name.partition("/")[0] for name in names}
    if len(roots) != 1:
        raise ArtifactLoadError(f"{path} is not {what}: it has no folder of its own. Export it again")
    try:
        reader = torch._C.PyTorchFileReader(str(path))
        records = reader.get_all_records()
        if unexpected := [name for name in records if not expected.fullmatch(name)]:
            if "data.pkl" in records and not any(name.startswith("code/") for name in records):
                return dict.fromkeys(records, b"")
            raise refusal(path, f"'{unexpected[0]}', which is no part of {what}")
        return {name: reader.get_record(name) for name in records if not re.search(r"/(weight_|tensor_)?\d+$", name)}
    except RuntimeError as error:
        raise ArtifactLoadError(f"{path} is not {what}: {error}. Export it again") from error


def _is_torchscript_global(module: str, name: str) -> bool:
    return (
        module.split(".", maxsplit=1)[0] == "__torch__"
        or (module, name) == ("collections", "OrderedDict")
        or (module == "torch._utils" and name.startswith("_rebuild_"))
        or (module == "torch" and (name.endswith("Storage") or name in ("device", "Size")))
        or module == "torch.jit._pickle"
    )


def _check_code(path: Path, name: str, content: bytes) -> None:
    if found := _FILE_OPERATORS.search(content):
        raise refusal(path, f"'{name}', which calls '{found[1].decode()}', an operator on files")
    for match in _SCRIPT_NAMESPACE.finditer(content):
        if match[1].decode() not in _NAMESPACES:
            raise refusal(path, f"'{name}', which calls operators of '{match[1].decode()}'")


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a JSON value, without following metadata, which only says where a node comes from."""
    if isinstance(value, dict):
        yield value
        for key, item in value.items():
            if key not in _UNUSED:
                yield from _mappings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _mappings(item)


def _check_texts(path: Path, mapping: dict[str, Any]) -> None:
    """Checks one mapping's texts, some of which PyTorch turns into code: operators, names, sizes, structures."""
    if "target" in mapping and "inputs" in mapping:
        _check_operator(path, str(mapping["target"]))
    for key, value in mapping.items():
        if not _PLAIN.fullmatch(key):
            raise refusal(path, f"the name {key[:60]!r}, which is none")
        for text in value if isinstance(value, list) else [value]:
            if not isinstance(text, str) or key in _UNUSED or key in ("as_string", "as_strings"):
                continue
            if key == "expr_str":
                _check_expression(path, text)
            elif key in ("in_spec", "out_spec"):
                _check_tree(path, text)
            elif not (_NAME if key in ("name", "as_name", "forward_arg_names") else _PLAIN).fullmatch(text):
                raise refusal(path, f"the name {text[:60]!r}, which is none")


def _check_operator(path: Path, target: str) -> None:
    match = _OPERATOR.fullmatch(target)
    if match is None:
        raise refusal(path, f"the operator '{target[:80]}', which is no network's")
    namespace, name = match["namespace"], match["name"]
    if namespace is None:
        return
    known = name in _HIGHER_ORDER if namespace == "higher_order" else namespace in _NAMESPACES
    if not known or name in ("save", "from_file"):
        raise refusal(path, f"the operator '{target[:80]}', which is no network's")


def _check_expression(path: Path, text: str) -> None:
    """A symbolic size, such as `2*s0` or `Symbol('s0', positive=True, integer=True)`."""
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise refusal(path, f"the size {text[:60]!r}, which is none") from error
    for node in nodes:
        fits = isinstance(node, _EXPRESSION_NODES)
        if isinstance(node, ast.Call):
            fits = isinstance(node.func, ast.Name) and node.func.id in _SYMBOLIC
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            fits = re.fullmatch(r"\w+", node.value) is not None
        if not fits:
            raise refusal(path, f"the size {text[:60]!r}, which is none")


def _check_tree(path: Path, text: str) -> None:
    """How inputs and outputs are nested: plain containers only, since others are looked up by module and name."""
    try:
        tree = json.loads(text)
    except ValueError as error:
        raise refusal(path, "a structure that is none") from error
    for mapping in _mappings(tree):
        if mapping.get("type") not in _CONTAINERS or not _CONTEXT.fullmatch(str(mapping.get("context"))):
            raise refusal(path, f"a structure of type '{mapping.get('type')}' and {mapping.get('context')!r}")
