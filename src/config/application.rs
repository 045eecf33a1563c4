//! Reading `[connection.upstream]`: its shape by serde, its meaning by the
//! application's own room; here is where secrets may lie.

use std::{collections::BTreeMap, fs, ops::Range, os::unix::fs::MetadataExt, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use serde::de::DeserializeOwned;

use super::reading::Reading;
use crate::upstream::{hydden, opsera, opsera::settings::TokenSource, rest, snyk};

/// An application's table, as far as it is read here.
pub(super) trait Settings: DeserializeOwned {
    /// Its `kind`.
    const KIND: &'static str;
    /// An address such as an administrator would write, where one is needed.
    const ADDRESS: Option<&'static str>;

    fn token(&self) -> &TokenSource;
    fn client_certificate(&self) -> Option<&Path>;
    fn problems(&self) -> Vec<String>;
}

/// What to do about an application's token that is not there.
const TOKEN_REMEDY: &str = "put the application's API token there, readable by drawbridge alone, or name another place: token = { file = \"..\" } or { env = \"..\" }";

impl<'a> Reading<'a, '_> {
    pub(super) fn application<S: Settings>(
        &mut self,
        place: &str,
        mut table: Spanned<DeTable<'a>>,
    ) -> Option<Box<S>> {
        let mut keys = BTreeMap::new();
        note_places(table.get_ref(), "", &mut keys);
        let whole = table.span();
        for trail in [
            &["token", "file"][..],
            &["ca_file"],
            &["client_certificate"],
        ] {
            self.relocate(table.get_mut(), trail);
        }
        let before = self.problems.list().len();
        let settings: S = self.document.read(table, place, self.problems)?;
        // A faulty entry was taken out, and its default is not to be judged.
        let told = self.problems.list().iter().skip(before);
        let told: Vec<String> = told.map(|problem| problem.key.clone()).collect();
        let mut found = Vec::new();
        let address = S::ADDRESS.map(|address| format!("{address:?}"));
        for (key, example) in [("base_url", address), ("token", Some(elsewhere::<S>()))] {
            if let (false, Some(example)) = (keys.contains_key(key), example) {
                found.push((
                    key.to_owned(),
                    format!("the key `{key}` is missing"),
                    format!("add {key} = {example}"),
                ));
            }
        }
        if settings.token().is_written_out() {
            found.push((
                "token".to_owned(),
                "a secret does not belong in this file".to_owned(),
                format!("write token = {} and put it there", elsewhere::<S>()),
            ));
        }
        for (key, file) in [
            ("token", settings.token().file()),
            ("client_certificate", settings.client_certificate()),
        ] {
            if let Some(file) = file.filter(|file| exposed(file)) {
                found.push((
                    key.to_owned(),
                    format!("everybody on this machine can read {}", file.display()),
                    "run `chmod 600` on it, and replace the secret if it was seen".to_owned(),
                ));
            }
        }
        for text in settings.problems() {
            let end = text.find([':', ' ']).unwrap_or(text.len());
            let (key, rest) = text.split_at(end);
            let rest = rest.strip_prefix(": ").unwrap_or(&text);
            // A name in quotes is no place.
            let key = if key.contains('"') { within(key) } else { key };
            let (what, remedy) = match rest.rsplit_once(": ") {
                _ if key == "token" => (rest, TOKEN_REMEDY),
                Some(parts) => parts,
                None => (rest, "correct it"),
            };
            if keys.contains_key(key) || !["base_url", "token"].contains(&key) {
                found.push((key.to_owned(), what.to_owned(), remedy.to_owned()));
            }
        }
        for (key, what, remedy) in found {
            let mut at = Some(key.as_str()).filter(|key| !key.is_empty());
            while let Some(inner) = at.filter(|key| !keys.contains_key(*key)) {
                at = Some(within(inner)).filter(|outer| *outer != inner);
            }
            let span = at.and_then(|key| keys.get(key)).unwrap_or(&whole).clone();
            let key = format!("{place}.{key}");
            // Nor is what a faulty entry belongs to.
            let of_faulty = |told: &String| {
                let rest = told.strip_prefix(&key);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            // And what wants it is told by it.
            let wants_faulty = |told: &String| {
                let faulty = told
                    .strip_prefix(place)
                    .map(|it| it.trim_start_matches('.'));
                let mut words = remedy.split([' ', ',']);
                faulty.is_some_and(|faulty| words.any(|word| word == faulty))
            };
            if !told.iter().any(|it| of_faulty(it) || wants_faulty(it)) {
                self.problems
                    .push(self.document.problem(Some(span), &key, what, remedy));
            }
        }
        Some(Box::new(settings))
    }

    /// Makes a path in the table relative to the configuration file.
    fn relocate(&self, table: &mut DeTable<'a>, trail: &[&str]) {
        match trail {
            [] => {}
            [key] => {
                if let Some(DeValue::String(path)) = table.get_mut(*key).map(Spanned::get_mut) {
                    let joined = self.folder.join(path.as_ref());
                    *path = joined.to_string_lossy().into_owned().into();
                }
            }
            [key, rest @ ..] => {
                if let Some(DeValue::Table(inner)) = table.get_mut(*key).map(Spanned::get_mut) {
                    self.relocate(inner, rest);
                }
            }
        }
    }
}

/// Every place below a table, dotted, with indices in brackets. As deep as the
/// file, which its reader bounds.
fn note_places(table: &DeTable<'_>, under: &str, places: &mut BTreeMap<String, Range<usize>>) {
    for (key, value) in table {
        let dot = if under.is_empty() { "" } else { "." };
        note_value(value, format!("{under}{dot}{}", key.get_ref()), places);
    }
}

fn note_value(
    value: &Spanned<DeValue<'_>>,
    place: String,
    places: &mut BTreeMap<String, Range<usize>>,
) {
    match value.get_ref() {
        DeValue::Table(table) => note_places(table, &place, places),
        DeValue::Array(list) => {
            for (at, value) in list.iter().enumerate() {
                note_value(value, format!("{place}[{at}]"), places);
            }
        }
        _ => {}
    }
    places.insert(place, value.span());
}

/// The place that another one is in; itself where that is none.
fn within(place: &str) -> &str {
    let end = place.rfind(['.', '[']).unwrap_or(place.len());
    place.get(..end).unwrap_or(place)
}

/// Where a token may lie.
fn elsewhere<S: Settings>() -> String {
    let kind = S::KIND;
    let name = kind.to_uppercase();
    format!("{{ file = \"secrets/{kind}\" }} or {{ env = \"{name}_TOKEN\" }}")
}

macro_rules! settings {
    ($application:ident, $kind:literal, $address:expr) => {
        impl Settings for $application::Settings {
            const KIND: &'static str = $kind;
            const ADDRESS: Option<&'static str> = $address;

            fn token(&self) -> &TokenSource {
                &self.token
            }

            fn client_certificate(&self) -> Option<&Path> {
                self.client_certificate.as_deref()
            }

            fn problems(&self) -> Vec<String> {
                self.problems()
            }
        }
    };
}

settings!(opsera, "opsera", Some("https://app.opsera.io"));
settings!(hydden, "hydden", Some("https://your-tenant.hydden.io"));
settings!(rest, "rest", Some("https://api.example.com/v1"));
// A region is an address, and there is one by default.
settings!(snyk, "snyk", None);

/// Whether everybody on this machine can read a file.
fn exposed(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|data| data.mode() & 0o007 != 0)
}
