//! The plainest reading of RFC 7644 section 3.4.2.2 over JSON: no types but
//! those of the question, no index, no haste.
use serde_json::Value;

use super::question::{Kind, Op, Place, Question};

pub(super) fn holds(question: &Question, whole: &Value) -> bool {
    match question {
        Question::All(parts) => parts.iter().all(|part| holds(part, whole)),
        Question::Any(parts) => parts.iter().any(|part| holds(part, whole)),
        Question::Not(part) => !holds(part, whole),
        Question::Is(place, Op::Eq, Value::Null) => values(place, whole).is_empty(),
        Question::Present(place) | Question::Is(place, Op::Ne, Value::Null) => {
            !values(place, whole).is_empty()
        }
        Question::Is(place, Op::Ne, value) => {
            let there = values(place, whole);
            let differs = |one: &Value| !satisfies(place.kind, Op::Eq, one, value);
            there.is_empty() || there.iter().any(differs)
        }
        Question::Is(place, op, value) => {
            let there = values(place, whole);
            there
                .iter()
                .any(|one| satisfies(place.kind, *op, one, value))
        }
        Question::Each(attribute, inner) => {
            let elements = listed(whole.get(attribute));
            elements.iter().any(|element| holds(inner, element))
        }
    }
}

/// Every value at a place.
pub(super) fn values(place: &Place, whole: &Value) -> Vec<Value> {
    let from = match place.extension {
        None => Some(whole),
        Some(urn) => whole.get(urn),
    };
    let found = listed(from.and_then(|from| from.get(place.attribute)));
    match place.sub {
        None => found,
        Some(sub) => found.iter().flat_map(|one| listed(one.get(sub))).collect(),
    }
}

fn listed(value: Option<&Value>) -> Vec<Value> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list.clone(),
        Some(one) => vec![one.clone()],
    }
}

fn satisfies(kind: Kind, op: Op, there: &Value, asked: &Value) -> bool {
    match kind {
        Kind::Flag => by_order(op, there.as_bool(), asked.as_bool()),
        Kind::Number => by_order(op, Some(quarters(there)), Some(quarters(asked))),
        Kind::Moment => {
            let instant = |value: &Value| value.as_str().map(millis);
            by_order(op, instant(there), instant(asked))
        }
        Kind::Exact => by_text(op, text(there), text(asked)),
        Kind::Folded => by_text(op, &folded(text(there)), &folded(text(asked))),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn by_text(op: Op, there: &str, asked: &str) -> bool {
    match op {
        Op::Co => there.contains(asked),
        Op::Sw => there.starts_with(asked),
        Op::Ew => there.ends_with(asked),
        _ => by_order(op, Some(there), Some(asked)),
    }
}

fn by_order<T: PartialOrd>(op: Op, there: Option<T>, asked: Option<T>) -> bool {
    let (Some(there), Some(asked)) = (there, asked) else {
        return false;
    };
    match op {
        Op::Eq => there == asked,
        Op::Gt => there > asked,
        Op::Ge => there >= asked,
        Op::Lt => there < asked,
        Op::Le => there <= asked,
        Op::Ne | Op::Co | Op::Sw | Op::Ew => panic!("{op:?} is not about order"),
    }
}

/// Lower case letter by letter; the final sigma is a sigma.
fn folded(text: &str) -> String {
    let lower = text.chars().flat_map(char::to_lowercase);
    lower.map(|c| if c == 'ς' { 'σ' } else { c }).collect()
}

/// Numbers here are whole or have quarters.
#[allow(clippy::cast_possible_truncation)]
fn quarters(value: &Value) -> i128 {
    match value.as_i64() {
        Some(whole) => i128::from(whole) * 4,
        None => (value.as_f64().expect("a number") * 4.0) as i128,
    }
}

/// Milliseconds since 1970 of `2026-01-31T12:00:00[.123](Z|+01:30)`.
pub(super) fn millis(text: &str) -> i64 {
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().expect("digits");
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let zone = text[19..].find(['Z', '+', '-']).expect("a zone") + 19;
    let fraction = if zone > 20 { number(20, zone) } else { 0 };
    let offset = match &text[zone..] {
        "Z" => 0,
        ahead => {
            let minutes = number(zone + 1, zone + 3) * 60 + number(zone + 4, zone + 6);
            if ahead.starts_with('-') {
                -minutes
            } else {
                minutes
            }
        }
    };
    let seconds = number(11, 13) * 3600 + number(14, 16) * 60 + number(17, 19);
    (days(year, month, day) * 86_400 + seconds - offset * 60) * 1_000 + fraction
}

/// Days since 1970, counted from the first of March of the year 0.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468
}
