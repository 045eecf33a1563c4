//! From the application's answers to what the engine knows of users, groups and
//! members, by the pointers of the configuration. What is not where it should
//! be makes the whole answer unclear: half a list would look like a change.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::{
    active::{active, is_unsaid},
    operation::Name,
    paging::unclear,
    pointer::{Pointer, text_of},
    settings::{Group, KnownBy, Member, Only, Plain, ReadOnly, Settings, User},
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

/// Every account of a list, spelled as it is there. A row that shows nothing by which it
/// is known is marked as one that cannot be read, and so is one whose `user.active` is not
/// understood; several can have one address, and are told apart by their ids. The same id
/// twice is a list that changed while it was read.
pub(super) fn users(rows: &[Value], shape: &User) -> Result<Vec<RemoteUser>, UpstreamError> {
    let mut users = Vec::with_capacity(rows.len());
    for row in rows {
        match shape
            .only
            .as_ref()
            .map_or(Some(true), |only| only.fits(row))
        {
            Some(true) if account_of(row, shape).is_some() => users.push(listed(row, shape)?),
            Some(false) => {}
            _ => users.push(RemoteUser {
                upstream_id: id_of(row, shape),
                fields: fields_of(row, shape),
                unreadable: true,
                ..RemoteUser::default()
            }),
        }
    }
    once(
        users.iter().filter_map(|it| it.upstream_id.clone()),
        "users",
    )?;
    let shared = shared_addresses(&users);
    let is_shared = |user: &RemoteUser| shared.contains(&user.account.to_lowercase());
    if users
        .iter()
        .any(|it| it.upstream_id.is_none() && is_shared(it))
    {
        return Err(unclear(
            "the list of users names one of them twice; where several have one address, point \
             user.id to what tells them apart",
        ));
    }
    Ok(users)
}

/// In lower case: that differ in nothing but letter case, SCIM cannot tell apart.
pub(super) fn shared_addresses(users: &[RemoteUser]) -> HashSet<String> {
    let accounts = users.iter().filter(|user| !user.account.is_empty());
    several(accounts.map(|user| user.account.to_lowercase()))
}

fn several(keys: impl Iterator<Item = String>) -> HashSet<String> {
    let mut met = HashMap::<String, usize>::new();
    for key in keys {
        *met.entry(key).or_default() += 1;
    }
    let shared = met.into_iter().filter(|(_, count)| *count > 1);
    shared.map(|(key, _)| key).collect()
}

/// What an entry of a list, or of what a search found, is told from the others by.
pub(super) fn key(name: Name, row: &Value, settings: &Settings) -> Option<String> {
    match name {
        Name::ListUsers | Name::FindUser => {
            let shape = &settings.user;
            id_of(row, shape).or_else(|| account_of(row, shape))
        }
        Name::ListGroups | Name::FindGroup => {
            let (id, name) = (&settings.group.id, &settings.group.name);
            [id, name].into_iter().flatten().find_map(|at| at.text(row))
        }
        Name::ListMembers => {
            let member = member(row, &settings.member)?;
            member.upstream_id.or(member.account)
        }
        _ => None,
    }
}

fn id_of(row: &Value, shape: &User) -> Option<String> {
    shape.id.as_ref().and_then(|id| id.text(row))
}

fn account_of(row: &Value, shape: &User) -> Option<String> {
    match shape.known_by {
        KnownBy::Id => id_of(row, shape),
        KnownBy::Email | KnownBy::Name => shape.account.as_ref().and_then(|it| it.text(row)),
    }
}

fn fields_of(row: &Value, shape: &User) -> BTreeMap<String, String> {
    let fields = shape.attributes.iter();
    let fields = fields.filter_map(|(shown, at)| Some((shown.name().to_owned(), at.text(row)?)));
    let named = shape.account.as_ref().and_then(|at| at.text(row));
    let named = named.filter(|_| shape.known_by == KnownBy::Id);
    let named = named.map(|named| (NAMED.to_owned(), named));
    fields.chain(named).collect()
}

/// One of a list. Of whom it is not said whether they are active they are: nothing that
/// is to be ended is taken for ended. The same holds of whom that is not understood.
fn listed(row: &Value, shape: &User) -> Result<RemoteUser, UpstreamError> {
    let is_active = active(row, shape);
    let unreadable = is_active.is_err() && !is_unsaid(row, shape);
    Ok(RemoteUser {
        unreadable,
        ..account(row, shape, is_active.unwrap_or(true))?
    })
}

