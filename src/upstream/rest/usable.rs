//! Pointers that gave nothing usable in any row: what is declared for safety and never
//! read is no safety, and nothing else would tell.

use serde_json::Value;

use super::{
    pointer::Pointer,
    settings::{Group, Settings, User},
};

/// Of the rows of `list_users`: each key, where it points to, and what it should give.
pub(super) fn of_users(rows: &[Value], shape: &User) -> Vec<(String, &'static str)> {
    let has_moment = |at: &Pointer, row: &Value| at.moment(row).is_some();
    let told = [
        tell(rows, ("user.id", &shape.id), (TEXT, has_text)),
        tell(rows, ("user.created", &shape.created), (MOMENT, has_moment)),
    ];
    told.into_iter().flatten().collect()
}

/// Of the rows of `list_groups`.
pub(super) fn of_groups(rows: &[Value], shape: &Group) -> Vec<(String, &'static str)> {
    let has_count = |at: &Pointer, row: &Value| at.count(row).is_some();
    let count = ("group.member_count", &shape.member_count);
    let told = [
        tell(rows, ("group.id", &shape.id), (TEXT, has_text)),
        tell(rows, count, (COUNT, has_count)),
    ];
    told.into_iter().flatten().collect()
}

/// The keys of what accounts show besides, and none of them does.
pub(super) fn unshown(rows: &[Value], settings: &Settings) -> Vec<String> {
    let attributes = settings.user.attributes.iter();
    let unshown = attributes.filter(|(_, at)| !rows.iter().any(|row| at.text(row).is_some()));
    let named = unshown.map(|(shown, at)| format!("{} at {at}", shown.name()));
    if rows.is_empty() {
        Vec::new()
    } else {
        named.collect()
    }
}

const TEXT: &str = "a text or a whole number";
const MOMENT: &str = "a date as 2026-01-31T12:00:00Z, or the seconds or milliseconds since 1970";
const COUNT: &str = "a number";

fn has_text(at: &Pointer, row: &Value) -> bool {
    at.text(row).is_some()
}

fn tell(
    rows: &[Value],
    (key, at): (&str, &Option<Pointer>),
    (wanted, is_usable): (&'static str, impl Fn(&Pointer, &Value) -> bool),
) -> Option<(String, &'static str)> {
    let at = at.as_ref().filter(|_| !rows.is_empty())?;
    let is_unusable = !rows.iter().any(|row| is_usable(at, row));
    is_unusable.then(|| (format!("{key}: there is nothing usable at {at}"), wanted))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn what_no_row_gives_is_told_and_nothing_else() {
        let text = r#"
            user = { id = "/id", created = "/at", attributes = { title = "/title", displayName = "/name" } }
            group = { id = "/id", member_count = "/size" }
        "#;
        let settings: Settings = toml::from_str(text).unwrap();
        let keys = |told: Vec<(String, &str)>| -> Vec<String> {
            let key = |(text, _): (String, _)| text.split(':').next().unwrap().to_owned();
            told.into_iter().map(key).collect()
        };
        let users = |rows: &[Value]| keys(of_users(rows, &settings.user));
        assert_eq!(users(&[]), [""; 0]);
        let odd = [
            json!({ "id": 1, "at": "long ago" }),
            json!({ "id": 2, "at": null }),
        ];
        assert_eq!(users(&odd), ["user.created"]);
        let some = [
            json!({ "id": 1, "at": "long ago" }),
            json!({ "at": 1_767_225_600 }),
        ];
        assert_eq!(users(&some), [""; 0], "one row is enough");
        assert_eq!(users(&[json!({})]), ["user.id", "user.created"]);
        let groups = |rows: &[Value]| keys(of_groups(rows, &settings.group));
        assert_eq!(groups(&[json!({ "id": 1, "size": "4" })]), [""; 0]);
        assert_eq!(
            groups(&[json!({ "id": 1, "size": "4 of 5" })]),
            ["group.member_count"]
        );
        let named = unshown(&[json!({ "name": "Ann" })], &settings);
        assert_eq!(named, ["title at /title"]);
        assert_eq!(unshown(&[], &settings), [""; 0]);
    }
}
