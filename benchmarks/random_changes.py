"""Draws small random changes of the library and names the test that notices each; see mutants.py.

A change replaces a few characters: + by -, < by <=, `and` by `or`, `not x` by `x`, n by n + 1, f by
2 f, a condition by its opposite, `ops.stop_gradient(x)` by `x`, and the like. The places are found
in the syntax tree, so the rest of a file stays as it is. What is left out:

- strings, annotations, warnings and what follows `raise`, which only say something, and the
  numbers of versions;
- `strict=True` of `zip`, which asserts what holds for every model that can be made;
- plotting/, report.py, cli/ and the command in __main__.py, whose effect is a picture or a text
  that people judge; and typing.py, which only names types.
"""

import ast
import contextlib
import itertools
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "keras_vae"
LEFT_OUT = ("plotting/", "report.py", "cli/", "typing.py", "__main__.py")
ENOUGH = 0.95
"""The part of the changes, without the equivalent ones, that the tests must notice."""

TESTS_OF = {
    # a file or a folder of the library: its tests, most relevant first, without "test_" and ".py"
    "adversarial": "adversarial patches part",
    "archives.py": "archives files saving",
    "autodiff.py": "patches",
    "batch.py": "masks conditions_and_masks inference validation data_adapters model",
    "callbacks": "callbacks backup worker_callbacks",
    "callbacks/averages.py": "averaged_weights",
    "callbacks/backup.py": "backup callbacks saving worker_callbacks",
    "callbacks/collapse.py": "evaluation",
    "callbacks/guards.py": "callbacks hierarchical optimizers replicas",
    "callbacks/pictures.py": "plotting callbacks worker_callbacks",
    "callbacks/progress.py": "backup callbacks",
    "callbacks/workers.py": "worker_callbacks workers",
    "data_adapters": "data_adapters validation containers conditions_and_masks bad_input",
    "data_adapters/checks.py": "validation inference_scores data_adapters conditions_and_masks "
    "trainer scales containers bad_input",
    "data_adapters/conditions.py": "conditions_and_masks data_adapters containers bad_input",
    "data_adapters/folders.py": "images",
    "data_adapters/pixels.py": "pixels",
    "datasets": "datasets",
    "datasets/decoding.py": "images files datasets",
    "datasets/files.py": "datasets files",
    "datasets/folders.py": "images datasets files",
    "datasets/images.py": "images datasets files",
    "datasets/tokens.py": "sequences datasets",
    "divergences.py": "divergences posteriors inference units part",
    "evaluation": "evaluation",
    "evaluation/likelihood.py": "evaluation model",
    "flows.py": "flows posteriors priors points part",
    "hierarchical": "hierarchical network_checks inference_scores inference_samples part",
    "inference.py": "inference inference_scores inference_samples conditions_and_masks model "
    "quantized",
    "keras_compat.py": "keras_compat archives network_checks optimizers trainer saving",
    "latent_space.py": "priors posteriors combinations",
    "latent_grids": "latent_grids",
    "layers.py": "layers networks second_calls sequences scales saving replicas",
    "likelihoods": "likelihoods likelihood_edges likelihood_samples likelihood_support "
    "likelihood_scales conditions_and_masks part",
    "likelihoods/mixed.py": "likelihoods likelihood_samples likelihood_support inference_scores "
    "conditions_and_masks part",
    "likelihoods/scaled.py": "likelihood_scales likelihoods likelihood_samples replicas part",
    "likelihoods/sequences.py": "sequences likelihood_samples likelihood_support "
    "conditions_and_masks part",
    "likelihoods/stirling.py": "likelihood_edges likelihoods part",
    "memory.py": "memory",
    "metrics.py": "metrics trainer quantized callbacks conditions_and_masks replicas",
    "model.py": "model inference inference_scores inference_samples conditions_and_masks trainer "
    "validation network_checks second_calls coefficients data_adapters posterior_heads objectives "
    "evaluation saving likelihood_scales",
    "names.py": "names validation",
    "networks": "networks network_checks recipes",
    "networks/activations.py": "network_checks networks",
    "networks/checks.py": "network_checks posterior_heads conditions_and_masks",
    "networks/any_size.py": "latent_grids networks",
    "networks/features.py": "kl_autoencoder",
    "networks/grids.py": "networks hierarchical quantized network_checks",
    "networks/patches.py": "patches",
    "networks/residual.py": "networks quantized",
    "networks/sequences.py": "networks sequences",
    "objectives.py": "objectives second_calls inference coefficients trainer units part",
    "optimizers.py": "optimizers trainer replicas",
    "part.py": "part coefficients names validation saving likelihood_scales posteriors",
    "penalties.py": "penalties coefficients recipes part",
    "posteriors": "posteriors points posterior_heads inference_samples part",
    "posteriors/grids.py": "latent_grids part",
    "posteriors/points.py": "points inference_scores",
    "prior_fitting.py": "prior_fitting inference conditions_and_masks quantized adversarial",
    "priors": "priors prior_temperature prior_fitting conditions_and_masks part",
    "quantized": "quantized points prior_temperature inference_scores part",
    "random.py": "random points inference_samples second_calls trainer replicas determinism",
    "recipes": "recipes quantized network_checks part",
    "replicas.py": "replicas penalties adversarial trainer workers jax_devices",
    "runner.py": "model inference_scores data_adapters coefficients evaluation containers",
    "saving.py": "saving files archives callbacks",
    "schedules.py": "schedules coefficients",
    "sphere.py": "sphere posteriors priors divergences",
    "trainers": "trainer optimizers replicas backends",
    "trainers/jax.py": "backends jax_devices",
    "validation.py": "validation names data_adapters export",
    "writing.py": "writing saving callbacks export",
    "tables": "tables table_models",
}
EQUIVALENT = {
    # (file, the line that changes, the change as the table shows it): why nobody can see it
}
OPPOSITES = [
    ("<", "<="),
    (">", ">="),
    ("==", "!="),
    ("is", "is not"),
    ("in", "not in"),
    ("and", "or"),
    *((a + end, b + end) for a, b in ("+-", "*/") for end in ("", "=")),
]
SWAPPED = dict(OPPOSITES) | {b: a for a, b in OPPOSITES}
TOKEN = re.compile(rb"#[^\n]*|is\s+not\b|not\s+in\b|[a-z]+|\*\*=?|//=?|<<|>>|[-+*/<>=!]=|[-+*/<>]")
SHORTEST, LONGEST = 20, 60
TIME_LIMIT = "time limit"


