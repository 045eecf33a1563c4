"""Tries the changes of `changes.json`, each on the tests that come to it, until one notices.

    trial.py --tests REGEX FOLDER -- OPTION ...     as `run` calls it; the options are cargo's, which say what to build

A change that does not build is taken out. What cannot be chosen in a program of all changes (what is outside of
functions, or does not build there for another reason) gets a build of its own. Before, every test must pass with no
change in force, and shows which functions it comes to; then the quick ones are run in one process, the slow ones in
one each. A change at which they do not end in time has been noticed.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time

import rewrite
import verdict

# Tests of simulated worlds see a few first, and more of what those did not notice.
WORLDS = re.compile("::no_(world|family)_")
FEW = {"WORLDS": "6", "FAMILIES": "6"}
MORE = {"WORLDS": "30", "FAMILIES": "30"}
# Whether the judges of the worlds notice what is planted is no question here.
JUDGES = re.compile("::world::(?!.*(no_|scenes::))")
SLOW = 1.0
# A function of many bodies has a large frame, as nothing is optimised.
STACK = str(1 << 28)
# Bytes of addresses a process may have: what grows without end is to end before the machine does.
ROOM = 6 << 30
# How many seconds tests may work: so many times what they do unchanged, and some. How long they may only wait, and
# how long they may take in all, which a busy machine makes longer.
TIMES, SPARE, IDLE, LONGEST = 10, 20, 60, 3_600
NO_CHANGE = 0


class Test:
    def __init__(self, program, name, env):
        self.program, self.name, self.env = program, name, env
        self.seconds, self.reaches = 0.0, set()


class Tree:
    """The copy of the project, and the changes that are to be tried in it."""

    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        functions = {}
        listed = json.loads((folder / "changes.json").read_text())
        self.changes = [rewrite.Change(number, one, functions) for number, one in enumerate(listed, NO_CHANGE + 1)]
        self.sources = {change.file: rewrite.Source(folder / change.file) for change in self.changes}
        hook = rewrite.HOOK.replace("COUNT", str(len(functions)))
        library = folder / "src/lib.rs"
        library.write_text(library.read_text() + hook)

    def write(self, changes):
        for file, source in self.sources.items():
            source.write([change for change in changes if change.file == file])

    def build(self):
        """The test programs, or what the compiler complains of: for each complaint the changes at its places."""
        command = ["cargo", "test", "--offline", "--no-run", "--message-format=json"]
        env = {**os.environ, "CARGO_PROFILE_DEV_DEBUG": "false"}
        done = subprocess.run(command + self.options, cwd=self.folder, env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=False)
        told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        programs = [one["executable"] for one in told if one.get("executable") and one["profile"]["test"]]
        errors = [one["message"] for one in told if one["reason"] == "compiler-message"]
        errors = [one for one in errors if one["level"] == "error" and one["spans"]]
        if done.returncode and not errors:
            raise SystemExit(f"cargo failed without a word of the compiler's: {done.returncode}")
        return programs, [(self.blamed(error), error["rendered"]) for error in errors]

    def blamed(self, error):
        places = []
        for span in sorted(error["spans"], key=lambda span: not span["is_primary"]):
            while span:
                places.append((span["file_name"], span["line_start"]))
                span = span["expansion"] and span["expansion"]["span"]
        found = [self.sources[file].blamed(line) for file, line in places if file in self.sources]
        return next((changes for changes in found if changes[0]), ([], False))


def start(program, arguments, env, limit):
    """Runs tests; gives how they ended (`passed`, `hangs` or which failed), how many passed, how long they worked."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        process = subprocess.Popen([program, "--test-threads=1", *arguments], cwd=TREE.folder, text=True,
                                   env={**os.environ, **env, "TMPDIR": temporary}, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, process_group=0)
        resource.prlimit(process.pid, resource.RLIMIT_AS, (ROOM, ROOM))
        late = threading.Event()
        threading.Thread(target=watch, args=(process.pid, limit, late), daemon=True).start()
        failed, passed = None, 0
        for line in process.stdout:
            if found := re.match(r"test (\S+).* \.\.\. FAILED$|test result: ok\. (\d+) passed", line):
                failed, passed = found[1], int(found[2] or 0)
                if failed:
                    end(process.pid)
                    break
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if failed:
        result = failed
    elif late.is_set():
        result = "hangs"
    else:
        result = "passed" if status == 0 else f"end of the process, {process.returncode}"
    return result, passed, usage.ru_utime + usage.ru_stime


def end(process):
    """Ends it and what it has started, which holds the pipe open."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def watch(process, limit, late):
    """Ends a process that worked for too long or not at all for a while; by the clock a busy machine is the same."""
    before, began = 0, time.monotonic()
    since = began
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while True:
            fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
            worked = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            now = time.monotonic()
            if worked > before or not sleeps(process):
                before, since = worked, now
            if fields[0] != "Z" and (worked > limit or now - since > IDLE or now - began > LONGEST):
                late.set()
                end(process)
                return
            time.sleep(0.5)


def sleeps(process):
    """Whether none of its threads runs, or would on an idle machine."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        tasks = pathlib.Path(f"/proc/{process}/task").glob("*/stat")
        return all(task.read_text().rpartition(") ")[2][0] == "S" for task in tasks)
    return False


