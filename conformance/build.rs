//! Lists the case files at build time, so that the command carries its cases
//! and works from any folder. Only names are collected here; what a file holds
//! is judged when it is played, where the message can name the file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Profiles made of the vectors in `tests/data/vectors`.
const VECTORS: [(&str, &str); 4] = [
    ("vectors-filter", "filter-vectors.json"),
    ("vectors-patch", "patch-vectors.json"),
    ("vectors-path", "path-vectors.json"),
    ("vectors-search", "filter-vectors.json"),
];

fn main() -> io::Result<()> {
    let root =
        PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("cases");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut table = String::from("&[\n");
    for folder in sorted(&root)? {
        if folder.is_dir() {
            for file in sorted(&folder)? {
                add(&mut table, &root, &file)?;
            }
        } else {
            add(&mut table, &root, &folder)?;
        }
    }
    // One copy of the vectors serves the unit tests of the server and the profiles here.
    let vectors = root.join("../../tests/data/vectors");
    println!("cargo::rerun-if-changed={}", vectors.display());
    for (profile, file) in VECTORS {
        let text = text(&vectors)?;
        writeln!(
            table,
            "    (\"{profile}/{file}\", include_str!(\"{text}/{file}\")),"
        )
        .map_err(io::Error::other)?;
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
    fs::write(out.join("embedded.rs"), table)
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

fn add(table: &mut String, root: &Path, file: &Path) -> io::Result<()> {
    if file
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        let name = text(file.strip_prefix(root).map_err(io::Error::other)?)?;
        let file = text(file)?;
        writeln!(table, "    ({name:?}, include_str!({file:?})),").map_err(io::Error::other)?;
    }
    Ok(())
}

fn text(path: &Path) -> io::Result<&str> {
    path.to_str()
        .ok_or_else(|| io::Error::other(format!("{}: the name is not text", path.display())))
}
