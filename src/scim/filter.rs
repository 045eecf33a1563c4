//! Filters (RFC 7644 section 3.4.2.2): one linear, depth-counted parser and
//! one evaluator.
//!
//! Names are resolved and values typed while parsing, so that what is wrong
//! is told with its place and evaluation cannot fail. A well-formed name that
//! no schema knows matches nothing, because clients ask for attributes that
//! a service may not hold; a strict connection refuses it.

use icu_normalizer::ComposingNormalizerBorrowed;
use serde_json::{Map, Value};

use super::{
    error::{Problem, ScimType},
    json::Limits,
    resource::ResourceType,
    schema::{Attribute, Schemas},
};

mod cursor;
mod evaluate;
mod narrow;
mod parse;
mod tree;

pub use narrow::Narrow;
use parse::{Parser, Scope};
use tree::{Node, Operator, Test};

/// A parsed filter, names resolved against the schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    tree: Node,
    of: ResourceType,
}

/// What a filter is asked about.
pub trait Subject {
    /// All attributes with `id`, `meta` and `schemas`, without `members` and
    /// `groups`.
    fn attributes(&self) -> &Map<String, Value>;
    /// Whether a group has a member, or a user is in a group, of this id in
    /// any letter case; answered by index.
    fn is_linked(&self, id: &str) -> bool;
    /// Shows the members of a group or the groups of a user, as `members` and
    /// `groups` hold them, until one will do; whether one did. Only asked by
    /// filters that no index can answer.
    fn any_link(&self, will_do: &mut dyn FnMut(&Value) -> bool) -> bool;
}

impl Filter {
    /// Parses a filter. A fault is 400 `invalidFilter` with the position.
    pub fn parse(
        text: &str,
        of: ResourceType,
        schemas: &Schemas,
        limits: &Limits,
    ) -> Result<Self, Problem> {
        Self::parse_with(text, of, schemas, limits, None)
    }

    /// Parses a filter that stands in an address, which proxies and logs see:
    /// naming `password` or one of the `sensitive` attributes is 403
    /// `sensitive` there (RFC 7644 section 7.5.2). A name stands for all of
    /// its sub-attributes, an extension's URN for all of its attributes.
    pub fn parse_in_address(
        text: &str,
        of: ResourceType,
        schemas: &Schemas,
        limits: &Limits,
        sensitive: &[String],
    ) -> Result<Self, Problem> {
        Self::parse_with(text, of, schemas, limits, Some(sensitive))
    }

    fn parse_with(
        text: &str,
        of: ResourceType,
        schemas: &Schemas,
        limits: &Limits,
        sensitive: Option<&[String]>,
    ) -> Result<Self, Problem> {
        if text.len() > limits.filter {
            return Err(Problem::bad(
                ScimType::InvalidFilter,
                format!("the filter is longer than {} bytes", limits.filter),
            ));
        }
        let kind = schemas.kind(of);
        let mut parser = Parser::new(text, 0, kind, limits, Scope::Resource);
        if let Some(names) = sensitive {
            parser = parser.guarding(names);
        }
        let tree = parser.whole()?;
        Ok(Self { tree, of })
    }

    /// Parses what stands in the brackets of a path, from the byte after `[`
    /// to the byte after `]`, which is returned. Names must be known here:
    /// a path that can never select anything is a mistake.
    pub(super) fn parse_in_path(
        path: &str,
        start: usize,
        attribute: &Attribute,
        of: ResourceType,
        schemas: &Schemas,
        limits: &Limits,
    ) -> Result<(Self, usize), Problem> {
        let kind = schemas.kind(of);
        let scope = Scope::ElementInPath(attribute);
        let mut parser = Parser::new(path, start, kind, limits, scope);
        let tree = parser.bracketed()?;
        Ok((Self { tree, of }, parser.position()))
    }

    /// Whether the subject matches.
    pub fn matches(&self, subject: &dyn Subject) -> bool {
        evaluate::resource(&self.tree, subject)
    }

    /// Whether a member matches; for the filter of a
    /// [`super::patch::MemberChange::RemoveWhere`], which is about one member.
    pub fn matches_member(&self, id: &str) -> bool {
        evaluate::member(&self.tree, id)
    }

    /// Whether one value of a multi-valued attribute matches; for the filter
    /// of a path.
    pub(super) fn matches_element(&self, element: &Value) -> bool {
        evaluate::element(&self.tree, element)
    }

    /// What an index can answer of this filter, if anything.
    pub fn narrow(&self) -> Option<Narrow> {
        narrow::best(&self.tree, self.of)
    }

