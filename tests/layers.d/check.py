"""Finds imports that break the layers, circles of imports, and what is too large."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rust import Crate, File, Import

Edge = tuple[str, str]
Graph = dict[str, set[str]]


@dataclass(frozen=True)
class Rules:
    """The table and the limits of tests/layers."""

    layers: tuple[str, ...]
    beside: tuple[str, ...]
    free: tuple[str, ...]
    largest_circle: int
    most_lines: int
    any_length: tuple[str, ...]
    most_entries: int

    def name(self, top: str) -> str | None:
        """The name in the table of a top-level entry, given without `.rs`."""
        return next((name for name in self.layers + self.beside if name.removesuffix(".rs") == top), None)

    def allows(self, source: str, target: str, test: bool) -> bool:
        """Returns whether a file of `source` may import from `target`."""
        if source == target:
            return True
        if target in self.beside:
            return test or source in self.beside + self.free
        if source in self.beside:
            return target not in self.free
        return self.layers.index(source) < self.layers.index(target)


class Violation(NamedTuple):
    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


class Judged(NamedTuple):
    """An import with the two nodes of a graph that it connects."""

    import_: Import
    source: str
    target: str

    @property
    def edge(self) -> Edge:
        return self.source, self.target


class Core:
    """The sources of tracker-core, checked against the rules."""

    def __init__(self, root: Path, rules: Rules) -> None:
        self.source = root / "tracker-core" / "src"
        self.rules = rules
        self.crate = Crate(root, self.source / "lib.rs")
        self.imports = self.crate.imports()

    def violations(self) -> list[Violation]:
        checks = [
            self.unlisted_modules(),
            self.unlisted_imports(),
            self.undeclared_files(),
            self.upward_imports(),
            self.circles_beside(),
            self.circles_of_files(),
            self.long_files(),
            self.entries(),
        ]
        return sorted({violation for check in checks for violation in check})

    def folder(self, file: File) -> str:
        """The entry of the table that a file belongs to; if the table lacks it, the name of the file's entry."""
        top = self.crate.top(file)
        return self.rules.name(top) or top

    def inside(self, file: File) -> str:
        """The path of a file in tracker-core/src."""
        return file.path.relative_to(self.source).as_posix()

    def judged(self) -> Iterator[Judged]:
        """The imports between two entries of the table."""
        listed = {*self.rules.layers, *self.rules.beside}
        for import_ in self.imports:
            source, target = self.folder(import_.source), self.folder(import_.target)
            if source in listed and target in listed and not import_.unknown:
                yield Judged(import_, source, target)

    def unlisted_modules(self) -> Iterator[Violation]:
        root = self.crate.modules[()]
        for declared in root.declared:
            file = self.crate.modules.get(declared.module)
            if file and file is not root and not self.rules.name(self.crate.top(file)):
                message = f"`mod {declared.module[-1]}` is not in the list of layers"
                yield Violation(root.shown, declared.line, message)

    def unlisted_imports(self) -> Iterator[Violation]:
        for import_ in self.imports:
            top = import_.unknown or self.crate.top(import_.target)
            if not self.rules.name(top):
                yield violation(import_, f"imports from {top}, which is not in the list of layers")

    def undeclared_files(self) -> Iterator[Violation]:
        declared = {file.path for file in self.crate.files}
        for path in self.source.rglob("*.rs"):
            if path not in declared:
                shown = path.relative_to(self.crate.base).as_posix()
                yield Violation(shown, 1, "no `mod` declares this file")

    def upward_imports(self) -> Iterator[Violation]:
        folders = self.folder_graph()
        for import_, source, target in self.judged():
            if self.rules.allows(source, target, import_.test):
                continue
            message = f"runs upwards: {source} imports from {target}"
            if target in self.rules.beside:
                message += ", which stands beside the layers"
            if not import_.test and (way_back := shortest_way(folders, target, source)):
                message += f"; this closes a circle: {' -> '.join([source, *way_back])}"
            yield violation(import_, message)

    def folder_graph(self) -> Graph:
        """Which folder imports from which, without tests and without the top layers, which import everything."""
        return graph_of(
            judged.edge
            for judged in self.judged()
            if judged.source not in self.rules.free and judged.source != judged.target and not judged.import_.test
        )

    def circles_beside(self) -> Iterator[Violation]:
        """Circles across folders in which no import runs upwards: those among the folders beside the layers."""
        beside = set(self.rules.beside)
        imports = [
            judged
            for judged in self.judged()
            if beside.issuperset(judged.edge) and judged.source != judged.target and not judged.import_.test
        ]
        yield from large_circles(imports, 1, "folders")

    def circles_of_files(self) -> Iterator[Violation]:
        """Circles inside a folder. Inline test modules do not count; files of tests count among themselves."""
        imports = [
            Judged(import_, self.inside(import_.source), self.inside(import_.target))
            for import_ in self.imports
            if import_.counts
            and self.folder(import_.source) == self.folder(import_.target)
            and import_.test == import_.source.test == import_.target.test
        ]
        yield from large_circles(imports, self.rules.largest_circle, "files")

    def long_files(self) -> Iterator[Violation]:
        most = self.rules.most_lines
        for file in self.crate.files:
            folders = file.path.relative_to(self.source).parts[:-1]
            if file.lines > most and not set(folders) & set(self.rules.any_length):
                yield Violation(file.shown, most + 1, f"the file has {file.lines} lines; at most {most} are allowed")

    def entries(self) -> Iterator[Violation]:
        count = sum(not entry.name.startswith(".") for entry in self.source.iterdir())
        most = self.rules.most_entries
        if count > most:
            folder = self.source.relative_to(self.crate.base).as_posix()
            root = self.crate.modules[()]
            yield Violation(root.shown, 1, f"{folder} has {count} entries; at most {most} are allowed")

    def graph(self, folder: str) -> list[str]:
        """How many imports go from folder to folder or, if a folder is given, between its files."""
        counts: Counter[Edge] = Counter()
        for import_ in self.imports:
            source, target = self.folder(import_.source), self.folder(import_.target)
            if not folder and source != target:
                counts[source, target] += 1
            elif source == target == (self.rules.name(folder) or folder) and import_.counts:
                counts[self.inside(import_.source), self.inside(import_.target)] += 1
        order = self.rules.layers + self.rules.beside
        place = {name: (at, name) for at, name in enumerate(order)}
        edges = sorted(counts, key=lambda edge: [place.get(name, (len(order), name)) for name in edge])
        return [f"{source} -> {target}: {counts[source, target]}" for source, target in edges]


