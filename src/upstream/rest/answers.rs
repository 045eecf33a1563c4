//! From the application's answers to what the engine knows of users, groups and
//! members, by the pointers of the configuration. What is not where it should
//! be makes the whole answer unclear: half a list would look like a change.

use std::collections::HashSet;

use serde_json::Value;

use super::{
    paging::unclear,
    pointer::{Pointer, text_of},
    settings::{Group, KnownBy, Member, Only, Plain, ReadOnly, User},
};
use crate::upstream::{RemoteGroup, RemoteMember, RemoteUser, UpstreamError};

/// The field of a group that holds its id.
pub(super) const ID: &str = "id";
/// The field of a group that holds what it is called.
pub(super) const CALLED: &str = "displayName";
/// The field of an account that is known by its id that holds its address or name.
pub(super) const NAMED: &str = "named";
/// The field of an account that holds it as it is spelled there.
pub(super) const SPELLED: &str = "spelled";

/// The entries of a list.
pub(super) fn list(answer: &Value, items: Option<&Pointer>) -> Result<Vec<Value>, UpstreamError> {
    let top = Pointer::default();
    let items = items.unwrap_or(&top);
    match items.of(answer) {
        Some(Value::Array(list)) => Ok(list.clone()),
        _ => Err(unclear(format!("the answer holds no list at {items}"))),
    }
}

/// The one thing of an answer, or those of a list that may be it.
pub(super) fn candidates(
    answer: &Value,
    items: Option<&Pointer>,
) -> Result<Vec<Value>, UpstreamError> {
    let top = Pointer::default();
    let items = items.unwrap_or(&top);
    match items.of(answer) {
        Some(Value::Array(list)) => Ok(list.clone()),
        Some(Value::Null) => Ok(Vec::new()),
        Some(one @ Value::Object(_)) => Ok(vec![one.clone()]),
        _ => Err(unclear(format!(
            "the answer holds neither one thing nor a list at {items}"
        ))),
    }
}

/// Every account of a list, none of them twice, spelled as it is there: that
/// differ in nothing but letter case, SCIM cannot tell apart. Ids can differ so.
pub(super) fn users(rows: &[Value], shape: &User) -> Result<Vec<RemoteUser>, UpstreamError> {
    let users = rows.iter().map(|row| user(row, shape));
    let users = users.collect::<Result<Vec<_>, _>>()?;
    let accounts = users.iter().map(|user| user.account.to_lowercase());
    once(accounts, "users")?;
    once(
        users.iter().filter_map(|it| it.upstream_id.clone()),
        "users",
    )?;
    Ok(users)
}

pub(super) fn user(row: &Value, shape: &User) -> Result<RemoteUser, UpstreamError> {
    let id = shape.id.as_ref().and_then(|id| id.text(row));
    let account = match shape.known_by {
        KnownBy::Id => id.clone(),
        KnownBy::Email | KnownBy::Name => shape.account.as_ref().and_then(|it| it.text(row)),
    };
    let account = account.ok_or_else(|| unclear("a user without what it is known by"))?;
    let fields = shape.attributes.iter();
    let fields = fields.filter_map(|(shown, at)| Some((shown.name().to_owned(), at.text(row)?)));
    let named = shape.account.as_ref().and_then(|at| at.text(row));
    let named = named.filter(|_| shape.known_by == KnownBy::Id);
    let created = shape.created.as_ref().and_then(|at| at.text(row));
    Ok(RemoteUser {
        account,
        active: active(row, shape)?,
        created: created
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .map(jiff::Timestamp::as_millisecond),
        fields: fields
            .chain(named.map(|named| (NAMED.to_owned(), named)))
            .collect(),
        upstream_id: id,
        ..RemoteUser::default()
    })
}

fn active(row: &Value, shape: &User) -> Result<bool, UpstreamError> {
    let Some(at) = &shape.active else {
        return Ok(true);
    };
    match at.of(row) {
        Some(Value::Bool(active)) => Ok(*active),
        Some(Value::String(word)) if !shape.active_values.is_empty() => {
            let mut words = shape.active_values.iter();
            Ok(words.any(|it| it.eq_ignore_ascii_case(word.trim())))
        }
        _ => Err(unclear(format!(
            "there is neither true nor false{} at {at} of a user; where the application shows \
             active users alone and says it of none, take out user.active",
            if shape.active_values.is_empty() {
                ""
            } else {
                ", nor a word,"
            },
        ))),
    }
}

/// Every group of a list, none of them twice.
pub(super) fn groups(rows: &[Value], shape: &Group) -> Result<Vec<RemoteGroup>, UpstreamError> {
    let groups = rows.iter().map(|row| group(row, shape));
    let groups = groups.collect::<Result<Vec<_>, _>>()?;
    once(groups.iter().map(|group| group.name.clone()), "groups")?;
    Ok(groups)
}

