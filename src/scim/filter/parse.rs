//! The filter grammar (RFC 7644 figure 1), by recursive descent with a
//! counted depth; every byte is looked at a bounded number of times.
//!
//! Wider than the grammar where clients are: more than one space, spaces
//! inside parentheses, and where it is not strict a sub-attribute or `pr`
//! after a value path, quoted booleans, names that no schema knows and names
//! of an extension without its URN. An unquoted text is refused, because it
//! cannot be told from a mistake.

use super::{
    cursor::Cursor,
    tree::{Node, Operator, Test},
};
use crate::scim::{
    error::Problem,
    json::Limits,
    schema::{Attribute, Kind, Type},
};

mod names;
mod values;

use names::Name;

/// What names in a part of a filter mean.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope<'a> {
    Resource,
    /// The sub-attributes of a multi-valued attribute, in brackets.
    Element(&'a Attribute),
    /// The same in a path, where an unknown name is refused.
    ElementInPath(&'a Attribute),
    /// The brackets of an unknown attribute.
    Unknown,
}

pub(super) struct Parser<'a> {
    cursor: Cursor<'a>,
    kind: &'a Kind,
    depth: usize,
    most: usize,
    strict: bool,
    scope: Scope<'a>,
    /// What must not be named, when the filter stands in an address.
    guarded: Option<&'a [String]>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(
        text: &'a str,
        at: usize,
        kind: &'a Kind,
        limits: &Limits,
        scope: Scope<'a>,
    ) -> Self {
        Self {
            cursor: Cursor::new(text, at),
            kind,
            depth: 0,
            most: limits.filter_depth,
            strict: limits.strict,
            scope,
            guarded: None,
        }
    }

    /// For a filter in an address, which others may see: it must name neither
    /// what is secret nor any of these attributes (RFC 7644 section 7.5.2).
    pub(super) fn guarding(self, names: &'a [String]) -> Self {
        Self {
            guarded: Some(names),
            ..self
        }
    }

    pub(super) fn position(&self) -> usize {
        self.cursor.at
    }

    #[cfg(test)]
    pub(super) fn looked(&self) -> usize {
        self.cursor.looked
    }

    pub(super) fn whole(&mut self) -> Result<Node, Problem> {
        let node = self.any_of()?;
        match self.cursor.peek() {
            None => Ok(node),
            Some(_) => Err(self.cursor.fault("expected `and`, `or` or the end here")),
        }
    }

    /// The inside of brackets and the closing one.
    pub(super) fn bracketed(&mut self) -> Result<Node, Problem> {
        let node = self.any_of()?;
        if !self.cursor.eat(b']') {
            return Err(self.cursor.fault("expected `and`, `or` or `]` here"));
        }
        Ok(node)
    }

    fn any_of(&mut self) -> Result<Node, Problem> {
        let first = self.all_of()?;
        if !self.cursor.eat_word("or") {
            return Ok(first);
        }
        let mut nodes = vec![first, self.all_of()?];
        while self.cursor.eat_word("or") {
            nodes.push(self.all_of()?);
        }
        Ok(Node::Or(nodes))
    }

    fn all_of(&mut self) -> Result<Node, Problem> {
        let first = self.term()?;
        if !self.cursor.eat_word("and") {
            return Ok(first);
        }
        let mut nodes = vec![first, self.term()?];
        while self.cursor.eat_word("and") {
            nodes.push(self.term()?);
        }
        Ok(Node::And(nodes))
    }

    fn term(&mut self) -> Result<Node, Problem> {
        self.cursor.skip_spaces();
        if self.cursor.eat(b'(') {
            return self.grouped();
        }
        let start = self.cursor.at;
        if self.cursor.eat_word("not") {
            self.cursor.skip_spaces();
            if self.cursor.eat(b'(') {
                return Ok(Node::Not(Box::new(self.grouped()?)));
            }
            self.cursor.at = start;
        }
        self.expression()
    }

    fn grouped(&mut self) -> Result<Node, Problem> {
        self.enter()?;
        let node = self.any_of()?;
        if !self.cursor.eat(b')') {
            return Err(self.cursor.fault("expected `and`, `or` or `)` here"));
        }
        self.depth -= 1;
        Ok(node)
    }

    fn expression(&mut self) -> Result<Node, Problem> {
        let start = self.cursor.at;
        let written = self.cursor.name();
        if written.is_empty() {
            return Err(self
                .cursor
                .fault("expected an attribute name, `not (` or `(` here"));
        }
        let name = self.resolve(written, start)?;
        let end = self.cursor.at;
        if self.cursor.peek() == Some(b'[') {
            return self.value_path(name, start);
        }
        self.cursor.at = end;
        self.comparison(name)
    }

    fn value_path(&mut self, name: Name<'a>, start: usize) -> Result<Node, Problem> {
        if !matches!(self.scope, Scope::Resource) {
            return Err(self.cursor.fault("brackets cannot stand inside brackets"));
        }
        let scope = match &name {
            Name::Known(target, attribute)
                if target.sub.is_none() && (attribute.multi || attribute.kind == Type::Complex) =>
            {
                Scope::Element(attribute)
            }
            Name::Unknown => Scope::Unknown,
            _ => {
                let why = "brackets need a complex or multi-valued attribute before them";
                return Err(self.cursor.fault_at(start, why));
            }
        };
        self.cursor.at += 1;
        self.enter()?;
        self.scope = scope;
        let mut inner = self.bracketed()?;
        if !self.strict {
            inner = self.after_brackets(inner)?;
        }
        self.scope = Scope::Resource;
        self.depth -= 1;
        let Name::Known(target, _) = name else {
            return Ok(Node::Never);
        };
        if target.is_linked()
            && let Some(found) = linked(&inner)
        {
            return Ok(found);
        }
        Ok(Node::Each(target, Box::new(flat(inner))))
    }

    /// What the grammar has in paths only: a sub-attribute after the brackets,
    /// or `pr`, which asks no more than the brackets do.
    fn after_brackets(&mut self, inner: Node) -> Result<Node, Problem> {
        if self.cursor.eat_exactly(b'.') {
            let at = self.cursor.at;
            let written = self.cursor.name();
            let sub = self.resolve(written, at)?;
            let rest = self.comparison(sub)?;
            return Ok(Node::And(vec![inner, rest]));
        }
        self.cursor.eat_word("pr");
        Ok(inner)
    }

    /// The operator and value after a name.
    fn comparison(&mut self, name: Name<'a>) -> Result<Node, Problem> {
        if !self.cursor.on_space() {
            return Err(self.cursor.fault("expected a space and an operator here"));
        }
        self.cursor.skip_spaces();
        let start = self.cursor.at;
        let word = self.cursor.take_while(|b| b.is_ascii_alphanumeric());
        if word.eq_ignore_ascii_case("pr") {
            return match name {
                Name::Known(target, _) | Name::Extension(target) => Ok(Node::Present(target)),
                Name::Unknown => Ok(Node::Never),
            };
        }
        let Some(operator) = operator(word) else {
            let why = "expected an operator here: eq, ne, co, sw, ew, pr, gt, ge, lt or le";
            return Err(self.cursor.fault_at(start, why));
        };
        if !self.cursor.on_space() {
            return Err(self.cursor.fault("expected a space and a value here"));
        }
        self.cursor.skip_spaces();
        let value_at = self.cursor.at;
        let literal = self.cursor.literal()?;
        match name {
            Name::Unknown => Ok(Node::Never),
            Name::Extension(_) => Err(self
                .cursor
                .fault_at(start, "of an extension's URN only pr can be asked")),
            Name::Known(target, attribute) => {
                self.typed(target, attribute, operator, literal, (start, value_at))
            }
        }
    }

    fn enter(&mut self) -> Result<(), Problem> {
        self.depth += 1;
        if self.depth > self.most {
            let why = format!(
                "parentheses and brackets are nested deeper than {}",
                self.most
            );
            return Err(self.cursor.fault(&why));
        }
        Ok(())
    }
}