def support(root: Path) -> list[Violation]:
    """The imports of tests/integration/support from outside of it."""
    main = root / "tests" / "integration" / "main.rs"
    if not main.is_file():
        return []
    crate = Crate(root, main)
    return [
        violation(import_, f"leaves the test support: support imports from {target}")
        for import_ in crate.imports()
        if crate.top(import_.source) == "support"
        and (target := import_.unknown or crate.top(import_.target)) != "support"
    ]


def violation(import_: Import, message: str) -> Violation:
    return Violation(import_.source.shown, import_.line, f"`{import_.text}` {message}")


def large_circles(imports: list[Judged], largest: int, of: str) -> Iterator[Violation]:
    """One violation for each circle of more than `largest` nodes."""
    for circle in circles(graph_of(judged.edge for judged in imports)):
        if len(circle) > largest:
            inside = [judged for judged in imports if circle.issuperset(judged.edge)]
            names = ", ".join(sorted(circle))
            yield violation(closing(inside), f"closes a circle of {len(circle)} {of}: {names}")


def closing(imports: list[Judged]) -> Import:
    """The import whose removal leaves the smallest circle; the last one, if there are several."""
    edges = {judged.edge for judged in imports}
    left = {edge: max(map(len, circles(graph_of(edges - {edge}))), default=0) for edge in edges}
    return min(reversed(imports), key=lambda judged: left[judged.edge]).import_


def graph_of(edges: Iterable[Edge]) -> Graph:
    graph: Graph = {}
    for source, target in edges:
        graph.setdefault(source, set()).add(target)
    return graph


def circles(graph: Graph) -> list[set[str]]:
    """The largest sets of nodes in which every node reaches all others."""
    reached = {node: reachable(graph, node) for node in graph}
    found: list[set[str]] = []
    for node in sorted(graph):
        if node in reached[node] and not any(node in circle for circle in found):
            found.append({other for other in reached[node] if node in reached.get(other, set())})
    return found


def reachable(graph: Graph, start: str) -> set[str]:
    """The nodes that are one step or more away."""
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        new = graph.get(ahead.pop(), set()) - seen
        seen |= new
        ahead += new
    return seen


def shortest_way(graph: Graph, start: str, end: str) -> list[str]:
    """The nodes of a shortest way, both ends included; empty if there is no way."""
    ways, seen = [[start]], {start}
    for way in ways:
        if way[-1] == end:
            return way
        for node in sorted(graph.get(way[-1], set()) - seen):
            seen.add(node)
            ways.append([*way, node])
    return []