class Change(NamedTuple):
    """A change of one file: the bytes from `start` to `end` become `new`."""

    file: str
    line: int
    text: str
    title: str
    start: int
    end: int
    new: bytes

    @property
    def equivalent(self):
        """Returns why nobody can see the change, or None."""
        return EQUIVALENT.get((self.file, self.text, self.title))


class Source:
    """A file with the places of its syntax tree, which counts the bytes of each line."""

    def __init__(self, data):
        self.data, self.lines = data, data.split(b"\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)

    def start(self, node):
        return self.starts[node.lineno - 1] + node.col_offset

    def end(self, node):
        return self.starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, node):
        return self.data[self.start(node) : self.end(node)]


def is_text(node):
    return isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str)


def is_left_out(node):
    """Whether all of a node only says something, or is about versions or types."""
    if isinstance(node, ast.FunctionDef):
        return node.name in ("__repr__", "__str__")
    if isinstance(node, ast.keyword):
        return node.arg in ("stacklevel", "strict")
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) == "warnings.warn"
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]) in ("FORMAT", "__version__")
    return isinstance(node, ast.Raise | ast.JoinedStr)


def children(node):
    """The nodes within a node in which something may change."""
    for field, value in ast.iter_fields(node):
        nodes = value if isinstance(value, list) else [value]
        if field not in ("annotation", "returns"):
            yield from (n for n in nodes if isinstance(n, ast.AST) and not is_left_out(n))


def swap(source, left, right):
    """The edit (start, end, new) of the operator between two nodes, if it has an opposite."""
    for token in TOKEN.finditer(source.data, source.end(left), source.start(right)):
        if not token[0].startswith(b"#"):
            operator = " ".join(token[0].decode().split())
            if operator in SWAPPED:
                yield *token.span(), SWAPPED[operator].encode()
            return


