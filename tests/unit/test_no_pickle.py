"""No module unpickles what it reads from a file: a pickle in a shared folder runs any code."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "semiseg").rglob("*.py"), *(ROOT / "plugins").glob("*/src/**/*.py")])
UNPICKLERS = {"load", "loads", "Unpickler"}
PICKLES = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
OF_OWN_PROCESSES = {"semiseg/data/workers.py", "semiseg/testing/augmentation.py", "semiseg/testing/strategy.py"}
"""Modules that unpickle bytes of this program: from its workers, and right after they were pickled."""


def violations(source):
    """Calls in a source that unpickle, each with its line."""
    found = []
    for node in ast.walk(ast.parse(source)) if any(word in source for word in {*PICKLES, "torch.load"}) else ():
        if isinstance(node, ast.Import):
            found += [(node.lineno, a.name) for a in node.names if a.name in PICKLES and a.asname]
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PICKLES:
            found += [(node.lineno, f"{node.module}.{a.name}") for a in node.names if a.name in {*UNPICKLERS, "open"}]
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner, name = ast.unparse(node.func.value), node.func.attr
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if owner in PICKLES and name in {*UNPICKLERS, "open"}:
            found.append((node.lineno, f"{owner}.{name}"))
        if owner == "torch" and name == "load" and keywords.get("weights_only") != "True":
            found.append((node.lineno, "torch.load"))
        if keywords.get("allow_pickle", "False") != "False":
            found.append((node.lineno, f"{owner}.{name}(allow_pickle)"))
    return sorted(found)


def test_no_module_unpickles_a_file():
    assert len(FILES) > 300
    found = {str(path.relative_to(ROOT)): violations(path.read_text(encoding="utf-8")) for path in FILES}
    unpickling = {path: lines for path, lines in found.items() if lines}
    assert {*unpickling} == OF_OWN_PROCESSES, unpickling
    assert {name for lines in unpickling.values() for _, name in lines} == {"pickle.loads"}


def test_what_counts_as_unpickling():
    source = """
from pickle import loads
import cloudpickle as cp
pickle.load(file)
pickle.Unpickler(file).load()
torch.load(path)
torch.load(path, weights_only=False)
torch.load(path, weights_only=True)
np.load(path, allow_pickle=True)
np.load(path, allow_pickle=False)
json.load(file)
pickle.dumps(value)
"""
    assert [line for line, _ in violations(source)] == [2, 3, 4, 5, 6, 7, 9]
