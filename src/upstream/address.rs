//! By which e-mail address an application knows a user, where it knows users by
//! one: the same rule for every such application, so that the same identity
//! provider finds the same accounts.

use serde_json::Value;

use crate::scim::resource::Attributes;

/// The address of a user, in lower case: `userName` where it is one, else the
/// primary, the work or the first of `emails` that is.
pub(super) fn account_key(user: &Attributes) -> Option<String> {
    let entries = || {
        let list = user.0.get("emails").and_then(Value::as_array);
        list.into_iter().flatten()
    };
    let value_of = |entry: &Value| entry.get("value")?.as_str().map(str::to_owned);
    let primary = entries().find(|entry| entry.get("primary") == Some(&Value::Bool(true)));
    let work = entries().find(|entry| {
        entry
            .get("type")
            .and_then(Value::as_str)
            .is_some_and(|kind| kind.eq_ignore_ascii_case("work"))
    });
    [
        user.text("userName").map(str::to_owned),
        primary.and_then(value_of),
        work.and_then(value_of),
    ]
    .into_iter()
    .flatten()
    .chain(entries().filter_map(value_of))
    .map(|text| text.trim().to_lowercase())
    .find(|text| is_address(text))
}

/// The same for an application that knows users by the address they sign in
/// with alone: `userName` only where `emails` names none.
pub(super) fn email_key(user: &Attributes) -> Option<String> {
    let unnamed = |user: &Attributes| {
        let emails = user.0.get("emails").cloned();
        let emails = emails.map(|emails| ("emails".to_owned(), emails));
        Attributes(emails.into_iter().collect())
    };
    account_key(&unnamed(user)).or_else(|| account_key(user))
}

/// Whether a text can be an e-mail address: one `@` with something on both
/// sides, no spaces, at most 254 bytes (RFC 5321 section 4.5.3.1).
pub(super) fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    !local.is_empty()
        && !domain.is_empty()
        && text.len() <= 254
        && !domain.contains('@')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && !text.chars().any(|c| {
            c.is_whitespace() || c.is_control() || matches!(c, ',' | ';' | '<' | '>' | '"')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_names() {
        for good in [
            "a@b",
            "ann.o'hara+x@example.com",
            "\u{e9}lan@example.com",
            "a*b@example.com",
        ] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "", "@", "a@", "@b", "a@b@c", "a b@c", "a@b.", "a@.b", "a@b,c@d", "<a@b>",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
        assert!(!is_address(&format!("{}@example.com", "x".repeat(250))));
    }
}
