//! The filter grammar (RFC 7644 figure 1), by recursive descent with a
//! counted depth; every byte is looked at a bounded number of times.
//!
//! Wider than the grammar where clients are: more than one space, spaces
//! inside parentheses, a sub-attribute or `pr` after a value path, quoted
//! booleans. An unquoted text is refused, because it cannot be told from a
//! mistake.

use super::{
    cursor::{Cursor, Literal},
    fold_case,
    tree::{Node, Operator, Target, Test},
};
use crate::scim::{
    error::{Problem, ScimType},
    json::quoted,
    schema::{Attribute, Kind, Mutability, Named, Type},
};

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
    scope: Scope<'a>,
}

/// An attribute as a filter names it.
enum Name<'a> {
    Known(Target, &'a Attribute),
    /// An extension's URN: only its presence can be asked.
    Extension(Target),
    Unknown,
}

impl<'a> Parser<'a> {
    pub(super) fn new(
        text: &'a str,
        at: usize,
        kind: &'a Kind,
        most: usize,
        scope: Scope<'a>,
    ) -> Self {
        Self {
            cursor: Cursor::new(text, at),
            kind,
            depth: 0,
            most,
            scope,
        }
    }

    pub(super) fn position(&self) -> usize {
        self.cursor.at
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
        let mut nodes = vec![first];
        while self.cursor.eat_word("or") {
            nodes.push(self.all_of()?);
        }
        Ok(one_or(nodes, Node::Or))
    }

    fn all_of(&mut self) -> Result<Node, Problem> {
        let first = self.term()?;
        let mut nodes = vec![first];
        while self.cursor.eat_word("and") {
            nodes.push(self.term()?);
        }
        Ok(one_or(nodes, Node::And))
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
            Name::Known(target, attribute) if target.sub.is_none() && attribute.multi => {
                Scope::Element(attribute)
            }
            Name::Unknown => Scope::Unknown,
            _ => {
                let why = "brackets need a multi-valued attribute before them";
                return Err(self.cursor.fault_at(start, why));
            }
        };
        self.cursor.at += 1;
        self.enter()?;
        self.scope = scope;
        let mut inner = self.bracketed()?;
        if self.cursor.eat_exactly(b'.') {
            let at = self.cursor.at;
            let written = self.cursor.name();
            let sub = self.resolve(written, at)?;
            let rest = self.comparison(sub)?;
            inner = Node::And(vec![inner, rest]);
        } else if self.cursor.eat_word("pr") {
            // The brackets alone already ask for a value that matches.
        }
        self.scope = Scope::Resource;
        self.depth -= 1;
        let Name::Known(target, _) = name else {
            return Ok(Node::Never);
        };
        if target.is_core("members")
            && let Some(found) = members(&inner)
        {
            return Ok(found);
        }
        Ok(Node::Each(target, Box::new(flat(inner))))
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

    /// The comparison, if the attribute's type allows it.
    fn typed(
        &self,
        mut target: Target,
        mut attribute: &'a Attribute,
        operator: Operator,
        literal: Literal,
        (operator_at, value_at): (usize, usize),
    ) -> Result<Node, Problem> {
        if matches!(literal, Literal::Null) {
            let present = Node::Present(target);
            return match operator {
                Operator::Eq => Ok(Node::Not(Box::new(present))),
                Operator::Ne => Ok(present),
                _ => Err(self
                    .cursor
                    .fault_at(operator_at, "null can only be compared with eq or ne")),
            };
        }
        if attribute.kind == Type::Complex {
            let Some(value) = attribute.sub("value") else {
                let why = "this attribute is complex; compare one of its sub-attributes";
                return Err(self.cursor.fault_at(operator_at, why));
            };
            target.sub = Some(value.name.clone());
            attribute = value;
        }
        let ordered = !matches!(operator, Operator::Eq | Operator::Ne);
        let part = matches!(operator, Operator::Co | Operator::Sw | Operator::Ew);
        let test = match (attribute.kind, literal) {
            (Type::Boolean | Type::Binary, _) if ordered => {
                let why = "this attribute can only be compared with eq or ne";
                return Err(self.cursor.fault_at(operator_at, why));
            }
            (Type::Decimal | Type::Integer, _) if part => {
                let why = "a number has no parts; use eq, ne, gt, ge, lt or le";
                return Err(self.cursor.fault_at(operator_at, why));
            }
            (Type::Boolean, Literal::Flag(flag)) => Test::Flag(operator, flag),
            (Type::Boolean, Literal::Text(text)) if text.eq_ignore_ascii_case("true") => {
                Test::Flag(operator, true)
            }
            (Type::Boolean, Literal::Text(text)) if text.eq_ignore_ascii_case("false") => {
                Test::Flag(operator, false)
            }
            (Type::Decimal | Type::Integer, Literal::Number(number)) => {
                Test::Number(operator, number)
            }
            (Type::DateTime, Literal::Text(text)) if !part => match text.parse() {
                Ok(instant) => Test::Instant(operator, instant),
                Err(_) => return Err(self.expected(attribute, value_at)),
            },
            (
                Type::String | Type::Reference | Type::Binary | Type::DateTime,
                Literal::Text(text),
            ) => {
                let folded = (!attribute.case_exact).then(|| fold_case(&text));
                Test::Text(operator, text, folded)
            }
            _ => return Err(self.expected(attribute, value_at)),
        };
        match test {
            Test::Text(Operator::Eq, text, _)
                if target.is_core("members") && target.sub.as_deref() == Some("value") =>
            {
                Ok(Node::HasMember(text))
            }
            test => Ok(Node::Compare(target, test)),
        }
    }

