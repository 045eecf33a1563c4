//! What a configuration says about requests, as types: paths and texts with
//! placeholders in braces (bodies are in `body`). A value never becomes syntax:
//! in a path it is a whole segment and percent-encoded (RFC 3986), in a query or
//! a body it stands alone or, `{so:quoted}`, as a JSON string (RFC 8259 section
//! 7) within a filter. Reading one names what is wrong; filling one in cannot
//! go wrong but for a value that is not there.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use crate::upstream::client;

/// Everything that can be filled in.
pub(super) const HOLES: [&str; 14] = [
    "group.id",
    "group.name",
    "user.id",
    "user.account",
    "member.id",
    "member.account",
    "user.userName",
    "user.email",
    "user.givenName",
    "user.familyName",
    "user.displayName",
    "user.title",
    "user.department",
    "user.organization",
];
/// From here on they say what is known of a new account, which may be nothing.
const OPTIONAL: usize = 6;

pub(super) type Holes = BTreeSet<&'static str>;
/// What to fill in.
pub(super) type Values<'a> = [(&'static str, &'a str)];

/// The placeholder for what a new account is to have, by the name of [`Shown`].
///
/// [`Shown`]: super::settings::Shown
pub(super) fn hole_of_user(field: &str) -> Option<&'static str> {
    let holes = HOLES.iter().skip(OPTIONAL);
    let mut holes = holes.filter(|hole| hole.strip_prefix("user.") == Some(field));
    holes.next().copied()
}

fn value_of<'a>(name: &'static str, values: &Values<'a>) -> Result<Option<&'a str>, String> {
    let found = values.iter().find(|(hole, _)| *hole == name);
    match found {
        Some((_, value)) => Ok(Some(*value)),
        None if HOLES.iter().skip(OPTIONAL).any(|hole| *hole == name) => Ok(None),
        None => Err(format!("nothing is known to put for {{{name}}}")),
    }
}