    /// Whether the index of [`Self::narrow`] says it all: a bare equality that
    /// index and filter judge in the same form, so that what it finds need not
    /// be judged again.
    pub fn is_decided_by_index(&self) -> bool {
        let bare = matches!(self.tree, Node::Compare(..));
        bare && matches!(
            self.narrow(),
            Some(Narrow::UserName(_) | Narrow::ExternalId(_))
        )
    }

    /// How many comparisons it holds, which is what judging one resource costs
    /// at most.
    pub fn comparisons(&self) -> u64 {
        let (mut open, mut count) = (vec![&self.tree], 0);
        while let Some(node) = open.pop() {
            match node {
                Node::And(nodes) | Node::Or(nodes) => open.extend(nodes),
                Node::Not(inner) | Node::Each(_, inner) => open.push(inner),
                _ => count += 1,
            }
        }
        count
    }

    /// The attributes and extensions of a resource that [`Self::matches`] looks
    /// at; membership, which it asks for apart, may be among them.
    pub fn looks_at(&self) -> Vec<&str> {
        let (mut open, mut names) = (vec![&self.tree], Vec::new());
        while let Some(node) = open.pop() {
            match node {
                Node::And(nodes) | Node::Or(nodes) => open.extend(nodes),
                Node::Not(inner) => open.push(inner),
                Node::Present(target) | Node::Compare(target, _) | Node::Each(target, _) => {
                    let name = target.extension.as_ref().unwrap_or(&target.attribute);
                    if !names.contains(&name.as_str()) {
                        names.push(name);
                    }
                }
                Node::Never | Node::Linked(_) => {}
            }
        }
        names
    }

    /// The sub-attributes that the filter of a path fixes by `eq`, alone or
    /// joined by `and`; `None` when it says more than that.
    pub(super) fn equalities(&self) -> Option<Map<String, Value>> {
        let one = |node: &Node| match node {
            Node::Compare(target, test) => Some((target.attribute.clone(), test.equal_to()?)),
            _ => None,
        };
        match &self.tree {
            Node::And(nodes) => nodes.iter().map(one).collect(),
            node => one(node).map(|pair| Map::from_iter([pair])),
        }
    }

    /// The ids in `value eq ".." [or value eq ".."]`, the filter of a member.
    pub(super) fn ids(&self) -> Option<Vec<String>> {
        let one = |node: &Node| match node {
            Node::Compare(target, Test::Text(Operator::Eq, text, _))
                if target.attribute == "value" =>
            {
                Some(text.clone())
            }
            _ => None,
        };
        match &self.tree {
            Node::Or(nodes) => nodes.iter().map(one).collect(),
            node => one(node).map(|id| vec![id]),
        }
    }

    /// This filter of a path, unless it asks for another sub-attribute than the
    /// named ones, because nothing is known of it.
    pub(super) fn only_about(self, known: &[&str]) -> Result<Self, Problem> {
        let mut open = vec![&self.tree];
        while let Some(node) = open.pop() {
            let target = match node {
                Node::And(nodes) | Node::Or(nodes) => {
                    open.extend(nodes);
                    continue;
                }
                Node::Not(node) => {
                    open.push(node);
                    continue;
                }
                Node::Never | Node::Linked(_) => continue,
                Node::Present(target) | Node::Compare(target, _) | Node::Each(target, _) => target,
            };
            if !known.contains(&target.attribute.as_str()) {
                return Err(Problem::bad(
                    ScimType::InvalidFilter,
                    format!(
                        "{} is not kept here; select by {}",
                        target.attribute,
                        known.join(" or ")
                    ),
                ));
            }
        }
        Ok(self)
    }
}

/// The one comparison form of case-insensitive strings, used by storage,
/// index, filter and uniqueness alike (reliability: S-18), as RFC 8265 section
/// 3.3 prepares user names: letters of another width as those of the common
/// one, Unicode lower case, composed (NFC); the Greek final sigma as any other,
/// so that it does not depend on where in a word a letter stands.
pub fn fold_case(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let narrow: String = text.chars().map(of_common_width).collect();
    let mut folded = narrow.to_lowercase();
    if folded.contains('ς') {
        folded = folded.replace('ς', "σ");
    }
    let composed = ComposingNormalizerBorrowed::new_nfc();
    composed.normalize(&folded).into_owned()
}

/// The letter that a full-width or half-width form stands for.
fn of_common_width(letter: char) -> char {
    let compatible = match letter {
        '\u{3000}' | '\u{ff00}'..='\u{ffef}' => ComposingNormalizerBorrowed::new_nfkc(),
        _ => return letter,
    };
    let mut buffer = [0; 4];
    let mapped = compatible.normalize(letter.encode_utf8(&mut buffer));
    let mut letters = mapped.chars();
    match (letters.next(), letters.next()) {
        (Some(one), None) => one,
        _ => letter,
    }
}

#[cfg(test)]
mod tests;
