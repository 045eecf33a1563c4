//! What a configuration says about requests, as types: paths and texts with
//! placeholders in braces (bodies are in `body`). A value never becomes syntax:
//! in a path it is a whole segment and percent-encoded (RFC 3986), in a query or
//! a body it stands alone or, within text, in a form that ends where the text says:
//! `{so:quoted}`, a JSON string (RFC 8259 section 7) of a filter; `{so:odata}`, what is
//! between the single quotes of one (OData); `{so:segment}`, a segment of an address. Reading one names what is wrong; filling one in cannot
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
    /// Within single quotes, which are doubled in it.
    Odata(&'static str),
    /// Between two "/" of an address.
    Segment(&'static str),
    /// A JSON number; in bodies, and alone.
    Number(&'static str),
}

impl Piece {
    fn name(&self) -> Option<&'static str> {
        match self {
            Self::Words(_) => None,
            Self::Hole(name)
            | Self::Quoted(name)
            | Self::Odata(name)
            | Self::Segment(name)
            | Self::Number(name) => Some(name),
        }
    }
}

/// What stands before and after a placeholder within text.
struct Around<'a> {
    before: &'a str,
    after: &'a str,
    /// So many single quotes are before it.
    quotes: usize,
}

impl Around<'_> {
    fn is_in_address(&self) -> bool {
        let word = self.before.rsplit(char::is_whitespace).next();
        self.before.ends_with('/') || word.is_some_and(|word| word.contains("://"))
    }

    /// Whether it is all of a segment of an address, or of a value of its query.
    fn is_part(&self) -> bool {
        let ends = |by: &[char]| self.after.is_empty() || self.after.starts_with(by);
        match self.before.chars().next_back() {
            Some('/') => ends(&['/', '?', '#']),
            Some('=') => self.is_in_address() && ends(&['&', '#']),
            _ => false,
        }
    }

    /// Why a placeholder cannot stand here, with the form that can.
    fn problem(&self, piece: &Piece) -> Option<String> {
        let name = piece.name()?;
        let in_quotes = !self.quotes.is_multiple_of(2) && self.after.contains('\'');
        let form = match self.before.chars().next_back() {
            _ if self.is_in_address() => {
                format!("write {{{name}:segment}}, all that is between two \"/\"")
            }
            Some('\'') => format!("write '{{{name}:odata}}', in which single quotes are doubled"),
            Some('"') => format!("write {{{name}:quoted}} without the quotes around it"),
            _ => format!("write {{{name}:quoted}}, which is escaped, or let it stand alone"),
        };
        let why = match piece {
            Piece::Hole(_) | Piece::Number(_) => {
                "stands within text, where it could be read as more than a value"
            }
            Piece::Quoted(_) if self.is_in_address() => {
                "stands within an address, which its quotes would be part of"
            }
            Piece::Quoted(_) if self.before.ends_with(['\'', '"']) => {
                "brings quotes of its own, and stands within others"
            }
            Piece::Odata(_) if self.is_in_address() => {
                "stands within an address, where it could be read as more than a value"
            }
            Piece::Odata(_) if !in_quotes => {
                return Some(format!(
                    "{{{name}:odata}} does not stand between single quotes: write '{{{name}:odata}}'"
                ));
            }
            Piece::Segment(_) if !self.is_part() => {
                return Some(format!(
                    "{{{name}:segment}} is no whole segment of an address: let it be all between two \"/\", or from the last one to the end"
                ));
            }
            _ => return None,
        };
        Some(format!("{{{name}}} {why}; {form}"))
    }
}