/// A path below the base URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    fn parse(text: &str) -> Result<Self, String> {
        for name in client::placeholders(text)? {
            known(name)?;
        }
        if text.contains('?') {
            return Err("a path has no query; write it under `query`, key by key".into());
        }
        let whole = |segment: &str| {
            let inside = segment
                .strip_prefix('{')
                .and_then(|it| it.strip_suffix('}'));
            inside.is_some_and(|inside| !inside.contains('{'))
        };
        let dots = |segment: &&str| {
            matches!(
                segment.to_ascii_lowercase().replace("%2e", ".").as_str(),
                "." | ".."
            )
        };
        if text.split('/').any(|segment| dots(&segment)) {
            return Err("a path stays below base_url; write it without \".\" and \"..\"".into());
        }
        let mixed = |segment: &&str| segment.contains('{') && !whole(segment);
        match text.split('/').find(mixed) {
            Some(segment) => Err(format!(
                "{segment:?} mixes text and a placeholder; let the placeholder be all between two \"/\""
            )),
            None => Ok(Self(text.to_owned())),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn holes(&self) -> Holes {
        let names = client::placeholders(&self.0).unwrap_or_default();
        names.into_iter().filter_map(|it| known(it).ok()).collect()
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// A text of a query or a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Words(String),
    Hole(&'static str),
    Quoted(&'static str),
    /// A JSON number; in bodies, and alone.
    Number(&'static str),
}

impl Text {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let pieces = pieces(text)?;
        let bare = pieces.iter().find_map(|piece| match piece {
            Piece::Hole(name) | Piece::Number(name) => Some(*name),
            Piece::Words(_) | Piece::Quoted(_) => None,
        });
        match bare {
            Some(name) if pieces.len() > 1 => Err(format!(
                "{{{name}}} stands within text, where it could be read as more than a value; write {{{name}:quoted}}, which is escaped, or let it stand alone"
            )),
            _ => Ok(Self(pieces)),
        }
    }

    /// `None` where nothing is known of what may be unknown.
    pub(super) fn fill(&self, values: &Values<'_>) -> Result<Option<String>, String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Words(words) => text.push_str(words),
                Piece::Hole(name) | Piece::Number(name) => match value_of(name, values)? {
                    Some(value) => text.push_str(value),
                    None => return Ok(None),
                },
                Piece::Quoted(name) => match value_of(name, values)? {
                    Some(value) => text.push_str(&Value::from(value).to_string()),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(text))
    }

    pub(super) fn holes(&self) -> Holes {
        let names = self.0.iter().filter_map(|piece| match piece {
            Piece::Words(_) => None,
            Piece::Hole(name) | Piece::Quoted(name) | Piece::Number(name) => Some(*name),
        });
        names.collect()
    }

    pub(super) fn number(&self) -> Option<&'static str> {
        match self.0.as_slice() {
            [Piece::Number(name)] => Some(name),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// Words and placeholders in turn; a doubled brace is one of the text.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut words = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        words.push_str(before);
        if let Some(after) = brace.strip_prefix("{{") {
            words.push('{');
            rest = after;
        } else if let Some(after) = brace.strip_prefix("}}") {
            words.push('}');
            rest = after;
        } else {
            let inside = brace.strip_prefix('{').and_then(|it| it.split_once('}'));
            let (inside, after) =
                inside.ok_or("the braces do not pair; a brace of the text is written twice")?;
            if !words.is_empty() {
                pieces.push(Piece::Words(std::mem::take(&mut words)));
            }
            pieces.push(hole(inside)?);
            rest = after;
        }
    }
    words.push_str(rest);
    if !words.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Words(words));
    }
    Ok(pieces)
}

fn hole(inside: &str) -> Result<Piece, String> {
    let (name, form) = inside.split_once(':').unwrap_or((inside, ""));
    let name = known(name)?;
    match form {
        "" => Ok(Piece::Hole(name)),
        "quoted" => Ok(Piece::Quoted(name)),
        "number" => Ok(Piece::Number(name)),
        _ => Err(format!(
            "{{{inside}}} has no form that is known; write {{{name}}}, {{{name}:quoted}} or {{{name}:number}}"
        )),
    }
}

fn known(name: &str) -> Result<&'static str, String> {
    let found = HOLES.iter().find(|hole| **hole == name).copied();
    found.ok_or_else(|| {
        format!(
            "there is nothing to fill in for {{{name}}}; known are {}",
            HOLES.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn within_text_a_value_is_a_json_string() {
        let text = Text::parse("name eq {group.name:quoted} and x").unwrap();
        let text = text.fill(&[("group.name", "a\" or \"")]).unwrap().unwrap();
        assert_eq!(text, r#"name eq "a\" or \"" and x"#);
        assert_eq!(hole_of_user("title"), Some("user.title"));
        assert_eq!(hole_of_user("id"), None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_declared_or_filled_in_stays_what_it_is(text in ".{0,40}", value in ".{0,40}") {
            let values = [("group.name", value.as_str()), ("member.id", text.as_str())];
            if let Ok(read) = Text::parse(&text) {
                let _ = read.fill(&values);
            }
            let _ = Path::parse(&format!("/{text}"));
            let quoted = Text::parse("is {group.name:quoted}").unwrap();
            let quoted = quoted.fill(&values).unwrap().unwrap();
            let back: String = serde_json::from_str(quoted.strip_prefix("is ").unwrap()).unwrap();
            assert_eq!(back, value);
        }
    }

    #[test]
    fn what_could_become_syntax_is_refused_when_it_is_read() {
        for wrong in [
            "x{group.name}",
            "{group.name}{group.id}",
            "{group.name",
            "group.name}",
            "{group}",
            "{group.name:upper}",
            "{}",
        ] {
            assert!(Text::parse(wrong).is_err(), "{wrong}");
        }
        for wrong in [
            "groups",
            "/groups?name={group.name}",
            "/groups/x-{group.id}",
            "/groups/{group.id}{member.id}",
            "/groups/{group.id:quoted}",
            "/groups/{name}",
            "/groups/{group.id",
            "/../admin/users",
            "/x/%2E%2e/users",
            "/./users",
        ] {
            assert!(Path::parse(wrong).is_err(), "{wrong}");
        }
        let path = Path::parse("/groups/{group.id}/members").unwrap();
        assert_eq!(path.holes(), ["group.id"].into());
    }
}
