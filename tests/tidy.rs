//! The rules of the house, as tests: who may use whom, where the outside world
//! may be touched, and that the map in the README is the tree.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Which rooms a room may use besides itself.
const ROOMS: [(&str, &[&str]); 13] = [
    // A macro of debug builds; whoever has a point needs nothing of it.
    ("point", &[]),
    ("scim", &[]),
    ("plan", &["scim"]),
    ("upstream", &["plan", "scim"]),
    ("store", &["plan", "scim"]),
    ("bridge", &["upstream", "store", "plan", "scim"]),
    // The store's value types (a page, a resource) pass through as they are.
    ("http", &["bridge", "store", "scim"]),
    ("console", &["bridge", "store", "plan", "scim"]),
    ("simulator", &[]),
    ("telemetry", &["config"]),
    (
        "config",
        &["bridge", "console", "http", "upstream", "telemetry"],
    ),
    (
        "app",
        &["bridge", "config", "console", "http", "store", "upstream"],
    ),
    (
        "cli",
        &[
            "app",
            "bridge",
            "config",
            "console",
            "plan",
            "simulator",
            "store",
            "telemetry",
            "upstream",
        ],
    ),
];

/// What touches the outside world, and the only places that may.
const WORLD: [(&[&str], &[&str], &str); 6] = [
    (
        &["actix_web::", "actix_web;"],
        &["http", "console", "simulator"],
        "serving HTTP belongs to http and console (and to the simulator)",
    ),
    (
        &["reqwest::"],
        &["upstream", "cli/demo", "cli/operator"],
        "calling applications belongs to upstream; the demo plays identity providers, and commands speak to a running server",
    ),
    (&["rusqlite::"], &["store"], "SQL belongs to store"),
    (
        &[
            "tokio::",
            "async fn",
            "tracing::",
            "std::fs",
            "std::net",
            "std::env",
            "std::thread",
        ],
        &[
            "upstream",
            "store",
            "bridge",
            "http",
            "console",
            "simulator",
            "config",
            "telemetry",
            "app",
            "cli",
            "point",
        ],
        "scim and plan are pure: give them values and take values from them",
    ),
    (
        &[
            "SystemTime::now",
            "Instant::now",
            "Timestamp::now",
            "now_v7",
            "getrandom::",
        ],
        &[
            "bridge",
            // Pacing, Retry-After and jitter.
            "upstream/client",
            // How long a request took; an id for this process.
            "http/front",
            "http/mod",
            "simulator",
            // How long an answer took; when a token expires.
            "cli/demo",
            "cli/token",
        ],
        "clock and randomness come from bridge::clock; pass the value in",
    ),
    (
        &[
            "println!",
            "print!(",
            "eprintln!",
            "eprint!(",
            "io::stdout()",
        ],
        &["cli"],
        "only cli writes to the terminal; everything else logs through tracing",
    ),
];

/// The engine knows applications by their contract alone.
const APPLICATIONS: [&str; 3] = ["opsera", "hydden", "snyk"];

const TOP_LEVEL: [&str; 8] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "conformance",
    "deploy",
    "src",
    "tests",
];