def run(tests, change):
    """Runs tests of one program and environment with a change; says how they ended, what they reached, and how long."""
    with tempfile.NamedTemporaryFile("r", prefix="mutants-") as notes:
        seconds = sum(test.seconds for test in tests)
        limit = SPARE + TIMES * seconds if seconds else LONGEST
        env = {**tests[0].env, "CHANGE": str(change), "CHANGE_NOTES": notes.name, "RUST_MIN_STACK": STACK}
        arguments = ["--exact", *(test.name for test in tests)]
        result, passed, seconds = start(tests[0].program, arguments, env, limit)
        if result == "passed" and passed != len(tests):
            raise SystemExit(f"{passed} tests were run in place of {len(tests)}, {tests[0].name} among them")
        return result, {int(line) for line in notes}, seconds


def names(program, *which):
    done = subprocess.run([program, "--list", "--format=terse", *which], stdout=subprocess.PIPE, text=True, check=True)
    return [line.removesuffix(": test") for line in done.stdout.splitlines()]


def tests_of(program, wanted):
    ignored = names(program, "--ignored")
    for name in names(program):
        if re.match(wanted, name) and name not in ignored and not JUDGES.search(name):
            yield Test(program, name, FEW)
            if WORLDS.search(name):
                yield Test(program, name, MORE)


def measure(test):
    result, test.reaches, test.seconds = run([test], NO_CHANGE)
    if result != "passed":
        raise SystemExit(f"{test.name} fails with no change in force: {result}")


def groups(tests):
    """Quick tests of a program together, slow ones by themselves, in the order of their time."""
    together = {}
    for test in tests:
        alone = test.seconds >= SLOW or test.env is MORE
        together.setdefault((test.program, id(test) if alone else None), []).append(test)
    return sorted(together.values(), key=lambda group: (len(group) == 1, group[0].seconds))


def attempt(change, tests, number):
    """How a change ended: `caught`, `hangs` or `missed`, and what noticed it."""
    for group in groups(tests):
        result, reached, _ = run(group, number)
        if result == "passed":
            continue
        if number and change.function not in reached:
            return "missed", f"{result}, but that did not come to it: a test that fails at times"
        return ("hangs", "") if result == "hangs" else ("caught", result)
    return "missed", f"{len(tests)} tests come to it" if tests else "no test comes to it"


def together(tree, wanted, note):
    """Tries what can be tried in one program; gives the tests, and what is left for builds of their own."""
    inside = [change for change in tree.changes if change.function is not None]
    alone = [change for change in tree.changes if change.function is None]
    while True:
        tree.write(inside)
        programs, errors = tree.build()
        if not errors:
            break
        for (blamed, sure), text in errors:
            if not blamed:
                raise SystemExit(f"no change explains this:\n{text}")
            for change in blamed:
                if change in inside:
                    inside.remove(change)
                    if sure:
                        note(change, "unviable", text.splitlines()[0])
                    else:
                        alone.append(change)
        print(f"{len(errors)} complaints of the compiler; once more with {len(inside)} changes", flush=True)
    tests = [test for program in programs for test in tests_of(program, wanted)]
    if not tests:
        raise SystemExit(f"no test is called as {wanted}")
    began = time.monotonic()
    list(POOL.map(measure, tests))
    print(f"{len(tests)} tests pass unchanged, {time.monotonic() - began:.0f} s", flush=True)
    quick_first = sorted(tests, key=lambda test: test.seconds)

    def one(change):
        note(change, *attempt(change, [test for test in quick_first if change.function in test.reaches], change.number))

    list(POOL.map(one, inside))
    return tests, alone


def apart(tree, tests, change, note):
    """Tries a change in a build of its own, which has the place of the one before."""
    tree.write([])
    tree.sources[change.file].write_one(change)
    _, errors = tree.build()
    if errors:
        note(change, "unviable", errors[0][1].splitlines()[0])
    else:
        note(change, *attempt(change, tests, NO_CHANGE))


def main():
    results = {}
    lock = threading.Lock()

    def note(change, result, by):
        with lock, (TREE.folder / "results").open("a") as file:
            results[change.name] = result, by
            print(f"{len(results)} of {len(TREE.changes)}\t{result}\t{change.name}\t{by}", file=file)

    tests, alone = together(TREE, OPTIONS.tests, note)
    for change in alone:
        apart(TREE, tests, change, note)
    return verdict.judge(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--tests", required=True)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("options", nargs="+")
    OPTIONS = parser.parse_args()
    TREE = Tree(OPTIONS.folder, OPTIONS.options)
    POOL = concurrent.futures.ThreadPoolExecutor(int(os.environ.get("JOBS", "2")))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        STATUS = main()
    finally:
        POOL.shutdown(cancel_futures=True)
    raise SystemExit(STATUS)
