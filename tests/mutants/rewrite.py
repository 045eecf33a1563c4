"""Puts all changes of a program into its sources at once; the environment then chooses which one is in force.

A function with changes gets a body for each, `match crate::change::active(3) { 17 => { .. } .. _ => { .. } }`, where
`active` also notes that the function was reached. What lies outside of functions cannot be chosen so.
"""

import re

HOOK = """
pub mod change {
    use std::{fs::File, io::Write, sync::{LazyLock, atomic::{AtomicBool, Ordering::SeqCst}}};

    static ACTIVE: LazyLock<u32> =
        LazyLock::new(|| std::env::var("CHANGE").map_or(0, |text| text.parse().unwrap()));
    static NOTES: LazyLock<Option<File>> = LazyLock::new(|| {
        let path = std::env::var_os("CHANGE_NOTES")?;
        Some(File::options().append(true).create(true).open(path).unwrap())
    });
    static SEEN: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];

    pub fn active(function: usize) -> u32 {
        if !SEEN[function].swap(true, SeqCst) && let Some(mut notes) = NOTES.as_ref() {
            notes.write_all(format!("{function}\\n").as_bytes()).unwrap();
        }
        *ACTIVE
    }
}
"""
# Comments and literals, in which a bracket is none, and brackets.
TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|\bb?r(#*)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\[^']+|[^'\\])'|[][(){}]""", re.DOTALL
)


class Change:
    """One change as cargo-mutants lists it; `function` is the number of what it is in, if it is in one."""

    def __init__(self, number, listed, functions):
        self.number, self.name, self.file = number, listed["name"], listed["file"]
        self.span, self.replacement = listed["span"], listed["replacement"]
        self.within = listed["function"] and listed["function"]["span"]
        self.function = None
        if self.within:
            place = (self.file, *self.within["start"].values(), *self.within["end"].values())
            self.function = functions.setdefault(place, len(functions))


class Source:
    """A file as it was; `write` puts changes into it, and `blamed` says which of them are at a line then."""

    def __init__(self, path):
        self.path, self.text = path, path.read_text()
        self.starts = [0, *(found.end() for found in re.finditer("\n", self.text))]
        self.marks = []

    def cut(self, span):
        return [self.starts[at["line"] - 1] + at["column"] - 1 for at in (span["start"], span["end"])]

    def put(self, change, begin, end):
        """The text from begin to end with this change."""
        first, last = self.cut(change.span)
        return f"{self.text[begin:first]}{change.replacement} {self.text[last:end]}"

    def body(self, function):
        """Where the body of a function begins and ends, without its braces."""
        begin, end = self.cut(function)
        depth = 0
        for token in TOKEN.finditer(self.text, begin, end):
            if token[0] == "{" and depth == 0:
                return token.end(), end - 1
            depth += (token[0] in "([") - (token[0] in ")]")
        raise ValueError(f"{self.path}: no body from {function}")

    def write(self, changes):
        self.marks = []
        parts, line, done = [], 1, 0
        functions = {}
        for change in changes:
            functions.setdefault(change.function, []).append(change)
        for number, of in sorted(functions.items(), key=lambda item: self.cut(item[1][0].within)):
            begin, end = self.body(of[0].within)
            arms = [f"{self.text[done:begin]} match crate::change::active({number}) {{\n"]
            arms += [f"{change.number} => {{{self.put(change, begin, end)}\n}}\n" for change in of]
            arms += [f"_ => {{{self.text[begin:end]}\n}}\n}}"]
            for arm, change in zip(arms, [None, *of, None]):
                first, line = line, line + arm.count("\n")
                if change:
                    self.marks.append((first, line - 1, [change], True))
            self.marks.append((line - sum(arm.count("\n") for arm in arms[1:]) - 1, line, of, False))
            parts += arms
            done = end
        self.path.write_text("".join(parts) + self.text[done:])

    def write_one(self, change):
        """The file with this change alone, in force whatever the environment says."""
        self.marks = []
        self.path.write_text(self.put(change, 0, len(self.text)))

    def blamed(self, line):
        """The change at a line, and that it is the one; or those of the function, and that it is none of them."""
        found = ((changes, sure) for first, last, changes, sure in self.marks if first <= line <= last)
        return next(found, ([], False))