pub(super) fn group(row: &Value, shape: &Group) -> Result<RemoteGroup, UpstreamError> {
    let text = |at: &Option<Pointer>| at.as_ref().and_then(|at| at.text(row));
    let (id, called) = (text(&shape.id), text(&shape.name));
    let name = match shape.known_by {
        KnownBy::Id => id.clone(),
        KnownBy::Email | KnownBy::Name => called.clone(),
    };
    let name = name.ok_or_else(|| unclear("a group without what it is known by"))?;
    let count = shape.member_count.as_ref();
    let read_only = shape.read_only.iter().find(|rule| rule.fits(row));
    let fields = [(ID, id), (CALLED, called)];
    Ok(RemoteGroup {
        name,
        read_only: read_only.map(|rule| rule.note.clone()),
        member_count: count.and_then(|at| at.of(row)?.as_u64()),
        fields: fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
        ..RemoteGroup::default()
    })
}

impl ReadOnly {
    fn fits(&self, row: &Value) -> bool {
        let said = said(&self.at, row).unwrap_or_default();
        is_meant(&said, self.is.as_deref(), self.is_not.as_deref())
    }
}

impl Only {
    /// Where nothing is said, nobody knows of whom the entry is.
    fn fits(&self, row: &Value) -> Result<bool, UpstreamError> {
        let said = said(&self.at, row);
        if said.is_none() && self.is.is_some() {
            return Err(unclear(format!(
                "a member without what is at {}, which tells whether it is one",
                self.at
            )));
        }
        let said = said.unwrap_or_default();
        Ok(is_meant(&said, self.is.as_deref(), self.is_not.as_deref()))
    }
}

/// The text, number or flag that is there.
fn said(at: &Pointer, row: &Value) -> Option<String> {
    match at.of(row)? {
        Value::Bool(flag) => Some(flag.to_string()),
        other => text_of(other),
    }
}

fn is_meant(said: &str, is: Option<&str>, is_not: Option<&str>) -> bool {
    let same = |word: &str| word.eq_ignore_ascii_case(said);
    is.is_none_or(same) && !is_not.is_some_and(same)
}

/// Every member of a group, none of them twice, spelled as they are there.
pub(super) fn members(rows: &[Value], shape: &Member) -> Result<Vec<RemoteMember>, UpstreamError> {
    let mut members = Vec::with_capacity(rows.len());
    for row in rows {
        if shape
            .only
            .as_ref()
            .map_or(Ok(true), |only| only.fits(row))?
        {
            let of = member(row, shape);
            members.push(of.ok_or_else(|| unclear("a member without what it is known by"))?);
        }
    }
    let accounts = members.iter().filter_map(|it| it.account.as_ref());
    once(accounts.map(|it| it.to_lowercase()), "members")?;
    once(
        members.iter().filter_map(|it| it.upstream_id.clone()),
        "members",
    )?;
    Ok(members)
}

pub(super) fn member(row: &Value, shape: &Member) -> Option<RemoteMember> {
    let text = |at: &Option<Pointer>| at.as_ref().and_then(|at| at.text(row));
    let (id, account) = match (shape.text, text_of(row)) {
        (Some(Plain::Id), Some(text)) => (Some(text), None),
        (Some(Plain::Account), Some(text)) => (None, Some(text)),
        _ => (text(&shape.id), text(&shape.account)),
    };
    (id.is_some() || account.is_some()).then(|| RemoteMember {
        upstream_id: id,
        account,
        ..RemoteMember::default()
    })
}

