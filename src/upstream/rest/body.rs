//! Bodies of requests as a configuration writes them: JSON whose texts may hold
//! placeholders (`template`), and lists of one entry that stand for one entry
//! for each member; a list within which such a list stands is one of its own. Filling one in makes JSON values and never text, so nothing
//! that is filled in can become more than the value it is.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Map, Value};

use super::template::{Holes, Text, Values};

/// What is filled in of each member.
pub(super) type Told = Vec<(&'static str, String)>;

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
        members: &[Told],
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
                    if only.repeats() {
                        return Err("two lists within each other would both have an entry for each member; name a member in one of them alone".into());
                    }
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
    fn fill(&self, values: &Values<'_>, members: &[Told]) -> Result<Option<Value>, String> {
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

    /// By itself, and not in a list with an entry for each.
    fn speaks_of_members(&self) -> bool {
        self.holes(false).iter().any(|hole| is_of_member(hole))
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

/// The number that is spelled so: `007` is another id than 7.
fn number(name: &str, text: &str) -> Result<Value, String> {
    let number = text.parse::<i64>().map(Value::from);
    let number = number.or_else(|_| text.parse::<u64>().map(Value::from));
    let number = number
        .ok()
        .filter(|number| number.to_string().as_str() == text);
    number.ok_or_else(|| format!("what is known for {{{name}}} is no number"))
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
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_filled_in_stays_what_it_is(value in ".{0,40}") {
            let values = [("group.name", value.as_str())];
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
        for odd in ["one", "007", "+7", "-0", "18446744073709551616", "1.0"] {
            assert!(
                filled(json!(["{member.id:number}"]), &[odd]).is_err(),
                "{odd}"
            );
        }
        let long = filled(json!(["{member.id:number}"]), &["12345678901234567890"]);
        assert_eq!(long, Ok(Some(json!([12_345_678_901_234_567_890_u64]))));
    }

    #[test]
    fn of_lists_within_lists_the_inner_one_is_of_members() {
        let body =
            json!({ "Operations": [{ "op": "add", "value": [{ "value": "{member.id}" }] }] });
        let now = filled(body, &["1", "2"]).unwrap().unwrap();
        let value = json!([{ "value": "1" }, { "value": "2" }]);
        assert_eq!(
            now,
            json!({ "Operations": [{ "op": "add", "value": value }] })
        );
        let both = json!([{ "id": "{member.id}", "all": ["{member.id}"] }]);
        assert!(filled(both, &["1"]).is_err());
    }

    #[test]
    fn what_is_not_known_of_a_new_account_is_left_out() {
        let body = Body::parse(&json!({ "t": "{user.title}", "a": "{user.account}" })).unwrap();
        let now = body.fill(&[("user.account", "ann")], &[]).unwrap().unwrap();
        assert_eq!(now, json!({ "a": "ann" }));
        assert!(body.fill(&[("user.title", "x")], &[]).is_err());
    }
}
