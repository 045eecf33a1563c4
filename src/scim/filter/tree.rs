//! A filter as a value: what the parser builds and the evaluator walks.
//! Chains of `and` and `or` are flat, so the tree is only as deep as its
//! parentheses, which are counted.

use jiff::Timestamp;
use serde_json::{Number, Value};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    /// Something about an attribute that no schema knows.
    Never,
    Present(Target),
    Compare(Target, Test),
    /// A value path: one value of the target matches the inner node, whose
    /// targets are that value's sub-attributes.
    Each(Target, Box<Node>),
    /// `members.value eq ".."` of a group or `groups.value eq ".."` of a user,
    /// which have an index.
    Linked(String),
}

/// An attribute in canonical spelling; inside a value path a sub-attribute
/// stands as `attribute`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    pub(super) extension: Option<String>,
    pub(super) attribute: String,
    pub(super) sub: Option<String>,
}

impl Target {
    pub(super) fn is_core(&self, attribute: &str) -> bool {
        self.extension.is_none() && self.attribute == attribute
    }

    /// Whether this is a group's members or a user's groups, which are rows
    /// of their own.
    pub(super) fn is_linked(&self) -> bool {
        self.is_core("members") || self.is_core("groups")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Gt,
    Ge,
    Lt,
    Le,
}

/// A comparison with a typed value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// As written, and folded when letter case does not count.
    Text(Operator, String, Option<String>),
    Flag(Operator, bool),
    Number(Operator, Number),
    Instant(Operator, Timestamp),
}

impl Test {
    pub(super) fn operator(&self) -> Operator {
        match self {
            Self::Text(operator, ..)
            | Self::Flag(operator, _)
            | Self::Number(operator, _)
            | Self::Instant(operator, _) => *operator,
        }
    }

    /// The value that an `eq` demands.
    pub(super) fn equal_to(&self) -> Option<Value> {
        if self.operator() != Operator::Eq {
            return None;
        }
        match self {
            Self::Text(_, text, _) => Some(text.as_str().into()),
            Self::Flag(_, flag) => Some((*flag).into()),
            Self::Number(_, number) => Some(number.clone().into()),
            Self::Instant(..) => None,
        }
    }
}
