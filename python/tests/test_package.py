"""The installed package: its type information matches the native module, and no imports are circular."""

import ast
import inspect
import pathlib
import unittest

import modelscan_rs
from modelscan_rs import _native

PACKAGE = pathlib.Path(modelscan_rs.__file__).parent


def modules():
    """The syntax tree of each module of the package, or of its stub, by its dotted name."""
    for path in [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")]:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), ast.parse(path.read_text("utf-8"))


def imports(name, tree, known):
    """The modules of the package that a module imports at the top, in functions, or for type checkers only."""
    is_package = (PACKAGE.parent / name.replace(".", "/")).is_dir()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = name.split(".")[: len(name.split(".")) - node.level + is_package]
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{module}.{alias.name}" if f"{module}.{alias.name}" in known else module


def parameters(function):
    positional = [*function.args.posonlyargs, *function.args.args]
    return [argument.arg for argument in [*positional, *function.args.kwonlyargs]]


def is_property(function):
    return any(isinstance(one, ast.Name) and one.id == "property" for one in function.decorator_list)


class Package(unittest.TestCase):
    def test_type_information_is_installed(self):
        for name in ("py.typed", "_native.pyi"):
            self.assertTrue((PACKAGE / name).is_file(), name)

    def test_the_stub_matches_the_native_module(self):
        stub = ast.parse((PACKAGE / "_native.pyi").read_text("utf-8"))
        self.check_functions(stub.body, _native)
        classes = {node.name: node for node in stub.body if isinstance(node, ast.ClassDef)}
        self.assertEqual(set(classes), {name for name, value in vars(_native).items() if inspect.isclass(value)})
        for name, node in classes.items():
            self.check_functions(node.body, getattr(_native, name))

    def check_functions(self, body, owner):
        stub = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
        native = {
            name for name, value in vars(owner).items() if not name.startswith("_") and not inspect.isclass(value)
        }
        self.assertEqual(set(stub), native, owner)
        for name, function in stub.items():
            value = getattr(owner, name)
            if is_property(function):
                self.assertTrue(inspect.isgetsetdescriptor(value), name)
            else:
                self.assertEqual(parameters(function), list(inspect.signature(value).parameters), name)

    def test_no_imports_are_circular(self):
        trees = dict(modules())
        graph = {name: set(imports(name, tree, trees)) & set(trees) - {name} for name, tree in trees.items()}
        while graph:
            leaves = {name for name, needed in graph.items() if not needed}
            self.assertTrue(leaves, f"circular imports: {graph}")
            graph = {name: needed - leaves for name, needed in graph.items() if name not in leaves}


if __name__ == "__main__":
    unittest.main()
