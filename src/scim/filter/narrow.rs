//! What an index can answer of a filter: equalities, and the beginning of a
//! userName, that every match must satisfy. Whoever looks them up judges what was found by the filter itself,
//! so that an index can only save work, never decide otherwise.

use super::tree::{Node, Operator, Target, Test};
use crate::scim::resource::ResourceType;

/// Resources that can match, by an indexed attribute. Texts are as the client
/// wrote them, not folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Narrow {
    /// None can: the filter asks for an attribute that this type does not have.
    Nothing,
    Id(String),
    UserName(String),
    ExternalId(String),
    /// Of groups only.
    DisplayName(String),
    Email(String),
    /// Groups with this user as a member.
    Member(String),
    /// Users in this group.
    InGroup(String),
    /// Users whose userName begins so.
    UserNamePrefix(String),
    /// Whatever one of these finds; two at least, and none of them is this.
    AnyOf(Vec<Narrow>),
}

/// Alternatives that are looked up one by one; with more of them every
/// resource is judged.
const MOST: usize = 100;

impl Narrow {
    /// The lowest selects fewest resources.
    fn rank(&self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Id(_) => 1,
            Self::UserName(_) => 2,
            Self::ExternalId(_) => 3,
            Self::Email(_) => 4,
            Self::DisplayName(_) => 5,
            Self::Member(_) => 6,
            Self::InGroup(_) => 7,
            Self::UserNamePrefix(_) => 8,
            Self::AnyOf(all) => all.iter().map(Self::rank).max().unwrap_or_default(),
        }
    }

    /// Whether at most one resource can match.
    pub fn is_point(&self) -> bool {
        self.rank() <= 5 && !matches!(self, Self::Email(_) | Self::AnyOf(_))
    }

    /// Whether few resources can match, however many there are.
    pub fn is_small(&self) -> bool {
        self.rank() <= 5 || matches!(self, Self::Member(_))
    }
}

/// The best index for a node.
pub(super) fn best(node: &Node, of: ResourceType) -> Option<Narrow> {
    match node {
        Node::Never => Some(Narrow::Nothing),
        Node::And(nodes) => {
            let found = nodes.iter().filter_map(|node| best(node, of));
            found.min_by_key(Narrow::rank)
        }
        Node::Or(nodes) => any_of(nodes, of),
        Node::Linked(id) => Some(linked(of, id)),
        Node::Each(target, inner) => {
            let text = fixed_value(inner)?;
            if target.is_core("emails") {
                return Some(Narrow::Email(text.to_owned()));
            }
            target.is_linked().then(|| linked(of, text))
        }
        Node::Compare(target, Test::Text(Operator::Eq, text, _)) => equality(target, text, of),
        Node::Compare(target, Test::Text(Operator::Sw, text, _))
            if target.is_core("userName") && of == ResourceType::User && !text.is_empty() =>
        {
            Some(Narrow::UserNamePrefix(text.clone()))
        }
        Node::Not(_) | Node::Present(_) | Node::Compare(..) => None,
    }
}

/// Every side must have an index, or it finds what no index gives.
fn any_of(nodes: &[Node], of: ResourceType) -> Option<Narrow> {
    let mut all = Vec::new();
    for node in nodes {
        match best(node, of)? {
            Narrow::Nothing => {}
            Narrow::AnyOf(more) => all.extend(more),
            one => all.push(one),
        }
        if all.len() > MOST {
            return None;
        }
    }
    match all.len() {
        0 => Some(Narrow::Nothing),
        1 => all.pop(),
        _ => Some(Narrow::AnyOf(all)),
    }
}

fn linked(of: ResourceType, id: &str) -> Narrow {
    match of {
        ResourceType::Group => Narrow::Member(id.to_owned()),
        ResourceType::User => Narrow::InGroup(id.to_owned()),
    }
}

/// The `value` that brackets demand, alone or joined by `and`.
fn fixed_value(inner: &Node) -> Option<&str> {
    let value = |node: &'_ Node| matches!(node, Node::Compare(target, Test::Text(Operator::Eq, ..)) if target.attribute == "value");
    let found = match inner {
        Node::And(nodes) => nodes.iter().find(|node| value(node)),
        node => Some(node).filter(|node| value(node)),
    };
    match found? {
        Node::Compare(_, Test::Text(_, text, _)) => Some(text),
        _ => None,
    }
}

fn equality(target: &Target, text: &str, of: ResourceType) -> Option<Narrow> {
    if target.extension.is_some() {
        return None;
    }
    let text = text.to_owned();
    match (target.attribute.as_str(), target.sub.as_deref(), of) {
        ("id", None, _) => Some(Narrow::Id(text)),
        ("userName", None, ResourceType::User) => Some(Narrow::UserName(text)),
        ("externalId", None, _) => Some(Narrow::ExternalId(text)),
        ("emails", Some("value"), ResourceType::User) => Some(Narrow::Email(text)),
        ("displayName", None, ResourceType::Group) => Some(Narrow::DisplayName(text)),
        _ => None,
    }
}