/// Where no account of a list says whether it is active, or none in a way that is
/// understood: how one of them says it.
pub(super) fn nobody_says(rows: &[Value], shape: &User) -> Option<UpstreamError> {
    let fits = |row: &&Value| {
        shape
            .only
            .as_ref()
            .is_none_or(|it| it.fits(row) == Some(true))
    };
    let accounts = rows.iter().filter(fits);
    let accounts = accounts.filter(|row| account_of(row, shape).is_some());
    let mut odd = None;
    for row in accounts {
        odd = Some(active(row, shape).err()?);
    }
    odd
}

pub(super) fn user(row: &Value, shape: &User) -> Result<RemoteUser, UpstreamError> {
    account(row, shape, active(row, shape)?)
}

fn account(row: &Value, shape: &User, active: bool) -> Result<RemoteUser, UpstreamError> {
    let account =
        account_of(row, shape).ok_or_else(|| unclear("a user without what it is known by"))?;
    let created = shape.created.as_ref().and_then(|at| at.moment(row));
    Ok(RemoteUser {
        account,
        active,
        created,
        fields: fields_of(row, shape),
        upstream_id: id_of(row, shape),
        ..RemoteUser::default()
    })
}

/// The groups of a list.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Each name once. Those without one are marked as such that cannot be read.
    pub(super) all: Vec<RemoteGroup>,
    /// Names that several have, so that by it none is known.
    pub(super) shared: HashSet<String>,
}

/// As of [`users`]. What has a name that others have too, and is known by it, is there,
/// and cannot be told apart.
pub(super) fn groups(rows: &[Value], shape: &Group) -> Result<Groups, UpstreamError> {
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        match shape
            .only
            .as_ref()
            .map_or(Some(true), |only| only.fits(row))
        {
            Some(false) => {}
            fits => all.push(group(row, shape, fits.is_some())),
        }
    }
    let named = all.iter().filter(|group| !group.unreadable);
    let shared = several(named.map(|group| group.name.clone()));
    let of_shared = all.iter().filter(|group| shared.contains(&group.name));
    let ids: Vec<Option<&String>> = of_shared.map(|group| group.fields.get(ID)).collect();
    if shape.known_by == KnownBy::Id && !shared.is_empty() || ids.iter().any(Option::is_none) {
        return Err(unclear("the list of groups names one of them twice"));
    }
    once(ids.into_iter().flatten().cloned(), "groups")?;
    let mut met = HashSet::new();
    all.retain(|group| !shared.contains(&group.name) || met.insert(group.name.clone()));
    Ok(Groups { all, shared })
}

fn group(row: &Value, shape: &Group, is_one: bool) -> RemoteGroup {
    let text = |at: &Option<Pointer>| at.as_ref().and_then(|at| at.text(row));
    let (id, called) = (text(&shape.id), text(&shape.name));
    let name = match shape.known_by {
        KnownBy::Id => id.clone(),
        KnownBy::Email | KnownBy::Name => called.clone(),
    };
    let name = name.filter(|_| is_one);
    let count = shape.member_count.as_ref();
    let read_only = shape.read_only.iter().find(|rule| rule.fits(row));
    let fields = [(ID, id), (CALLED, called)];
    RemoteGroup {
        unreadable: name.is_none(),
        read_only: match &name {
            Some(_) => read_only.map(|rule| rule.note.clone()),
            None => Some(NAMELESS.to_owned()),
        },
        name: name.unwrap_or_default(),
        member_count: count.and_then(|at| at.count(row)),
        fields: fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
        ..RemoteGroup::default()
    }
}

/// Why nobody can write a group.
const NAMELESS: &str = "it shows nothing that it is known by";

impl ReadOnly {
    fn fits(&self, row: &Value) -> bool {
        let (is, is_not) = (self.is.as_deref(), self.is_not.as_deref());
        is_nothing_meant((&self.at, row), is, is_not).unwrap_or_else(|| {
            let said = said(&self.at, row).unwrap_or_default();
            is_meant(&said, is, is_not)
        })
    }
}

