"""Reads a Rust crate as far as its imports go: modules, `use` lines, and full paths in code.

Comments, strings and characters are skipped. Macros are not expanded: the body of a `macro_rules!` is read as code.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

Module = tuple[str, ...]
"""The names that lead from the crate root to a module; the root is ()."""

TOKEN = re.compile(
    r"""
      (?P<space>  \s+ | //[^\n]* )
    | (?P<block>  /\* )
    | (?P<string> [bc]?r(?P<hashes>\#*)".*?"(?P=hashes) | [bc]?"(?:[^"\\]|\\.)*" )
    | (?P<char>   b?'(?: [^'\\] | \\u\{[^}]*\} | \\x[0-9a-fA-F]{2} | \\. )' )
    | (?P<life>   '\w+ )
    | (?P<word>   (?:r\#)?[^\W\d]\w* )
    | (?P<number> \d\w* )
    | (?P<sign>   :: | . )
    """,
    re.VERBOSE | re.DOTALL,
)
COMMENT = re.compile(r"/\*|\*/")
ONLY_IN_TESTS = re.compile(r"cfg\((test|all\((.*,)?test(,.*)?\))\)")
HEADS = ("crate", "self", "super")


class Token(NamedTuple):
    kind: str
    text: str
    line: int


class Declared(NamedTuple):
    """A `mod name;` or `mod name { .. }`."""

    module: Module
    line: int
    test: bool
    inline: bool
    path: str | None


class Reference(NamedTuple):
    """A leaf of a `use`, or a path in code, as it stands in `module`."""

    module: Module
    test: bool
    segments: tuple[str, ...]
    line: int
    text: str
    binds: str | None = None
    public: bool = False


class Scope(NamedTuple):
    module: Module
    test: bool


@dataclass
class File:
    """A source file, with its path as it is shown, and what was read from it."""

    path: Path
    shown: str
    module: Module
    test: bool
    lines: int = 0
    declared: list[Declared] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    words: set[tuple[Module, str]] = field(default_factory=set)
    """The names that the code of each module begins a path with, outside of tests."""


class Import(NamedTuple):
    source: File
    target: File
    line: int
    text: str
    test: bool
    counts: bool
    """False for a re-export of a child that the parent's own code does not use."""
    unknown: str | None
    """The first name of a path into a top-level module that does not exist."""


def end_of_comment(source: str, at: int) -> int:
    """Where the block comment that begins at `at` ends; block comments nest."""
    depth = 0
    for sign in COMMENT.finditer(source, at):
        depth += 1 if sign.group() == "/*" else -1
        if depth == 0:
            return sign.end()
    return len(source)


def tokens(source: str) -> Iterator[Token]:
    """The words, strings and signs of a source text."""
    at, line = 0, 1
    while at < len(source):
        match = TOKEN.match(source, at)
        assert match, "a sign is any character"
        kind = match.lastgroup
        end = end_of_comment(source, at) if kind == "block" else match.end()
        text = source[at:end]
        if kind == "word":
            yield Token(kind, text.removeprefix("r#"), line)
        elif kind in ("string", "sign"):
            yield Token(kind, text, line)
        line += text.count("\n")
        at = end


class Reader:
    """Reads one file into its `File`."""

    def __init__(self, file: File, source: str) -> None:
        self.file = file
        self.tokens = list(tokens(source))
        self.at = 0
        self.scopes = [Scope(file.module, file.test)]
        self.attributes: list[list[Token]] = []
        self.public = False

    def read(self) -> None:
        while self.at < len(self.tokens):
            if self.peek() == "#" and self.peek(1) == "[":
                self.attribute()
            elif self.peek() == "pub":
                self.visibility()
            else:
                self.item()
                self.attributes, self.public = [], False

    def peek(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.tokens[at].text if 0 <= at < len(self.tokens) else ""

    def is_word(self, ahead: int = 0) -> bool:
        at = self.at + ahead
        return at < len(self.tokens) and self.tokens[at].kind == "word"

    def line(self) -> int:
        return self.tokens[min(self.at, len(self.tokens) - 1)].line

    def attribute(self) -> None:
        """Reads the paths in an attribute, and keeps the attribute for the item after it."""
        self.at += 2
        begin, depth = self.at, 1
        while depth and self.at < len(self.tokens):
            depth += {"[": 1, "]": -1}.get(self.peek(), 0)
            if self.is_word():
                self.path()
            else:
                self.at += 1
        self.attributes.append(self.tokens[begin : self.at - 1])

    def visibility(self) -> None:
        """Skips `pub`, `pub(crate)` and `pub(in crate::a)`; the type of a tuple's field is no visibility."""
        self.public = True
        self.at += 1
        restricted = self.peek(1) == "in" or (self.peek(1) in HEADS and self.peek(2) == ")")
        if self.peek() == "(" and restricted:
            while self.peek() not in (")", ""):
                self.at += 1
            self.at += 1

    def item(self) -> None:
        text = self.peek()
        if text == "mod" and self.is_word(1):
            self.mod()
        elif text == "use" and self.peek(1) != "<":
            self.use()
        elif text == "{":
            self.scopes.append(self.scopes[-1])
            self.at += 1
        elif text == "}":
            if len(self.scopes) > 1:
                self.scopes.pop()
            self.at += 1
        elif self.is_word():
            self.path()
        else:
            self.at += 1

    def mod(self) -> None:
        line, scope, inline = self.line(), self.scopes[-1], self.peek(2) == "{"
        written = ["".join(token.text for token in attribute) for attribute in self.attributes]
        test = scope.test or any(ONLY_IN_TESTS.fullmatch(text) for text in written)
        paths = [text.split('"')[1] for text in written if text.startswith("path=")]
        module = (*scope.module, self.peek(1))
        self.file.declared.append(Declared(module, line, test, inline, paths[0] if paths else None))
        if inline:
            self.scopes.append(Scope(module, test))
        self.at += 3

    def use(self) -> None:
        self.at += 1
        self.tree(())
        while self.peek() not in (";", ""):
            self.at += 1

    def tree(self, prefix: tuple[str, ...]) -> None:
        """Reads one branch of a `use`: a path, and what it ends with."""
        segments, line = list(prefix), self.line()
        while self.is_word() and self.peek() != "as" or self.peek() in ("::", "$"):
            if self.peek() == "$" and self.peek(1) != "crate":
                return  # a path that a macro fills in
            if self.is_word():
                segments.append(self.peek())
            elif self.peek() == "::" and not segments:
                segments.append("::")  # from another crate
            self.at += 1
        if self.peek() == "{":
            self.group(tuple(segments))
            return
        glob = self.peek() == "*"
        if segments[-1:] == ["self"] and len(segments) > 1:
            segments.pop()
        name = None if glob or not segments else segments[-1]
        if self.peek() == "as":
            name = self.peek(1)
            self.at += 2
        self.at += glob
        text = f"use {'::'.join(segments)}{'::*' if glob else ''}"
        self.add(Reference(*self.scopes[-1], tuple(segments), line, text, name, self.public))

    def group(self, prefix: tuple[str, ...]) -> None:
        self.at += 1
        while self.peek() not in ("}", ""):
            before = self.at
            self.tree(prefix)
            if self.peek() == "," or self.at == before:
                self.at += 1
        self.at += 1

    def path(self) -> None:
        """Reads a path in code; a single name is noted, because a re-export may bind it."""
        previous, line, segments = self.peek(-1), self.line(), [self.peek()]
        self.at += 1
        if previous in ("::", "."):
            return
        while self.peek() == "::" and self.is_word(1):
            segments.append(self.peek(1))
            self.at += 2
        scope = self.scopes[-1]
        if not scope.test and previous not in ("fn", "let") and self.peek() != ":":
            self.file.words.add((scope.module, segments[0]))
        if segments[0] == "crate" and len(segments) == 2 and self.peek() == "!":
            return  # a macro that is exported at the crate root
        if len(segments) > 1:
            self.add(Reference(*scope, tuple(segments), line, "::".join(segments)))

    def add(self, reference: Reference) -> None:
        self.file.references.append(reference)


class Crate:
    """The modules of a crate, read from its root file on, with the imports between its files."""

    def __init__(self, base: Path, root_file: Path) -> None:
        """`base` is the directory that paths are shown relative to."""
        self.base = base
        self.root = root_file.parent
        self.files: list[File] = []
        self.modules: dict[Module, File] = {}
        self.bound: dict[tuple[Module, str], Reference] = {}
        self.load(root_file, (), test=False)

    def load(self, path: Path, module: Module, test: bool) -> None:
        source = path.read_text(encoding="utf-8")
        file = File(path, path.relative_to(self.base).as_posix(), module, test, len(source.splitlines()))
        Reader(file, source).read()
        self.files.append(file)
        self.modules[module] = file
        for reference in file.references:
            if reference.binds:
                self.bound[reference.module, reference.binds] = reference
        for declared in file.declared:
            if declared.inline:
                self.modules[declared.module] = file
            elif found := find_file(file, declared):
                self.load(found, declared.module, declared.test)

    def imports(self) -> list[Import]:
        """Every import of another file of this crate, by file and line."""
        found = [import_ for file in self.files for import_ in self.imports_of(file)]
        return sorted(found, key=lambda import_: (import_.source.shown, import_.line))

    def imports_of(self, file: File) -> Iterator[Import]:
        for reference in file.references:
            resolved = self.resolve(reference.module, reference.segments)
            if resolved is None:
                continue
            module, rest = resolved
            unknown = rest[0] if self.is_unknown(module, rest) else None
            target = self.behind_reexport(file, module, rest)
            if target is not file or unknown:
                counts = self.counts(file, reference, module)
                yield Import(file, target, reference.line, reference.text, reference.test, counts, unknown)

    def resolve(self, module: Module, segments: tuple[str, ...]) -> tuple[Module, tuple[str, ...]] | None:
        """The module that a path of `module` leads to, and the rest of the path; None for another crate."""
        rest = list(segments)
        if rest[:1] == ["crate"]:
            module = ()
            rest.pop(0)
        elif rest[:1] == ["self"] or rest[:1] == ["super"]:
            while rest and rest[0] in ("self", "super"):
                module = module if rest.pop(0) == "self" else module[:-1]
        elif not rest or (*module, rest[0]) not in self.modules:
            return None
        while rest and (*module, rest[0]) in self.modules:
            module = (*module, rest.pop(0))
        return module, tuple(rest)

    def is_unknown(self, module: Module, rest: tuple[str, ...]) -> bool:
        """Returns whether a path leads into a top-level module that has no file and is no re-export."""
        return module == () and len(rest) > 1 and ((), rest[0]) not in self.bound

    def behind_reexport(self, source: File, module: Module, rest: tuple[str, ...]) -> File:
        """The file of `module`; inside a folder, the file that a `use` in `module` takes the name from."""
        target = self.modules[module]
        bound = self.bound.get((module, rest[0])) if rest else None
        if bound and self.top(source) == self.top(target):
            behind = self.resolve(module, bound.segments)
            if behind and self.top(self.modules[behind[0]]) == self.top(source):
                return self.modules[behind[0]]
        return target

    def counts(self, file: File, reference: Reference, target: Module) -> bool:
        """Returns false if a file re-exports a name of its child, and its own code does not use that name."""
        reexports = reference.public and target[: len(reference.module)] == reference.module
        return not reexports or (reference.module, reference.binds) in file.words

    def top(self, file: File) -> str:
        """The top-level entry that a file belongs to, without `.rs`."""
        return file.path.relative_to(self.root).parts[0].removesuffix(".rs")


def find_file(parent: File, declared: Declared) -> Path | None:
    """The file of `mod name;`."""
    if declared.path:
        candidates = [parent.path.parent / declared.path]
    else:
        owner = parent.path.stem in ("lib", "main", "mod")
        directory = parent.path.parent if owner else parent.path.with_suffix("")
        place = directory.joinpath(*declared.module[len(parent.module) :])
        candidates = [place.parent / f"{place.name}.rs", place / "mod.rs"]
    return next((path for path in candidates if path.is_file()), None)