fn operator(word: &str) -> Option<Operator> {
    const NAMES: [(&str, Operator); 9] = [
        ("eq", Operator::Eq),
        ("ne", Operator::Ne),
        ("co", Operator::Co),
        ("sw", Operator::Sw),
        ("ew", Operator::Ew),
        ("gt", Operator::Gt),
        ("ge", Operator::Ge),
        ("lt", Operator::Lt),
        ("le", Operator::Le),
    ];
    let mut names = NAMES.into_iter();
    names.find_map(|(name, operator)| name.eq_ignore_ascii_case(word).then_some(operator))
}

/// An `and` of `and`s as one, so that its equalities are seen.
fn flat(node: Node) -> Node {
    let Node::And(nodes) = node else { return node };
    let parts = nodes.into_iter().flat_map(|node| match node {
        Node::And(inner) => inner,
        node => vec![node],
    });
    Node::And(parts.collect())
}

/// What brackets after `members` or `groups` ask, if the index can answer it.
fn linked(inner: &Node) -> Option<Node> {
    match inner {
        Node::Compare(target, Test::Text(Operator::Eq, id, _)) if target.attribute == "value" => {
            Some(Node::Linked(id.clone()))
        }
        Node::Or(nodes) => Some(Node::Or(nodes.iter().map(linked).collect::<Option<_>>()?)),
        _ => None,
    }
}