impl Only {
    /// Where nothing is said, nobody knows of whom the entry is, unless that is what is
    /// asked.
    fn fits(&self, row: &Value) -> Option<bool> {
        let (is, is_not) = (self.is.as_deref(), self.is_not.as_deref());
        let fits = is_nothing_meant((&self.at, row), is, is_not);
        if fits.is_some() {
            return fits;
        }
        let said = said(&self.at, row);
        if said.is_none() && is.is_some() {
            return None;
        }
        Some(is_meant(&said.unwrap_or_default(), is, is_not))
    }
}

/// The word for nothing: no key, `null`, or an empty text.
const NOTHING: &str = "null";

/// Whether nothing is there, or something, where that is what is asked.
fn is_nothing_meant(
    (at, row): (&Pointer, &Value),
    is: Option<&str>,
    is_not: Option<&str>,
) -> Option<bool> {
    let asks = |word: Option<&str>| word.is_some_and(|it| it.eq_ignore_ascii_case(NOTHING));
    let nothing = match at.of(row) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => {
            let text = text.trim();
            text.is_empty() || text.eq_ignore_ascii_case(NOTHING)
        }
        Some(_) => false,
    };
    match (asks(is), asks(is_not)) {
        (true, _) => Some(nothing),
        (_, true) => Some(!nothing),
        _ => None,
    }
}

