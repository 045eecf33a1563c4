//! What answers mean where their status does not say it: rows of the
//! configuration, the first that fits decides. A row can speak of a success
//! too, because some applications answer 200 to everything.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use super::{operation::Name, pointer::Pointer};
use crate::upstream::client::Meaning;

/// One row.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The calls it is about; all where none is named.
    #[serde(default)]
    pub on: Vec<Name>,
    #[serde(default)]
    pub status: Statuses,
    /// Something is there, and not `false` or nothing.
    #[serde(default)]
    pub at: Option<Pointer>,
    /// It holds these words, in any letter case; without `at`, the answer does.
    #[serde(default)]
    pub text: Option<String>,
    pub means: Means,
}

/// One or several numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statuses(pub BTreeSet<u16>);

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrMore {
            One(u16),
            More(BTreeSet<u16>),
        }
        let statuses = match OneOrMore::deserialize(from) {
            Ok(OneOrMore::One(status)) => [status].into(),
            Ok(OneOrMore::More(statuses)) => statuses,
            Err(_) => BTreeSet::new(),
        };
        let good = |status: &u16| (200..=599).contains(status);
        if statuses.is_empty() || !statuses.iter().all(good) {
            return Err(D::Error::custom(
                "no status of HTTP; write a number from 200 to 599, or several in brackets",
            ));
        }
        Ok(Self(statuses))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Means {
    /// It was done, and the answer is read as of any success.
    Success,
    /// Nothing was left to do.
    Done,
    /// What was to be made is there, and may be another's.
    Exists,
    /// What it is about is not there.
    Missing,
    Rejected,
    /// The credential or a right of it.
    Denied,
    /// It was not looked at; a try later may go better.
    Later,
    /// Nobody knows whether it was done.
    Unknown,
}

impl Row {
    fn fits(&self, name: Name, status: u16, body: &[u8], json: Option<&Value>) -> bool {
        let on = self.on.is_empty() || self.on.contains(&name);
        let status = self.status.0.is_empty() || self.status.0.contains(&status);
        on && status && self.says(body, json)
    }

    fn says(&self, body: &[u8], json: Option<&Value>) -> bool {
        let holds = |said: &str| {
            let text = self.text.as_ref();
            text.is_none_or(|text| said.to_lowercase().contains(&text.to_lowercase()))
        };
        let Some(at) = &self.at else {
            return self.text.is_none() || holds(&String::from_utf8_lossy(body));
        };
        match json.and_then(|json| at.of(json)) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::String(said)) => !said.is_empty() && holds(said),
            Some(Value::Array(list)) if list.is_empty() => false,
            Some(other) => holds(&other.to_string()),
        }
    }
}

/// What an answer to `name` means, if a row knows it. Of several members, one
/// for whom nothing was left to do says nothing about the others.
pub(super) fn of(
    rows: &[Row],
    (name, single): (Name, bool),
    status: u16,
    body: &[u8],
) -> Option<Meaning> {
    let about = |row: &&Row| row.on.is_empty() || row.on.contains(&name);
    let json = rows
        .iter()
        .filter(about)
        .any(|row| row.at.is_some())
        .then(|| serde_json::from_slice(body).ok())
        .flatten();
    let row = rows
        .iter()
        .find(|row| row.fits(name, status, body, json.as_ref()))?;
    Some(match row.means {
        Means::Success => Meaning::Success,
        Means::Done if single => Meaning::Done,
        Means::Done | Means::Rejected => Meaning::Rejected,
        Means::Exists => Meaning::Exists,
        Means::Missing => Meaning::Missing,
        Means::Denied => Meaning::Denied,
        Means::Later => Meaning::Later,
        Means::Unknown => Meaning::Unknown,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Deserialize)]
    struct Rows {
        errors: Vec<Row>,
    }

    fn meaning(name: Name, status: u16, body: &str) -> Option<Meaning> {
        let rows: Rows = toml::from_str(
            r#"
            errors = [
                { on = ["add_members"], status = 400, text = "already a member", means = "done" },
                { status = [200, 201], at = "/error", text = "RATE", means = "later" },
                { status = 200, at = "/error", means = "rejected" },
                { on = ["create_group"], status = 422, at = "/errors/0/code", text = "taken", means = "exists" },
                { status = 403, text = "abuse", means = "later" },
            ]"#,
        )
        .unwrap();
        of(&rows.errors, (name, true), status, body.as_bytes())
    }

    #[test]
    fn the_first_row_that_fits_says_what_it_means() {
        use Name::{AddMembers, CreateGroup, ListUsers, RemoveMembers};
        for (name, status, body, means) in [
            (
                AddMembers,
                400,
                "Ann is ALREADY a member",
                Some(Meaning::Done),
            ),
            (RemoveMembers, 400, "Ann is already a member", None),
            (
                ListUsers,
                200,
                r#"{"error":"rate limited"}"#,
                Some(Meaning::Later),
            ),
            (
                ListUsers,
                200,
                r#"{"error":"no such"}"#,
                Some(Meaning::Rejected),
            ),
            (ListUsers, 200, r#"{"error":null,"users":[]}"#, None),
            (ListUsers, 200, r#"{"error":false}"#, None),
            (ListUsers, 200, r#"{"error":[]}"#, None),
            (ListUsers, 200, "not JSON", None),
            (
                CreateGroup,
                422,
                r#"{"errors":[{"code":"name_taken"}]}"#,
                Some(Meaning::Exists),
            ),
            (CreateGroup, 422, r#"{"errors":[{"code":5}]}"#, None),
            (ListUsers, 403, "abuse detection", Some(Meaning::Later)),
            (ListUsers, 403, "", None),
        ] {
            assert_eq!(
                meaning(name, status, body),
                means,
                "{name:?} {status} {body}"
            );
        }
    }

    #[test]
    fn a_long_answer_is_looked_into_to_its_end() {
        let long = "x".repeat(70_000);
        let failed = format!(r#"{{"group":"{long}","error":"quota"}}"#);
        let said = meaning(Name::RemoveMembers, 200, &failed);
        assert_eq!(said, Some(Meaning::Rejected));
        let said = meaning(Name::AddMembers, 400, &format!("{long} already a member"));
        assert_eq!(said, Some(Meaning::Done));
    }

    #[test]
    fn of_a_batch_nothing_is_done_because_one_was() {
        let row: Row = toml::from_str("text = \"already\"\nmeans = \"done\"").unwrap();
        let said = |single| {
            of(
                std::slice::from_ref(&row),
                (Name::AddMembers, single),
                400,
                b"already in",
            )
        };
        assert_eq!(said(true), Some(Meaning::Done));
        assert_eq!(said(false), Some(Meaning::Rejected));
    }
}
