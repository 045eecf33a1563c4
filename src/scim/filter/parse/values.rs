//! The value behind an operator, typed by the attribute (RFC 7644 table 3):
//! what can never hold is told here, so that evaluation cannot fail.

use super::Parser;
use crate::scim::{
    error::Problem,
    filter::{
        cursor::Literal,
        fold_case,
        tree::{Node, Operator, Target, Test},
    },
    schema::{Attribute, Type},
};

impl<'a> Parser<'a> {
    /// The comparison, if the attribute's type allows it. The places are
    /// those of the operator and of the value.
    pub(super) fn typed(
        &self,
        mut target: Target,
        mut attribute: &'a Attribute,
        operator: Operator,
        literal: Literal,
        (operator_at, value_at): (usize, usize),
    ) -> Result<Node, Problem> {
        if matches!(literal, Literal::Null) {
            return self.null(target, operator, operator_at);
        }
        if attribute.kind == Type::Complex {
            let Some(value) = attribute.sub("value") else {
                let why = "this attribute is complex; compare one of its sub-attributes";
                return Err(self.cursor.fault_at(operator_at, why));
            };
            target.sub = Some(value.name.clone());
            attribute = value;
        }
        if let Some(why) = forbidden(attribute.kind, operator) {
            return Err(self.cursor.fault_at(operator_at, why));
        }
        let test = self.test(attribute, operator, literal);
        let test = test.ok_or_else(|| self.expected(attribute, value_at))?;
        match test {
            Test::Text(Operator::Eq, text, _)
                if target.is_linked() && target.sub.as_deref() == Some("value") =>
            {
                Ok(Node::Linked(text))
            }
            test => Ok(Node::Compare(target, test)),
        }
    }

    /// `null` is the state of having no value (RFC 7643 section 2.5).
    fn null(&self, target: Target, operator: Operator, at: usize) -> Result<Node, Problem> {
        let present = Node::Present(target);
        match operator {
            Operator::Eq => Ok(Node::Not(Box::new(present))),
            Operator::Ne => Ok(present),
            _ => Err(self
                .cursor
                .fault_at(at, "null can only be compared with eq or ne")),
        }
    }

    /// `None` when the value is of another type.
    fn test(&self, attribute: &Attribute, operator: Operator, literal: Literal) -> Option<Test> {
        Some(match (attribute.kind, literal) {
            (Type::Boolean, Literal::Flag(flag)) => Test::Flag(operator, flag),
            (Type::Boolean, Literal::Text(text)) if !self.strict => {
                let flag = [("true", true), ("false", false)].into_iter();
                let mut flag = flag.filter(|(word, _)| text.eq_ignore_ascii_case(word));
                Test::Flag(operator, flag.next()?.1)
            }
            (Type::Decimal | Type::Integer, Literal::Number(number)) => {
                Test::Number(operator, number)
            }
            (Type::DateTime, Literal::Text(text)) if !is_of_parts(operator) => {
                Test::Instant(operator, text.parse().ok()?)
            }
            (
                Type::String | Type::Reference | Type::Binary | Type::DateTime,
                Literal::Text(text),
            ) => {
                let text = without_groups(attribute, text);
                let folded = (!attribute.case_exact).then(|| fold_case(&text));
                Test::Text(operator, text, folded)
            }
            _ => return None,
        })
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
}

/// A tag as an answer shows it stands for the version in it: the fingerprint of
/// a user's groups behind that is computed, not stored.
fn without_groups(attribute: &Attribute, text: String) -> String {
    let tag = |text: &str| {
        let (version, groups) = text
            .strip_prefix("W/\"")?
            .strip_suffix('"')?
            .split_once('-')?;
        let digits = version.bytes().all(|b| b.is_ascii_digit());
        let hex = groups.len() == 16 && groups.bytes().all(|b| b.is_ascii_hexdigit());
        (digits && hex).then(|| format!("W/\"{version}\""))
    };
    match tag(&text) {
        Some(version) if attribute.name == "version" => version,
        _ => text,
    }
}

/// Why values of a type cannot be compared so, if they cannot.
fn forbidden(kind: Type, operator: Operator) -> Option<&'static str> {
    let ordered = matches!(
        operator,
        Operator::Gt | Operator::Ge | Operator::Lt | Operator::Le
    );
    match kind {
        Type::Boolean if ordered || is_of_parts(operator) => {
            Some("true and false can only be compared with eq or ne")
        }
        Type::Binary if ordered => Some("base64 text has no order; use eq, ne, co, sw or ew"),
        Type::Decimal | Type::Integer if is_of_parts(operator) => {
            Some("a number has no parts; use eq, ne, gt, ge, lt or le")
        }
        _ => None,
    }
}

fn is_of_parts(operator: Operator) -> bool {
    matches!(operator, Operator::Co | Operator::Sw | Operator::Ew)
}
