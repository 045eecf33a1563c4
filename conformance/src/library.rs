//! The case files: those built into the command, or those of a folder laid out
//! alike (`PROFILE/NN-name.json` and `variables.json`). Files of a profile are
//! played in name order, because later ones build on earlier ones. A file holds
//! one case, a list of them (`list`), or vectors (`vectors`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::{Map, Value};
use thiserror::Error;

use crate::case::{Case, Step};
use crate::{list, vectors};

const EMBEDDED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
const VARIABLES: &str = "variables.json";

/// The cases of one identity provider.
#[derive(Debug, Clone)]
pub struct Profile {
    pub name: String,
    /// File name and case, in the order of play.
    pub cases: Vec<(String, Case)>,
    /// What is played before the first case of a file.
    pub setups: BTreeMap<String, Vec<Step>>,
    /// The initial variables; templates themselves.
    pub variables: Map<String, Value>,
}

#[derive(Debug, Error)]
pub enum LibraryError {
    #[error("{}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{file}: {problem}")]
    Malformed { file: String, problem: String },
    #[error("no profile {asked}; there are: {known}")]
    NoProfile { asked: String, known: String },
    #[error("{0}: two cases are called so in one profile")]
    Twice(String),
}

/// The profiles named, or all of them; from `folder` if given.
pub fn load(folder: Option<&Path>, wanted: &[String]) -> Result<Vec<Profile>, LibraryError> {
    let files = match folder {
        Some(folder) => read_folder(folder)?,
        None => EMBEDDED
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect(),
    };
    let variables = variables(&files)?;
    let known: BTreeSet<&str> = files
        .keys()
        .filter_map(|file| Some(file.split_once('/')?.0))
        .collect();
    let all = wanted.is_empty() || wanted.iter().any(|name| name == "all");
    if let Some(asked) = wanted
        .iter()
        .find(|name| !all && !known.contains(name.as_str()))
    {
        return Err(LibraryError::NoProfile {
            asked: asked.clone(),
            known: known.into_iter().collect::<Vec<_>>().join(", "),
        });
    }
    known
        .into_iter()
        .filter(|name| all || wanted.iter().any(|asked| asked == name))
        .map(|name| profile(name, &files, &variables))
        .collect()
}

fn profile(
    name: &str,
    files: &BTreeMap<String, String>,
    variables: &Map<String, Value>,
) -> Result<Profile, LibraryError> {
    let mut cases = Vec::new();
    let mut setups = BTreeMap::new();
    let mut names = BTreeSet::new();
    for (file, text) in files.iter().filter(|(file, _)| {
        file.split_once('/')
            .is_some_and(|(folder, _)| folder == name)
    }) {
        let read = vectors::read(name, text)
            .unwrap_or_else(|| list::read(text))
            .map_err(|problem| LibraryError::Malformed {
                file: file.clone(),
                problem,
            })?;
        for case in read.cases {
            if !names.insert(case.name.clone()) {
                return Err(LibraryError::Twice(case.name));
            }
            cases.push((file.clone(), case));
        }
        setups.insert(file.clone(), read.setup);
    }
    let variables = variables
        .get(name)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    Ok(Profile {
        name: name.to_owned(),
        cases,
        setups,
        variables,
    })
}

fn variables(files: &BTreeMap<String, String>) -> Result<Map<String, Value>, LibraryError> {
    let Some(text) = files.get(VARIABLES) else {
        return Ok(Map::new());
    };
    serde_json::from_str(text).map_err(|error| LibraryError::Malformed {
        file: VARIABLES.to_owned(),
        problem: error.to_string(),
    })
}

fn read_folder(folder: &Path) -> Result<BTreeMap<String, String>, LibraryError> {
    let mut files = BTreeMap::new();
    for path in entries(folder)? {
        if path.is_dir() {
            for inner in entries(&path)? {
                take(&mut files, folder, &inner)?;
            }
        } else {
            take(&mut files, folder, &path)?;
        }
    }
    Ok(files)
}

fn take(
    files: &mut BTreeMap<String, String>,
    root: &Path,
    path: &Path,
) -> Result<(), LibraryError> {
    if path.extension().is_none_or(|extension| extension != "json") {
        return Ok(());
    }
    let text = fs::read_to_string(path).map_err(|source| LibraryError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let name = path
        .strip_prefix(root)
        .unwrap_or(path)
        .to_string_lossy()
        .replace('\\', "/");
    files.insert(name, text);
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, LibraryError> {
    let unreadable = |source| LibraryError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    fs::read_dir(folder)
        .map_err(unreadable)?
        .map(|entry| Ok(entry.map_err(unreadable)?.path()))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::template::names_in;

    fn all() -> Vec<Profile> {
        load(None, &[]).unwrap()
    }

    #[test]
    fn every_built_in_case_parses_and_says_where_it_is_from() {
        let profiles = all();
        for name in ["entra", "jumpcloud", "okta"] {
            let profile = profiles
                .iter()
                .find(|profile| profile.name == name)
                .unwrap();
            assert!(profile.cases.len() >= 20, "{name}");
            assert!(
                profile
                    .cases
                    .iter()
                    .all(|(_, case)| !case.source.is_empty()),
                "{name}"
            );
        }
    }

    /// A placeholder that nothing fills would fail only once a server is there.
    #[test]
    fn every_placeholder_is_given_or_saved_by_an_earlier_case() {
        for profile in all() {
            let mut known: BTreeSet<String> = profile.variables.keys().cloned().collect();
            known.extend(crate::play::GIVEN.map(str::to_owned));
            known.extend(crate::play::LIMITS.map(str::to_owned));
            for steps in profile.setups.values() {
                known.extend(steps.iter().flat_map(|step| saved(&step.save)));
            }
            for (file, case) in &profile.cases {
                let mut given = known.clone();
                given.extend(case.repeat.iter().map(|repeat| repeat.r#as.clone()));
                for name in crate::play::placeholders(case) {
                    assert!(
                        given.contains(&name),
                        "{file}: {}: {{{{{name}}}}} is never filled",
                        case.name
                    );
                }
                known.extend(saved(&case.save));
            }
            for (name, value) in &profile.variables {
                assert!(
                    names_in(value).iter().all(|used| known.contains(used)),
                    "variables.json: {name}"
                );
            }
        }
    }

    fn saved(save: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
        save.keys()
            .map(|name| name.trim_end_matches("[]").to_owned())
    }

    /// A feature that nothing can find out would skip a case for ever.
    #[test]
    fn every_feature_required_is_one_that_is_given_or_found_out() {
        for profile in all() {
            for (file, case) in &profile.cases {
                for feature in &case.requires {
                    assert!(crate::features::is_known(feature), "{file}: {feature}");
                }
            }
        }
    }

    #[test]
    fn an_unknown_profile_lists_the_known_ones() {
        let wrong = load(None, &["octa".to_owned()]).unwrap_err().to_string();
        assert!(wrong.contains("octa") && wrong.contains("okta"), "{wrong}");
    }

    #[test]
    fn a_folder_is_read_like_the_built_in_cases() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
        let read = load(Some(&folder), &["okta".to_owned()]).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(
            read[0].cases.len(),
            all()
                .iter()
                .find(|profile| profile.name == "okta")
                .unwrap()
                .cases
                .len()
        );
    }
}