def swaps(source, node):
    match node:
        case ast.BinOp(left=left, right=right) | ast.AugAssign(target=left, value=right):
            nodes = [] if is_text(left) or is_text(right) else [left, right]
        case ast.Compare():
            nodes = [node.left, *node.comparators]
        case ast.BoolOp():
            nodes = node.values
        case _:
            return
    for left, right in itertools.pairwise(nodes):
        yield from swap(source, left, right)


def without_sign(source, node):
    """`not x` and -x as x."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        start = source.start(node)
        sign = re.compile(rb"(not\s*|-)").match(source.data, start)
        yield start, sign.end(), b""


def constant(source, node):
    if not isinstance(node, ast.Constant):
        return
    value = node.value
    if isinstance(value, bool):
        new = not value
    elif isinstance(value, int):
        new = value + 1
    elif isinstance(value, float):
        new = 2 * value or 1.0
    else:
        return
    yield source.start(node), source.end(node), repr(new).encode()


def negated(source, node):
    """The condition of an `if`, unless its opposite is among the other changes."""
    test = node.test if isinstance(node, ast.If | ast.IfExp) else None
    simple = isinstance(test, ast.Compare) and len(test.ops) == 1
    ordered = simple and isinstance(test.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE)
    if test is None or isinstance(getattr(test, "op", None), ast.Not) or (simple and not ordered):
        return
    one = isinstance(test, ast.Name | ast.Attribute | ast.Call | ast.Subscript)
    text = source.text(test)
    yield source.start(test), source.end(test), b"not " + (text if one else b"(" + text + b")")


def with_gradient(source, node):
    """The argument of `stop_gradient` alone."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("stop_gradient"):
        yield source.start(node), source.end(node), b"(" + source.text(node.args[0]) + b")"


def shown(source, edit, parents):
    """`old` -> `new`, with as much of the line around the edit as is short."""
    start, end, new = edit
    first, last = surroundings(source, start, end, parents)
    old = source.data[first:last]
    new = source.data[first:start] + new + source.data[end:last]
    pair = (" ".join(text.decode(errors="ignore").split()) for text in (old, new))
    return " -> ".join(f"`{text}`" for text in pair)


def surroundings(source, start, end, parents):
    """The longest expression or statement that is short, or else what stands next to the edit."""
    first = max(start - SHORTEST, source.data.rfind(b"\n", 0, start) + 1)
    last = max(end, min(end + SHORTEST, source.data.find(b"\n", end)))
    for node in parents:
        text = source.text(node) if hasattr(node, "lineno") else b""
        if SHORTEST < len(text) <= LONGEST and b"\n" not in text:
            return source.start(node), source.end(node)
    return first, last


def edits(source, node, parents=()):
    """All edits of a node and of those within it, each with the nodes around it."""
    parents = (*parents, node)
    for find in (swaps, without_sign, constant, negated, with_gradient):
        yield from ((edit, parents) for edit in find(source, node))
    for child in children(node):
        yield from edits(source, child, parents)


def changes_of(path):
    """All changes of a file."""
    source = Source(path.read_bytes())
    file = path.relative_to(LIBRARY).as_posix()
    for edit, parents in edits(source, ast.parse(source.data)):
        line = source.data.count(b"\n", 0, edit[0]) + 1
        text = source.lines[line - 1].decode().strip()
        yield Change(file, line, text, shown(source, edit, parents), *edit)


def all_changes(only=""):
    """All changes of the files whose names contain `only`."""
    files = {path.relative_to(LIBRARY).as_posix(): path for path in LIBRARY.rglob("*.py")}
    files = {f: p for f, p in sorted(files.items()) if not f.startswith(LEFT_OUT) and only in f}
    return [change for path in files.values() for change in changes_of(path)]


def draw(count, seed, only=""):
    """Draws changes, each as likely as any other, so that a module has its share of them."""
    changes = all_changes(only)
    return random.Random(seed).sample(changes, min(count, len(changes)))


def changed(data, change):
    """Returns the bytes of a file with the change in it."""
    return data[: change.start] + change.new + data[change.end :]