    fn expected(&self, attribute: &Attribute, at: usize) -> Problem {
        let single = Attribute {
            multi: false,
            sub: Vec::new(),
            ..attribute.clone()
        };
        let why = format!("{} is compared with {}", attribute.name, single.expects());
        self.cursor.fault_at(at, &why)
    }

    fn resolve(&self, written: &str, at: usize) -> Result<Name<'a>, Problem> {
        let target = |extension: Option<&str>, attribute: &str, sub: Option<&Attribute>| Target {
            extension: extension.map(Into::into),
            attribute: attribute.into(),
            sub: sub.map(|sub| sub.name.clone()),
        };
        let (element, strict) = match self.scope {
            Scope::Resource => {
                return match self.kind.resolve(written) {
                    Named::Attribute { attribute, sub, .. }
                        if [Some(attribute), sub].into_iter().flatten().any(is_secret) =>
                    {
                        Err(Problem {
                            status: 403,
                            scim_type: Some(ScimType::Sensitive),
                            detail: format!("{} cannot be used in a filter", attribute.name),
                        })
                    }
                    Named::Attribute {
                        extension,
                        attribute,
                        sub,
                    } => Ok(Name::Known(
                        target(extension, &attribute.name, sub),
                        sub.unwrap_or(attribute),
                    )),
                    Named::Extension(extension) => {
                        Ok(Name::Extension(target(None, &extension.urn, None)))
                    }
                    Named::Unknown => Ok(Name::Unknown),
                    Named::Core | Named::Malformed => Err(self.no_name(written, at)),
                };
            }
            Scope::Element(attribute) => (Some(attribute), false),
            Scope::ElementInPath(attribute) => (Some(attribute), true),
            Scope::Unknown => (None, false),
        };
        if !is_plain_name(written) {
            return Err(self.no_name(written, at));
        }
        let found = element.and_then(|element| match element.sub(written) {
            None if element.sub.is_empty() && written.eq_ignore_ascii_case("value") => {
                Some(Name::Known(target(None, "value", None), element))
            }
            None => None,
            Some(sub) => Some(Name::Known(target(None, &sub.name, None), sub)),
        });
        match (found, element) {
            (Some(name), _) => Ok(name),
            (None, Some(element)) if strict => Err(Problem::bad(
                ScimType::InvalidPath,
                format!(
                    "{} has no sub-attribute {} (at character {})",
                    element.name,
                    quoted(written),
                    self.cursor.character(at)
                ),
            )),
            (None, _) => Ok(Name::Unknown),
        }
    }

    fn no_name(&self, written: &str, at: usize) -> Problem {
        self.cursor
            .fault_at(at, &format!("{} is no attribute name", quoted(written)))
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

fn is_plain_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$') && !name.contains(['.', ':'])
}

fn is_secret(attribute: &Attribute) -> bool {
    attribute.mutability == Mutability::WriteOnly
}

fn one_or(mut nodes: Vec<Node>, many: fn(Vec<Node>) -> Node) -> Node {
    match nodes.len() {
        1 => nodes.pop().unwrap_or(Node::Never),
        _ => many(nodes),
    }
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

/// What brackets after `members` ask, if the index can answer it.
fn members(inner: &Node) -> Option<Node> {
    match inner {
        Node::Compare(target, Test::Text(Operator::Eq, id, _)) if target.attribute == "value" => {
            Some(Node::HasMember(id.clone()))
        }
        Node::Or(nodes) => Some(Node::Or(nodes.iter().map(members).collect::<Option<_>>()?)),
        _ => None,
    }
}