fn once(keys: impl Iterator<Item = String>, what: &str) -> Result<(), UpstreamError> {
    let mut seen = HashSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(unclear(format!(
                "the list of {what} names one of them twice"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::{super::settings::Settings, *};

    fn settings() -> Settings {
        toml::from_str(
            r#"
            user = { id = "/id", account = "/mail", active = "/state", active_values = ["on"], created = "/at", attributes = { displayName = "/name" } }
            group = { id = "/key", name = "/name", member_count = "/size", read_only = [
                { at = "/synced", is = "true", note = "kept by another directory" },
                { at = "/kind", is_not = "user", note = "not of users" },
            ] }
            member = { id = "/id", account = "/mail", text = "account" }
            "#,
        )
        .unwrap()
    }

    #[test]
    fn users_are_read_whole_or_not_at_all() {
        let shape = settings().user;
        let row = json!({ "id": 7, "mail": " Ann@Example.com ", "state": "ON", "name": "Ann", "at": "2026-01-01T00:00:00Z" });
        let found = user(&row, &shape).unwrap();
        assert_eq!(found.account, "Ann@Example.com", "as it is spelled");
        assert_eq!(found.upstream_id.as_deref(), Some("7"));
        assert!(found.active && found.created.is_some());
        assert_eq!(found.fields["displayName"], "Ann");
        assert!(
            !user(&json!({ "mail": "b@c", "state": "off" }), &shape)
                .unwrap()
                .active
        );
        for odd in [
            json!({ "id": 7 }),
            json!({ "mail": "a@b", "state": 5 }),
            json!({ "mail": "a@b", "state": null }),
            json!({ "mail": "a@b" }),
            json!("a@b"),
        ] {
            assert!(user(&odd, &shape).is_err(), "{odd}");
        }
        let all = |rows: [(&str, &str); 2]| {
            let row = |(id, mail)| json!({ "id": id, "mail": mail, "state": "on" });
            users(&rows.map(row), &shape).is_ok()
        };
        assert!(!all([("1", "a@b"), ("2", "A@b")]) && !all([("1", "a@b"), ("1", "c@b")]));
        assert!(
            all([("Ab", "a@b"), ("aB", "c@b")]),
            "ids can differ in case alone"
        );
    }

    #[test]
    fn groups_that_are_not_ours_to_write_say_why() {
        let shape = settings().group;
        let read = |row: Value| group(&row, &shape).unwrap().read_only;
        assert_eq!(
            read(json!({ "name": "a", "kind": "User", "synced": false })),
            None
        );
        let synced = json!({ "name": "a", "kind": "user", "synced": true });
        assert_eq!(read(synced).as_deref(), Some("kept by another directory"));
        assert_eq!(
            read(json!({ "name": "a" })).as_deref(),
            Some("not of users")
        );
        assert!(group(&json!({ "key": "k" }), &shape).is_err());
        assert!(groups(&[json!({ "name": "a" }), json!({ "name": "a" })], &shape).is_err());
        assert!(
            groups(
                &[json!({ "name": "Ops" }), json!({ "name": "ops" })],
                &shape
            )
            .is_ok()
        );
    }

    #[test]
    fn lists_and_single_things_are_told_apart() {
        let at: Settings = toml::from_str("user = { id = \"/rows\" }").unwrap();
        let at = at.user.id.unwrap();
        assert_eq!(list(&json!({ "rows": [1] }), Some(&at)).unwrap().len(), 1);
        assert!(list(&json!({ "rows": {} }), Some(&at)).is_err());
        assert!(list(&json!([1, 2]), None).unwrap().len() == 2);
        for (answer, count) in [
            (json!({ "rows": [] }), Some(0)),
            (json!({ "rows": null }), Some(0)),
            (json!({ "rows": { "a": 1 } }), Some(1)),
            (json!({ "rows": "x" }), None),
            (json!({}), None),
        ] {
            let found = candidates(&answer, Some(&at)).ok().map(|it| it.len());
            assert_eq!(found, count, "{answer}");
        }
    }

    #[test]
    fn entries_of_another_kind_are_no_members() {
        let of = |only: &str, rows: &[Value]| {
            let text = format!("member = {{ id = \"/id\", only = {{ at = \"/type\", {only} }} }}");
            let shape = toml::from_str::<Settings>(&text).unwrap().member;
            let found = members(rows, &shape).ok()?;
            Some(found.into_iter().filter_map(|it| it.upstream_id).collect())
        };
        let row = |kind: &str, id: u8| json!({ "type": kind, "id": id });
        let mixed = [row("User", 8), row("group", 8), row("group", 9)];
        let eight = Some(vec!["8".to_owned()]);
        assert_eq!(of("is = \"user\"", &mixed), eight);
        assert_eq!(of("is_not = \"group\"", &mixed), eight);
        let unsaid = [json!({ "id": 8 })];
        assert_eq!(of("is = \"user\"", &unsaid), None, "nobody knows");
        assert_eq!(of("is_not = \"group\"", &unsaid), eight);
    }

    #[test]
    fn members_are_texts_or_things() {
        let shape = settings().member;
        let rows = [
            json!("Eve@example.com"),
            json!({ "id": "7", "mail": "Ann@example.com" }),
        ];
        let found = members(&rows, &shape).unwrap();
        assert_eq!(found[0].account.as_deref(), Some("Eve@example.com"));
        assert_eq!(found[1].upstream_id.as_deref(), Some("7"));
        for odd in [json!({}), json!(null), json!([]), json!({ "id": "" })] {
            assert!(
                members(std::slice::from_ref(&odd), &shape).is_err(),
                "{odd}"
            );
        }
    }
}