impl Text {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let pieces = pieces(text)?;
        if let [Piece::Odata(name) | Piece::Segment(name)] = pieces.as_slice() {
            return Err(format!(
                "{{{name}}} stands alone, where no form is needed: write {{{name}}}"
            ));
        }
        let mut quotes = 0;
        for (at, piece) in pieces.iter().enumerate().filter(|_| pieces.len() > 1) {
            let words = |it: Option<&Piece>| match it {
                Some(Piece::Words(words)) => words.clone(),
                _ => String::new(),
            };
            quotes += words(Some(piece)).matches('\'').count();
            let (before, after) = (
                words(at.checked_sub(1).and_then(|at| pieces.get(at))),
                words(pieces.get(at + 1)),
            );
            let around = Around {
                before: &before,
                after: &after,
                quotes,
            };
            if let Some(problem) = around.problem(piece) {
                return Err(problem);
            }
        }
        Ok(Self(pieces))
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
                Piece::Odata(name) => match value_of(name, values)? {
                    Some(value) => text.push_str(&value.replace('\'', "''")),
                    None => return Ok(None),
                },
                Piece::Segment(name) => match value_of(name, values)? {
                    Some(value @ ("" | "." | "..")) => {
                        return Err(format!("{value:?} cannot be addressed as {{{name}}}"));
                    }
                    Some(value) => client::encode(value, &mut text),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(text))
    }

    pub(super) fn holes(&self) -> Holes {
        self.0.iter().filter_map(Piece::name).collect()
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
        "odata" => Ok(Piece::Odata(name)),
        "segment" => Ok(Piece::Segment(name)),
        "number" => Ok(Piece::Number(name)),
        _ => Err(format!(
            "{{{inside}}} has no form that is known; write {{{name}}}, {{{name}:quoted}}, {{{name}:odata}}, {{{name}:segment}} or {{{name}:number}}"
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

    #[test]
    fn an_address_and_a_filter_of_odata_hold_a_value_and_no_more() {
        let filled = |text: &str, value: &str| {
            let values = [("member.id", value), ("user.account", value)];
            Text::parse(text).unwrap().fill(&values).map(Option::unwrap)
        };
        let address = "https://graph.example/v1.0/directoryObjects/{member.id:segment}";
        assert_eq!(
            filled(address, "8a/../é?").unwrap(),
            "https://graph.example/v1.0/directoryObjects/8a%2F..%2F%C3%A9%3F"
        );
        for odd in ["", ".", ".."] {
            assert!(filled(address, odd).is_err(), "{odd:?}");
        }
        assert_eq!(
            filled(
                "mail eq '{user.account:odata}' and on eq true",
                "o'x' or '1"
            )
            .unwrap(),
            "mail eq 'o''x'' or ''1' and on eq true"
        );
        assert_eq!(filled("/a/{member.id:segment}/b", "7").unwrap(), "/a/7/b");
        assert_eq!(
            filled("https://x/a?id={member.id:segment}&b=1", "7&c").unwrap(),
            "https://x/a?id=7%26c&b=1"
        );
        assert_eq!(
            filled("of \"https://x\" don't {member.id:quoted}", "7").unwrap(),
            "of \"https://x\" don't \"7\""
        );
    }

    #[test]
    fn the_form_that_is_proposed_is_the_one_that_can_be_sent() {
        let told = |text: &str| Text::parse(text).unwrap_err();
        for (text, form) in [
            ("https://x.example/users/{member.id}", "{member.id:segment}"),
            (
                "https://x.example/users/{member.id:quoted}",
                "{member.id:segment}",
            ),
            ("mail eq '{user.account}'", "{user.account:odata}"),
            ("mail eq '{user.account:quoted}'", "{user.account:odata}"),
            ("mail eq {user.account}", "{user.account:quoted}"),
            (
                "mail eq \"{user.account}\"",
                "{user.account:quoted} without",
            ),
            (
                "mail eq \"{user.account:quoted}\"",
                "{user.account:quoted} without",
            ),
            (
                "https://x/users('{member.id:odata}')",
                "{member.id:segment}",
            ),
            ("mail eq {user.account:odata}", "'{user.account:odata}'"),
            ("mail eq 'x{user.account:odata}", "'{user.account:odata}'"),
            ("x-{member.id:segment}", "whole segment"),
            ("https://x/{member.id:segment}.json", "whole segment"),
            ("{member.id:segment}", "write {member.id}"),
            ("{member.id:odata}", "write {member.id}"),
        ] {
            let told = told(text);
            assert!(told.contains(form), "{text}: {told}");
            assert!(
                !told.contains(":quoted") || form.contains(":quoted"),
                "{told}"
            );
        }
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
            let literal = Text::parse("is '{group.name:odata}'").unwrap();
            let literal = literal.fill(&values).unwrap().unwrap();
            let inside = literal.strip_prefix("is '").unwrap().strip_suffix('\'').unwrap();
            assert_eq!(inside.replace("''", ""), value.replace('\'', ""));
            assert_eq!(inside.replace("''", "'"), value);
            let segment = Text::parse("/x/{group.name:segment}").unwrap();
            if let Ok(Some(segment)) = segment.fill(&values) {
                assert_eq!(segment.matches('/').count(), 2);
            }
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