#[test]
fn rooms_use_only_the_rooms_below_them() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == source.room) else {
            if !matches!(source.room.as_str(), "lib" | "main") {
                wrong.push(format!(
                    "{}: a room without a rule; add it to ROOMS in tests/tidy.rs",
                    source.path
                ));
            }
            continue;
        };
        for used in rooms_used(&source.code) {
            if used != source.room && !allowed.contains(&used.as_str()) {
                wrong.push(format!(
                    "{}: {} must not use {used}; move the code up, or take the value as an argument",
                    source.path, source.room
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_outside_world_is_touched_only_in_its_rooms() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (words, places, remedy) in WORLD {
            let at_home = places.iter().any(|place| source.is_in(place));
            for word in words
                .iter()
                .filter(|word| !at_home && source.code.contains(**word))
            {
                wrong.push(format!(
                    "{}: {word} does not belong here; {remedy}",
                    source.path
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_middle_knows_no_application_by_name() {
    let mut wrong = Vec::new();
    for source in sources() {
        let middle = ["scim", "plan", "store", "bridge", "http"].contains(&source.room.as_str());
        for name in APPLICATIONS {
            if middle && source.code.to_lowercase().contains(name) {
                wrong.push(format!(
                    "{}: names {name}; ask the Upstream contract or its Capabilities instead",
                    source.path
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_begins_by_saying_why_it_exists() {
    let mut wrong = Vec::new();
    for path in rust_files(&root().join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        let is_test =
            path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
        if !is_test && !text.starts_with("//! ") {
            wrong.push(format!(
                "{}: begin with `//!` and two to six sentences: what it is for, what it leaves out",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_readmes_map_is_the_tree() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let map = readme
        .split_once("## Map")
        .and_then(|(_, rest)| rest.split_once("```text\n"))
        .and_then(|(_, rest)| rest.split_once("```"))
        .expect("the README has a section `## Map` with a text block")
        .0;
    let mut told = BTreeSet::new();
    for line in map.lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let inside = if line.starts_with("  ") { "src/" } else { "" };
        told.insert(format!("{inside}{}", name.trim_end_matches('/')));
    }
    let mut there: BTreeSet<String> = names(&root())
        .into_iter()
        .filter(|name| !is_local(name))
        .collect();
    there.extend(
        names(&root().join("src"))
            .into_iter()
            .map(|name| format!("src/{name}")),
    );
    let missing: Vec<_> = there.difference(&told).collect();
    let gone: Vec<_> = told.difference(&there).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "README.md, Map: add {missing:?}, take out {gone:?}"
    );
}

#[test]
fn the_top_level_holds_only_what_belongs_there() {
    let there = names(&root()).into_iter();
    let wrong: Vec<String> = there
        .filter(|name| !is_local(name) && !TOP_LEVEL.contains(&name.as_str()))
        .collect();
    assert!(
        wrong.is_empty(),
        "{wrong:?} at the top level: put it into the folder it is about"
    );
}

/// A source file without its comments and tests.
struct Source {
    path: String,
    room: String,
    code: String,
}

impl Source {
    fn is_in(&self, place: &str) -> bool {
        let rest = self
            .path
            .strip_prefix("src/")
            .and_then(|path| path.strip_prefix(place));
        rest.is_some_and(|rest| rest.starts_with(['/', '.']))
    }
}

fn sources() -> Vec<Source> {
    let root = root();
    let mut sources = Vec::new();
    for path in rust_files(&root.join("src")) {
        let shown = path
            .strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let inside = shown.trim_start_matches("src/");
        if inside
            .split('/')
            .any(|part| part == "tests" || part == "tests.rs")
        {
            continue;
        }
        let room = inside
            .split(['/', '.'])
            .next()
            .unwrap_or_default()
            .to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let code: Vec<&str> = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        sources.push(Source {
            path: shown.clone(),
            room,
            code: code.join("\n"),
        });
    }
    assert!(sources.len() > 50, "the sources were not found");
    sources
}

/// The first segment of every `crate::x`, also inside `crate::{x, y}`.
fn rooms_used(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let Some(tree) = rest.strip_prefix('{') else {
            used.insert(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut at_start = true;
        for (at, letter) in tree.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => at_start = true,
                letter if at_start && !letter.is_whitespace() => {
                    used.insert(word(&tree[at..]));
                    at_start = false;
                }
                _ => {}
            }
        }
    }
    used.remove("");
    used
}

fn word(text: &str) -> String {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    text[..end.unwrap_or(text.len())].to_owned()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut open = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// What is never committed: what a build makes, a configuration and secrets
/// for trying things out, and what tools keep in dot-files.
fn is_local(name: &str) -> bool {
    let local = ["target", "drawbridge.toml", "secrets"];
    name.starts_with('.') || local.contains(&name) || name.contains(".db")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
