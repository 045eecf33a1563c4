//! Whether a resource, a value or a member matches. A comparison with a
//! multi-valued attribute holds when it holds for one of its values; `ne`
//! also holds when there is no value at all.

use std::cmp::Ordering;

use serde_json::{Number, Value, json};

use super::{
    Subject, fold_case,
    tree::{Node, Operator, Target, Test},
};
use crate::scim::value::is_unset;

pub(super) fn resource(node: &Node, subject: &dyn Subject) -> bool {
    holds(node, &On::Resource(subject))
}

pub(super) fn element(node: &Node, element: &Value) -> bool {
    holds(node, &On::Element(element))
}

pub(super) fn member(node: &Node, id: &str) -> bool {
    element(node, &json!({"value": id, "type": "User"}))
}

enum On<'a> {
    Resource(&'a dyn Subject),
    Element(&'a Value),
}

fn holds(node: &Node, on: &On<'_>) -> bool {
    match node {
        Node::And(nodes) => nodes.iter().all(|node| holds(node, on)),
        Node::Or(nodes) => nodes.iter().any(|node| holds(node, on)),
        Node::Not(node) => !holds(node, on),
        Node::Never => false,
        Node::Linked(id) => match on {
            On::Resource(subject) => subject.is_linked(id),
            On::Element(_) => false,
        },
        Node::Present(target) => any(target, on, |value| !is_unset(value)),
        Node::Each(target, inner) => any(target, on, |value| element(inner, value)),
        Node::Compare(target, test) => {
            let mut seen = false;
            let found = any(target, on, |value| {
                seen = true;
                passes(test, value)
            });
            found || (!seen && test.operator() == Operator::Ne)
        }
    }
}

/// Whether one of the target's values passes.
fn any(target: &Target, on: &On<'_>, mut passes: impl FnMut(&Value) -> bool) -> bool {
    let attribute = match on {
        On::Resource(subject) if target.is_linked() => {
            return subject.any_link(&mut |link| below(link, target.sub.as_deref(), &mut passes));
        }
        On::Resource(subject) => match &target.extension {
            None => subject.attributes().get(&target.attribute),
            Some(urn) => subject
                .attributes()
                .get(urn)
                .and_then(|extension| extension.get(&target.attribute)),
        },
        On::Element(Value::Object(map)) => map.get(&target.attribute),
        // A simple value is its own `value` (RFC 7643 section 2.4).
        On::Element(value) => (target.attribute == "value").then_some(*value),
    };
    match attribute {
        None => false,
        Some(Value::Array(list)) => list
            .iter()
            .any(|value| below(value, target.sub.as_deref(), &mut passes)),
        Some(value) => below(value, target.sub.as_deref(), &mut passes),
    }
}

fn below(value: &Value, sub: Option<&str>, passes: &mut impl FnMut(&Value) -> bool) -> bool {
    match sub {
        None => passes(value),
        Some(sub) => value.get(sub).is_some_and(passes),
    }
}

fn passes(test: &Test, value: &Value) -> bool {
    match test {
        Test::Text(operator, text, folded) => value.as_str().is_some_and(|value| match folded {
            None => text_passes(*operator, value, text),
            Some(folded) => folded_passes(*operator, value, folded),
        }),
        Test::Flag(operator, flag) => value
            .as_bool()
            .is_some_and(|value| order_passes(*operator, value.cmp(flag))),
        Test::Number(operator, number) => match value {
            Value::Number(value) => {
                compare(value, number).is_some_and(|order| order_passes(*operator, order))
            }
            _ => false,
        },
        Test::Instant(operator, instant) => value
            .as_str()
            .and_then(|value| value.parse::<jiff::Timestamp>().ok())
            .is_some_and(|value| order_passes(*operator, value.cmp(instant))),
    }
}

/// As [`text_passes`] without regard to letter case. ASCII, which nearly all
/// values are, is compared where it stands.
fn folded_passes(operator: Operator, value: &str, folded: &str) -> bool {
    let bytes = value.as_bytes();
    let is = |part: Option<&[u8]>| part.is_some_and(|p| p.eq_ignore_ascii_case(folded.as_bytes()));
    match operator {
        Operator::Eq if value.is_ascii() => is(Some(bytes)),
        Operator::Ne if value.is_ascii() => !is(Some(bytes)),
        Operator::Sw if value.is_ascii() => is(bytes.get(..folded.len())),
        Operator::Ew if value.is_ascii() => is(bytes
            .len()
            .checked_sub(folded.len())
            .and_then(|at| bytes.get(at..))),
        operator => text_passes(operator, &fold_case(value), folded),
    }
}

fn text_passes(operator: Operator, value: &str, text: &str) -> bool {
    match operator {
        Operator::Co => value.contains(text),
        Operator::Sw => value.starts_with(text),
        Operator::Ew => value.ends_with(text),
        _ => order_passes(operator, value.cmp(text)),
    }
}

fn order_passes(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Eq => order.is_eq(),
        Operator::Ne => order.is_ne(),
        Operator::Gt => order.is_gt(),
        Operator::Ge => order.is_ge(),
        Operator::Lt => order.is_lt(),
        Operator::Le => order.is_le(),
        Operator::Co | Operator::Sw | Operator::Ew => false,
    }
}

/// By size, whatever the spelling: 1 is 1.0, and a whole number is not rounded
/// to be compared with one that has a fraction.
fn compare(a: &Number, b: &Number) -> Option<Ordering> {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (Some(a), None) => Some(against(a, b.as_f64()?)),
        (None, Some(b)) => Some(against(b, a.as_f64()?).reverse()),
        (None, None) => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "what is cast is whole, and smaller than any number that does not fit"
)]
fn against(whole: i128, other: f64) -> Ordering {
    // Whole numbers of JSON have 64 bits, so these are beyond all of them.
    if other.abs() > 1e30 {
        return if other > 0.0 {
            Ordering::Less
        } else {
            Ordering::Greater
        };
    }
    let below = other.floor();
    let rest = if other > below {
        Ordering::Less
    } else {
        Ordering::Equal
    };
    whole.cmp(&(below as i128)).then(rest)
}
