//! Whether an account is active, by what the application says of it: a flag, a number
//! or a word. What is said in another way than the configuration expects is no answer:
//! taken for one, everybody would be shown the other way round. Where nothing is said
//! of somebody, `answers` decides.

use serde_json::Value;

use super::{answers::said, paging::unclear, settings::User};
use crate::upstream::UpstreamError;

/// In which way something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Flag,
    Number,
    Word,
}

fn kind(text: &str) -> Kind {
    if ["true", "false"]
        .iter()
        .any(|it| it.eq_ignore_ascii_case(text))
    {
        Kind::Flag
    } else if text.parse::<f64>().is_ok() {
        Kind::Number
    } else {
        Kind::Word
    }
}

/// Whether nothing is there that could say it, or null.
pub(super) fn is_unsaid(row: &Value, shape: &User) -> bool {
    let there = shape.active.as_ref().and_then(|at| at.of(row));
    there.is_none_or(Value::is_null)
}

pub(super) fn active(row: &Value, shape: &User) -> Result<bool, UpstreamError> {
    let Some(at) = &shape.active else {
        return Ok(true);
    };
    let there = at.of(row);
    let Some(text) = said(at, row) else {
        return Err(unclear(format!(
            "there is neither true nor false, nor a word or a whole number, at {at} of a user; \
             where the application shows active users alone and says it of none, take out \
             user.active"
        )));
    };
    let values = &shape.active_values;
    match there {
        Some(Value::Bool(active)) if values.is_empty() => return Ok(*active),
        _ if values.is_empty() => {
            return Err(unclear(format!(
                "there is neither true nor false at {at} of a user, but {text:?}: name in \
                 user.active_values what is there of whoever is active"
            )));
        }
        _ => {}
    }
    let is_text = there.is_some_and(Value::is_string);
    let may_be = |value: &String| {
        let of = kind(value);
        of == kind(&text) || is_text && of == Kind::Word
    };
    if !values.iter().any(may_be) {
        return Err(unclear(format!(
            "there is {text:?} at {at} of a user, and user.active_values names nothing of its \
             kind: name what is there of whoever is active"
        )));
    }
    Ok(values.iter().any(|it| it.eq_ignore_ascii_case(&text)))
}

/// Values that no user has, or everybody.
pub(super) fn problems(shape: &User, found: &mut Vec<String>) {
    let values = &shape.active_values;
    if !values.is_empty() && shape.active.is_none() {
        found
            .push("user.active_values: words for a value that is not read: add user.active".into());
    }
    for value in values {
        let why = match value.as_str() {
            _ if value.trim().is_empty() => "an empty word: write the words that mean active",
            _ if value.trim() != value => {
                "has spaces around it, and is never found so: take them out"
            }
            _ if value.eq_ignore_ascii_case("null") => {
                "says nothing, and every user has to say it: take out user.active, or point it \
                 to a flag, a number or a word"
            }
            _ if kind(value) == Kind::Number
                && value.parse::<i64>().map(|it| it.to_string()).as_ref() != Ok(value) =>
            {
                "is spelled as no whole number is, and never found so: write it as in 0 or 1"
            }
            _ => continue,
        };
        found.push(format!("user.active_values: {value:?} {why}"));
    }
    let has = |word: &str| values.iter().any(|it| it.eq_ignore_ascii_case(word));
    if has("true") && has("false") {
        found.push(
            "user.active_values: both true and false mean active, so everybody would be: keep one \
             of them, or take out user.active"
                .into(),
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::{super::settings::Settings, *};

    fn user(values: &[&str]) -> User {
        let text = format!("user = {{ active = \"/on\", active_values = {values:?} }}");
        toml::from_str::<Settings>(&text).unwrap().user
    }

    #[test]
    fn who_is_active_is_said_by_a_flag_a_number_or_a_word() {
        let of =
            |values: &[&str], value: Value| active(&json!({ "on": value }), &user(values)).ok();
        for (values, value, is) in [
            (&[][..], json!(true), Some(true)),
            (&[], json!(false), Some(false)),
            // An inverted flag.
            (&["false"], json!(false), Some(true)),
            (&["false"], json!(true), Some(false)),
            (&["False"], json!("FALSE"), Some(true)),
            (&["1"], json!(1), Some(true)),
            (&["1"], json!(0), Some(false)),
            (&["1"], json!("0"), Some(false)),
            (&["0"], json!(0), Some(true)),
            (&["active", "invited"], json!(" Active "), Some(true)),
            (&["active"], json!("suspended"), Some(false)),
            (&["active"], json!("7"), Some(false)),
            // Nobody says that these mean what they seem to.
            (&[], json!(1), None),
            (&[], json!("active"), None),
            (&["active"], json!(true), None),
            (&["active"], json!(1), None),
            (&["false"], json!(0), None),
            (&["false"], json!("suspended"), None),
            (&["1"], json!(true), None),
            (&["1"], json!(1.5), None),
            (&["false"], json!(null), None),
        ] {
            assert_eq!(of(values, value.clone()), is, "{values:?} {value}");
        }
        assert!(active(&json!({}), &user(&["false"])).is_err());
        assert!(active(&json!({}), &User::default()).unwrap());
    }

    #[test]
    fn values_that_can_never_be_are_refused() {
        let told = |values: &[&str]| {
            let mut found = Vec::new();
            problems(&user(values), &mut found);
            found.len()
        };
        for values in [
            &[" "][..],
            &["active "],
            &["null"],
            &["01"],
            &["1.0"],
            &["+1"],
            &["true", "False"],
        ] {
            assert_eq!(told(values), 1, "{values:?}");
        }
        for values in [
            &[][..],
            &["false"],
            &["0"],
            &["-1", "1"],
            &["active", "invited"],
        ] {
            assert_eq!(told(values), 0, "{values:?}");
        }
    }
}