/// The text, number or flag that is there.
pub(super) fn said(at: &Pointer, row: &Value) -> Option<String> {
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
        let fits = match &shape.only {
            None => true,
            Some(only) => only.fits(row).ok_or_else(|| {
                unclear(format!(
                    "a member without what is at {}, which tells whether it is one",
                    only.at
                ))
            })?,
        };
        if fits {
            let of = member(row, shape);
            members.push(of.ok_or_else(|| unclear("a member without what it is known by"))?);
        }
    }
    once(
        members.iter().filter_map(|it| it.upstream_id.clone()),
        "members",
    )?;
    let accounts = members.iter().filter_map(|it| it.account.as_ref());
    let shared = several(accounts.map(|it| it.to_lowercase()));
    for member in &mut members {
        let is_shared = |account: &mut String| shared.contains(&account.to_lowercase());
        if member.account.take_if(is_shared).is_some() && member.upstream_id.is_none() {
            return Err(unclear("the list of members names one of them twice"));
        }
    }
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
            json!({ "mail": "a@b", "state": true }),
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
        assert!(!all([("1", "a@b"), ("1", "c@b")]) && !all([("1", "a@b"), ("1", "a@b")]));
        assert!(
            !all([("", "a@b"), ("2", "a@b")]),
            "nothing tells them apart"
        );
        assert!(
            all([("Ab", "a@b"), ("aB", "c@b")]),
            "ids can differ in case alone"
        );
    }

    #[test]
    fn who_does_not_say_whether_they_are_active_keeps_nobody_else_from_being_read() {
        let shape = settings().user;
        let row =
            |id: u8, state: Value| json!({ "id": id, "mail": format!("u{id}@b"), "state": state });
        let rows = [
            row(1, "on".into()),
            row(2, Value::Null),
            json!({ "id": 3, "mail": "u3@b" }),
            row(4, 5.into()),
            row(5, "off".into()),
        ];
        let found = users(&rows, &shape).unwrap();
        let read = found.iter().map(|it| (it.active, it.unreadable));
        let read: Vec<_> = read.collect();
        let (on, aside, off) = ((true, false), (true, true), (false, false));
        assert_eq!(read, [on, on, on, aside, off]);
        assert_eq!(found[3].account, "u4@b", "it is there");
        assert!(nobody_says(&rows, &shape).is_none());
        assert!(nobody_says(&rows[1..4], &shape).is_some());
        assert!(nobody_says(&[json!({ "id": 9 })], &shape).is_none());
    }

    #[test]
    fn rows_that_are_not_understood_are_no_reason_to_read_no_other() {
        let mut shape = settings().user;
        let row = |id: u8, mail: &str| json!({ "id": id, "mail": mail, "state": "on" });
        let rows = [
            row(1, "a@b"),
            row(2, "A@b"),
            row(3, "c@b"),
            json!({ "id": 4, "name": "Bot" }),
        ];
        let found = users(&rows, &shape).unwrap();
        assert_eq!(shared_addresses(&found), HashSet::from(["a@b".to_owned()]));
        let aside: Vec<_> = found.iter().filter(|it| it.unreadable).collect();
        assert_eq!(aside.len(), 1);
        assert_eq!((aside[0].account.as_str(), aside[0].active), ("", false));
        assert_eq!(aside[0].upstream_id.as_deref(), Some("4"));
        assert_eq!(aside[0].fields["displayName"], "Bot");

        let only: Settings =
            toml::from_str("user = { only = { at = \"/kind\", is = \"person\" } }").unwrap();
        shape.only = only.user.only;
        let kind = |kind: &str, mut row: Value| {
            row["kind"] = kind.into();
            row
        };
        let rows = [
            kind("person", row(1, "a@b")),
            kind("bot", json!({ "id": 2 })),
            row(3, "a@b"),
        ];
        let found = users(&rows, &shape).unwrap();
        let read = found
            .iter()
            .map(|it| (it.upstream_id.as_deref(), it.unreadable));
        let read: Vec<_> = read.collect();
        assert_eq!(
            read,
            [(Some("1"), false), (Some("3"), true)],
            "who says nothing is nobody"
        );
    }

    #[test]
    fn groups_that_share_a_name_are_there_once_and_marked() {
        let mut shape = settings().group;
        let row = |key: u8, name: Value| json!({ "key": key, "name": name });
        let rows = [
            row(1, "a".into()),
            row(2, "a".into()),
            row(3, "b".into()),
            row(4, Value::Null),
        ];
        let found = groups(&rows, &shape).unwrap();
        assert_eq!(found.shared, HashSet::from(["a".to_owned()]));
        let read = found.all.iter().map(|it| (it.name.as_str(), it.unreadable));
        assert_eq!(
            read.collect::<Vec<_>>(),
            [("a", false), ("b", false), ("", true)]
        );
        assert!(found.all[2].read_only.is_some());
        assert!(groups(&[row(1, "a".into()), row(1, "a".into())], &shape).is_err());
        assert!(groups(&[json!({ "name": "a" }), json!({ "name": "a" })], &shape).is_err());
        shape.known_by = KnownBy::Id;
        assert!(
            groups(&[row(1, "a".into()), row(2, "a".into())], &shape)
                .unwrap()
                .shared
                .is_empty()
        );
        assert!(groups(&[row(1, "a".into()), row(1, "b".into())], &shape).is_err());
        shape.known_by = KnownBy::Name;
        let only: Settings =
            toml::from_str("group = { only = { at = \"/key\", is_not = \"2\" } }").unwrap();
        shape.only = only.group.only;
        assert!(groups(&rows, &shape).unwrap().shared.is_empty());
    }

    #[test]
    fn groups_that_are_not_ours_to_write_say_why() {
        let shape = settings().group;
        let read = |row: Value| group(&row, &shape, true).read_only;
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
        assert!(group(&json!({ "key": "k" }), &shape, true).unreadable);
        assert!(
            groups(
                &[json!({ "name": "Ops" }), json!({ "name": "ops" })],
                &shape
            )
            .is_ok()
        );
    }

    #[test]
    fn that_nothing_is_there_can_be_asked_too() {
        let text = r#"
            user = { only = { at = "/left", is = "null" } }
            group = { name = "/name", read_only = [{ at = "/ends", is_not = "null", note = "it is about to be deleted" }] }
        "#;
        let shape: Settings = toml::from_str(text).unwrap();
        for (value, nothing) in [
            (json!({}), true),
            (json!({ "left": null, "ends": null }), true),
            (json!({ "left": "", "ends": " " }), true),
            (json!({ "left": "2026-01-01", "ends": "2026-01-01" }), false),
            (json!({ "left": {}, "ends": [] }), false),
            (json!({ "left": false, "ends": 0 }), false),
        ] {
            let only = shape.user.only.as_ref().unwrap();
            assert_eq!(only.fits(&value), Some(nothing), "{value}");
            let mut row = value.clone();
            row["name"] = "a".into();
            let read_only = group(&row, &shape.group, true).read_only;
            assert_eq!(read_only.is_none(), nothing, "{value}");
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
        let twins = [
            json!({ "id": 1, "mail": "a@b" }),
            json!({ "id": 2, "mail": "A@b" }),
        ];
        let found = members(&twins, &shape).unwrap();
        assert!(
            found.iter().all(|it| it.account.is_none()),
            "by their ids alone"
        );
        assert!(members(&[json!("a@b"), json!({ "id": 2, "mail": "a@b" })], &shape).is_err());
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
