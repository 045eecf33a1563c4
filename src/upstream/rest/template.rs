//! What a configuration says about requests, as types: paths, texts and bodies
//! with placeholders in braces. A value never becomes syntax: in a path it is a
//! whole segment and percent-encoded (RFC 3986), in a query or a body it stands
//! alone or, `{so:quoted}`, as a JSON string (RFC 8259 section 7) within a
//! filter. Reading one names what is wrong; filling one in cannot go wrong but
//! for a value that is not there.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Map, Value};

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
    fn parse(text: &str) -> Result<Self, String> {
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

    fn number(&self) -> Option<&'static str> {
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

/// A JSON body.
#[derive(Debug, Clone, PartialEq)]
pub struct Body(Node);

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Plain(Value),
    Text(Text),
    List(Vec<Node>),
    /// A list of one entry that speaks of a member: one for each.
    Each(Box<Node>),
    Table(Vec<(String, Node)>),
}

impl Body {
    fn parse(value: &Value) -> Result<Self, String> {
        node(value).map(Self)
    }

    /// `None` where nothing is known of all that it would hold.
    pub(super) fn fill(
        &self,
        values: &Values<'_>,
        members: &[Vec<(&'static str, String)>],
    ) -> Result<Option<Value>, String> {
        self.0.fill(values, members)
    }

    pub(super) fn holes(&self) -> Holes {
        self.0.holes(true)
    }

    /// Those that stand outside a list with an entry for each member.
    pub(super) fn single_holes(&self) -> Holes {
        self.0.holes(false)
    }

    pub(super) fn has_list_of_members(&self) -> bool {
        self.0.repeats()
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&Value::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// As deep as the configuration, which its own reader bounds.
fn node(value: &Value) -> Result<Node, String> {
    Ok(match value {
        Value::String(text) => Node::Text(Text::parse(text)?),
        Value::Array(list) => {
            let mut nodes = list.iter().map(node).collect::<Result<Vec<_>, _>>()?;
            match nodes.pop() {
                Some(only) if nodes.is_empty() && only.speaks_of_members() => {
                    Node::Each(Box::new(only))
                }
                last => {
                    nodes.extend(last);
                    Node::List(nodes)
                }
            }
        }
        Value::Object(table) => {
            if table.keys().any(|key| key.starts_with("$__toml")) {
                return Err("JSON has no dates; write it as text in double quotes".into());
            }
            let entries = table.iter();
            let entries = entries.map(|(key, value)| Ok((key.clone(), node(value)?)));
            Node::Table(entries.collect::<Result<_, String>>()?)
        }
        plain => Node::Plain(plain.clone()),
    })
}

impl Node {
    fn fill(
        &self,
        values: &Values<'_>,
        members: &[Vec<(&'static str, String)>],
    ) -> Result<Option<Value>, String> {
        match self {
            Self::Plain(value) => Ok(Some(value.clone())),
            Self::Text(text) => match (text.number(), text.fill(values)?) {
                (Some(name), Some(text)) => number(name, &text).map(Some),
                (_, text) => Ok(text.map(Value::from)),
            },
            Self::List(nodes) => {
                let filled = nodes.iter().map(|node| node.fill(values, members));
                let filled = filled.collect::<Result<Vec<_>, _>>()?;
                Ok(Some(filled.into_iter().flatten().collect()))
            }
            Self::Each(node) => {
                let mut list = Vec::with_capacity(members.len());
                for member in members {
                    let mut all = values.to_vec();
                    all.extend(member.iter().map(|(hole, value)| (*hole, value.as_str())));
                    list.extend(node.fill(&all, members)?);
                }
                Ok(Some(list.into()))
            }
            Self::Table(entries) => {
                let mut table = Map::new();
                for (key, node) in entries {
                    if let Some(value) = node.fill(values, members)? {
                        table.insert(key.clone(), value);
                    }
                }
                Ok(Some(table.into()))
            }
        }
    }

    fn holes(&self, each: bool) -> Holes {
        match self {
            Self::Text(text) => text.holes(),
            Self::List(nodes) => nodes.iter().flat_map(|node| node.holes(each)).collect(),
            Self::Each(node) if each => node.holes(each),
            Self::Plain(_) | Self::Each(_) => Holes::new(),
            Self::Table(entries) => {
                let nodes = entries.iter();
                nodes.flat_map(|(_, node)| node.holes(each)).collect()
            }
        }
    }

    fn speaks_of_members(&self) -> bool {
        self.holes(true).iter().any(|hole| is_of_member(hole))
    }

    fn repeats(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Text(_) => false,
            Self::List(nodes) => nodes.iter().any(Self::repeats),
            Self::Each(_) => true,
            Self::Table(entries) => entries.iter().any(|(_, node)| node.repeats()),
        }
    }
}

pub(super) fn is_of_member(hole: &str) -> bool {
    hole.starts_with("member.")
}

fn number(name: &str, text: &str) -> Result<Value, String> {
    let number = text.parse::<i64>().map(Value::from);
    number.map_err(|_| format!("what is known for {{{name}}} is no number"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn filled(body: Value, members: &[&str]) -> Result<Option<Value>, String> {
        let values = [("group.name", "a\"b"), ("group.id", "7")];
        let members = members
            .iter()
            .map(|id| vec![("member.id", (*id).to_owned())]);
        let members: Vec<_> = members.collect();
        Body::parse(&body)?.fill(&values, &members)
    }

    #[test]
    fn a_value_is_a_value_whatever_it_holds() {
        let body =
            json!({ "name": "{group.name}", "id": "{group.id:number}", "n": 5, "b": "{{x}}" });
        let now = filled(body, &[]).unwrap().unwrap();
        assert_eq!(now, json!({ "name": "a\"b", "id": 7, "n": 5, "b": "{x}" }));
        let text = Text::parse("name eq {group.name:quoted} and x").unwrap();
        let text = text.fill(&[("group.name", "a\" or \"")]).unwrap().unwrap();
        assert_eq!(text, r#"name eq "a\" or \"" and x"#);
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
            let body = Body::parse(&json!({ "a": "{group.name}" })).unwrap();
            let body = body.fill(&values, &[]).unwrap().unwrap();
            assert_eq!(body, json!({ "a": value }));
        }
    }

    #[test]
    fn a_list_of_one_member_is_one_of_all() {
        let body = json!({ "add": [{ "id": "{member.id}", "in": "{group.id}" }], "x": ["y"] });
        let now = filled(body, &["1", "2"]).unwrap().unwrap();
        let add = json!([{ "id": "1", "in": "7" }, { "id": "2", "in": "7" }]);
        assert_eq!(now, json!({ "add": add, "x": ["y"] }));
        assert_eq!(
            filled(json!(["{member.id}"]), &[]).unwrap(),
            Some(json!([]))
        );
        assert!(
            filled(json!(["{member.account}"]), &["1"]).is_err(),
            "never left out"
        );
        assert!(filled(json!(["{member.id:number}"]), &["one"]).is_err());
    }

    #[test]
    fn what_is_not_known_of_a_new_account_is_left_out() {
        let body = Body::parse(&json!({ "t": "{user.title}", "a": "{user.account}" })).unwrap();
        let now = body.fill(&[("user.account", "ann")], &[]).unwrap().unwrap();
        assert_eq!(now, json!({ "a": "ann" }));
        assert!(body.fill(&[("user.title", "x")], &[]).is_err());
        assert_eq!(hole_of_user("title"), Some("user.title"));
        assert_eq!(hole_of_user("id"), None);
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
        ] {
            assert!(Path::parse(wrong).is_err(), "{wrong}");
        }
        let path = Path::parse("/groups/{group.id}/members").unwrap();
        assert_eq!(path.holes(), ["group.id"].into());
    }
}