def tests_of(file):
    """Returns the names of the test files of a file of the library, most relevant first."""
    names = TESTS_OF.get(file) or TESTS_OF.get(file.rpartition("/")[0]) or file.removesuffix(".py")
    return [f"test_{name}.py" for name in names.split()]


@contextlib.contextmanager
def replaced(path, data):
    """Gives a file other bytes for a while."""
    before = path.read_bytes()
    path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(before)


class Suite:
    """The tests in a copy of the library.

    A test that fails without the change has noticed nothing: it is left out from then on.
    """

    def __init__(self, folder, seconds):
        self.folder, self.seconds = folder, seconds
        self.sound, self.left_out = {}, []

    def noticed(self, change):
        """Returns what notices a change, the usual tests or else the slow ones; or None."""
        tests = tests_of(change.file)
        marks = ["not slow", "slow"]
        while marks:
            found = self._with(change, tests, marks[0])
            if found and self._is_sound(found, tests, marks[0]):
                return found
            if not found or found == TIME_LIMIT:
                marks.pop(0)
        return None

    def _with(self, change, tests, mark):
        path = self.folder / "keras_vae" / change.file
        with replaced(path, changed(path.read_bytes(), change)):
            return self.failure("-m", mark, *(f"tests/{name}" for name in tests))

    def _is_sound(self, found, tests, mark):
        """Whether what failed does not fail without a change."""
        if ".py" not in found:
            alone = ("-m", mark, *(f"tests/{name}" for name in tests))
        else:  # without "::" it is a file that could not be imported
            alone = ("-m", "", f"tests/{found}", *([] if "::" in found else ["--collect-only"]))
        if alone not in self.sound:
            self.sound[alone] = self.failure(*alone) is None
            if not self.sound[alone]:
                self._leave_out(found, tests)
        return self.sound[alone]

    def _leave_out(self, found, tests):
        print(f"without a change too: {found} in {' '.join(tests)}", file=sys.stderr, flush=True)
        if "::" in found:
            self.left_out.append(f"--deselect=tests/{found}")
        elif found != TIME_LIMIT:
            raise SystemExit(f"pytest could not run {' '.join(tests)}: {found}")

    def failure(self, *options):
        """Runs tests until the first that fails; returns its name, how the run ended, or None."""
        cache = self.folder / ".pytest_cache"
        shutil.rmtree(cache, ignore_errors=True)
        code = self._exit_status("-q", "-x", *self.left_out, *options)
        if code is None:
            return TIME_LIMIT
        if code in (0, 5):  # all passed, or there were none
            return None
        failed = cache / "v" / "cache" / "lastfailed"
        if code < 0 or not failed.exists():
            return f"exit status {code}"
        return next(iter(json.loads(failed.read_text()))).removeprefix("tests/")

    def _exit_status(self, *options):
        """Runs pytest; returns its exit status, or None if it takes too long."""
        path = os.pathsep.join([str(self.folder), os.environ.get("PYTHONPATH", "")])
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": path},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that processes of the tests end with it
        )
        try:
            return process.wait(self.seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def table(changes, heading, find):
    """Prints a row for each change, by number, with what `find` returns; returns all of that."""
    print(f"| | file | change | {heading} |", "| --- | --- | --- | --- |", sep="\n")
    results = []
    for index, change in changes.items():
        results.append(find(change))
        title = change.title.replace("|", "\\|")
        place = f"| {index} | {change.file} | line {change.line}: {title}"
        print(place, f"| {results[-1] or '**nothing**'} |", flush=True)
    return results


def list_tests(changes):
    """Prints the tests that are to notice each change."""
    table(changes, "tests", lambda c: c.equivalent or " ".join(tests_of(c.file)))


def report(changes, notice):
    """Prints what notices each change, and the numbers; returns whether enough are noticed."""
    counted = {i: change for i, change in changes.items() if not change.equivalent}
    others = {i: change for i, change in changes.items() if change.equivalent}
    results = table(counted, "noticed by", notice)
    if others:
        print()
        table(others, "equivalent because", lambda change: change.equivalent)
    noticed = sum(found is not None for found in results)
    print(f"\n{len(changes)} changes, {noticed} noticed, {len(others)} equivalent")
    return noticed >= ENOUGH * len(results)
