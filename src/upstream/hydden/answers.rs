//! From Hydden.Control's answers to what the engine knows of groups, members
//! and accounts. Only direct members are members: whoever is in a group through
//! another one cannot be taken out of it. Names and addresses need not be
//! unique there, and must be in SCIM, so a second one carries its id.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    capabilities::NO_MEMBERS,
    wire::{Account, Entry, Group, Members, MembershipType, Named},
};
use crate::{
    scim::filter::fold_case,
    upstream::{Millis, RemoteGroup, RemoteMember, RemoteUser, UpstreamError},
};

/// Reads an answer whole, or not at all.
pub(super) fn read<T: DeserializeOwned>(answer: Value, what: &str) -> Result<T, UpstreamError> {
    serde_json::from_value(answer)
        .map_err(|error| unclear(format!("the answer is no {what}: {error}")))
}

/// A group as it was made or changed, where that is the one that was meant, and
/// called as it was to be.
pub(super) fn written(
    answer: Value,
    id: Option<&str>,
    title: &str,
) -> Result<Group, UpstreamError> {
    let group: Group = read(answer, "group")?;
    let is_meant = id.map_or(!group.id.is_empty(), |id| group.id == id);
    if !is_meant {
        return Err(unclear("the answer is about another group"));
    }
    // It may trim a name.
    if group.name.trim() != title.trim() {
        return Err(unclear("the answer shows another name than was asked for"));
    }
    Ok(group)
}

/// Who is directly in a group.
pub(super) fn members(list: &Members) -> Result<Vec<RemoteMember>, UpstreamError> {
    let said = list.count.unwrap_or_default();
    if said > list.members.len() as u64 {
        return Err(unclear(format!(
            "the list of members is cut off: it says {said}, and holds {}",
            list.members.len()
        )));
    }
    let direct = list.members.iter();
    let direct = direct.filter(|member| member.membership_type == MembershipType::Direct);
    let mut seen = HashSet::new();
    direct
        .map(|member| {
            if !seen.insert(&member.id) {
                return Err(unclear("the list of members names one of them twice"));
            }
            Ok(RemoteMember {
                upstream_id: Some(member.id.clone()),
                account: Some(member.id.to_lowercase()),
                covers: false,
                unclear: false,
            })
        })
        .collect()
}

/// Every account, each with a userName of its own.
pub(super) fn accounts(list: Vec<Entry<Account>>) -> Result<Vec<RemoteUser>, UpstreamError> {
    let (mut list, left_out) = sorted_out(list, "accounts")?;
    list.sort_by(|a, b| a.id.cmp(&b.id));
    let mut taken = HashSet::new();
    let users = list.into_iter().map(|account| {
        let called = unique(user_name(&account), &account.id, &mut taken);
        user(account, called)
    });
    let left_out = left_out.into_iter().map(|id| RemoteUser {
        account: id.to_lowercase(),
        upstream_id: Some(id),
        unreadable: true,
        ..RemoteUser::default()
    });
    Ok(users.chain(left_out).collect())
}

/// Every group, each with a displayName of its own.
pub(super) fn groups(list: Vec<Entry<Group>>) -> Result<Vec<RemoteGroup>, UpstreamError> {
    let (mut list, left_out) = sorted_out(list, "groups")?;
    list.sort_by(|a, b| a.id.cmp(&b.id));
    let mut taken = HashSet::new();
    let groups = list.into_iter().map(|found| {
        let called = unique(found.name.trim(), &found.id, &mut taken);
        group(found, called)
    });
    let left_out = left_out.into_iter().map(|id| RemoteGroup {
        name: id,
        read_only: Some(NO_MEMBERS.to_owned()),
        unreadable: true,
        ..RemoteGroup::default()
    });
    Ok(groups.chain(left_out).collect())
}

/// Those that are called exactly so and are not older. Of one whose age is not told, or
/// cannot be read, nothing is known.
pub(super) fn called(list: Vec<Group>, title: &str, since: Millis) -> Vec<RemoteGroup> {
    let same = list.into_iter().filter(|group| group.name == title);
    let young = same.filter(|group| {
        let created = moment(group.created_at.as_deref());
        created.is_none_or(|created| created >= since)
    });
    young.map(one_group).collect()
}

fn moment(text: Option<&str>) -> Option<Millis> {
    let moment = text?.parse::<jiff::Timestamp>().ok()?;
    Some(moment.as_millisecond())
}

/// One account by itself, which says nothing about who else is called so.
pub(super) fn account(found: Account) -> RemoteUser {
    let called = user_name(&found).to_owned();
    user(found, called)
}

/// One group by itself.
pub(super) fn one_group(found: Group) -> RemoteGroup {
    let called = found.name.trim().to_owned();
    group(found, called)
}

/// Those that can be read and told apart, and the ids of the others: of none of
/// them it is said that it is not there. Where that is all of a list, it is the
/// list that is not understood.
fn sorted_out<T: Named>(
    list: Vec<Entry<T>>,
    what: &str,
) -> Result<(Vec<T>, Vec<String>), UpstreamError> {
    let mut met: HashMap<String, usize> = HashMap::new();
    for entry in &list {
        if entry.id().is_empty() {
            return Err(unclear(format!("one of the {what} has no id")));
        }
        *met.entry(entry.id().to_lowercase()).or_default() += 1;
    }
    let (mut whole, mut left_out) = (Vec::with_capacity(list.len()), Vec::new());
    for entry in list {
        // Letter case is not told apart further on.
        let alone = met.get(&entry.id().to_lowercase()) == Some(&1);
        match entry {
            Entry::Whole(it) if alone => whole.push(it),
            other => left_out.push(other.id().to_owned()),
        }
    }
    if whole.is_empty() && !left_out.is_empty() {
        return Err(unclear(format!(
            "none of the {what} can be read and told apart"
        )));
    }
    for id in &left_out {
        tracing::debug!(list = what, id, "left out");
    }
    Ok((whole, left_out))
}

/// The address where there is one, because identity providers look people up
/// by it; else the account's name.
fn user_name(account: &Account) -> &str {
    let said = [&account.email, &account.name];
    let said = said.into_iter().flatten().map(|text| text.trim());
    said.into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or(&account.id)
}

/// By what SCIM compares, which is more than letter case.
fn unique(wanted: &str, id: &str, taken: &mut HashSet<String>) -> String {
    let mut called = if wanted.is_empty() { id } else { wanted }.to_owned();
    if !taken.insert(fold_case(&called)) {
        called = format!("{called} ({id})");
        taken.insert(fold_case(&called));
    }
    called
}

fn user(account: Account, called: String) -> RemoteUser {
    let fields = [
        ("userName", Some(called)),
        ("name", account.name),
        ("email", account.email),
        ("displayName", account.display_name),
        ("department", account.department),
        ("dataSource", account.data_source_id),
        ("status", account.status.clone()),
    ];
    let created = moment(account.created_at.as_deref());
    RemoteUser {
        account: account.id.to_lowercase(),
        upstream_id: Some(account.id),
        // "active" is the only status that is documented.
        unreadable: false,
        idle: false,
        has: Vec::new(),
        active: account
            .status
            .is_none_or(|status| status.eq_ignore_ascii_case("active")),
        created,
        fields: texts(fields),
        lists: BTreeMap::new(),
    }
}

fn group(found: Group, called: String) -> RemoteGroup {
    let created = moment(found.created_at.as_deref());
    let privileged = found.is_privileged.map(|it| it.to_string());
    RemoteGroup {
        read_only: Some(NO_MEMBERS.to_owned()),
        member_count: found.member_count,
        kind: found.kind,
        synced: false,
        unreadable: false,
        family: None,
        created,
        fields: texts([
            ("displayName", Some(called)),
            ("description", found.description),
            ("privileged", privileged),
        ]),
        name: found.id,
    }
}

fn texts<const N: usize>(fields: [(&str, Option<String>); N]) -> BTreeMap<String, String> {
    let said = fields.into_iter().filter_map(|(name, value)| {
        let value = value?.trim().to_owned();
        (!value.is_empty()).then(|| (name.to_owned(), value))
    });
    said.collect()
}

pub(super) fn unclear(reason: impl Into<String>) -> UpstreamError {
    UpstreamError::Unknown {
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn listed(value: Value) -> Result<Vec<RemoteMember>, UpstreamError> {
        members(&read(value, "list of members")?)
    }

    #[test]
    fn only_direct_members_are_members() {
        let found = listed(json!({ "members": [
            { "id": "acc-1", "membership_type": "direct", "status": "active" },
            { "id": "acc-2", "membership_type": "indirect" },
        ], "count": 2 }));
        let ids: Vec<_> = found.unwrap().into_iter().map(|m| m.upstream_id).collect();
        assert_eq!(ids, [Some("acc-1".to_owned())]);
    }

    #[test]
    fn a_list_that_is_cut_off_or_not_understood_is_unclear() {
        for wrong in [
            json!({ "members": [], "count": 1 }),
            json!({ "members": [{ "id": "acc-1" }] }),
            json!({ "members": [{ "id": "acc-1", "membership_type": "nested" }] }),
            json!({ "members": [{ "id": 5, "membership_type": "direct" }] }),
            json!({ "members": [
                { "id": "acc-1", "membership_type": "direct" },
                { "id": "acc-1", "membership_type": "direct" },
            ] }),
            json!({ "count": 0 }),
            json!([]),
        ] {
            let found = listed(wrong.clone());
            assert!(
                matches!(found, Err(UpstreamError::Unknown { .. })),
                "{wrong}"
            );
        }
    }

    #[test]
    fn only_what_is_called_exactly_so_and_is_young_enough_may_have_been_made_from_here() {
        let list = json!([
            { "id": "old", "name": "Crew", "created_at": "2026-01-01T00:00:00Z" },
            { "id": "new", "name": "Crew", "created_at": "2026-01-01T00:00:01Z" },
            { "id": "like", "name": "Crew 2", "created_at": "2026-01-02T00:00:00Z" },
            { "id": "case", "name": "crew", "created_at": "2026-01-02T00:00:00Z" },
            { "id": "ageless", "name": "Crew" },
        ]);
        let since = moment(Some("2026-01-01T00:00:01Z")).unwrap();
        let found = called(read(list, "list").unwrap(), "Crew", since);
        let ids: Vec<_> = found.into_iter().map(|group| group.name).collect();
        assert_eq!(ids, ["new", "ageless"]);
    }

    #[test]
    fn what_cannot_be_read_or_told_apart_is_left_out_and_still_there() {
        let list = json!([
            { "id": "acc-1", "name": "ann" },
            { "id": "acc-2", "name": "ben", "status": 7 },
            { "id": "acc-3", "name": "cat" },
            { "id": "ACC-3", "name": "dan" },
        ]);
        let users = accounts(read(list, "list").unwrap()).unwrap();
        let told: Vec<_> = users
            .iter()
            .map(|user| (user.account.as_str(), user.unreadable))
            .collect();
        let left_out = [("acc-2", true), ("acc-3", true), ("acc-3", true)];
        assert_eq!(told[0], ("acc-1", false));
        assert_eq!(told[1..], left_out);
        let list = json!([{ "id": "g1", "name": "Crew" }, { "id": "g2", "name": 5 }]);
        let groups = groups(read(list, "list").unwrap()).unwrap();
        let told: Vec<_> = groups
            .iter()
            .map(|group| (group.name.as_str(), group.unreadable))
            .collect();
        assert_eq!(told, [("g1", false), ("g2", true)]);
        let refused = |list| {
            let list = read(list, "list");
            list.and_then(accounts).is_err()
        };
        assert!(
            refused(json!([{ "id": "acc-1", "status": 7 }])),
            "all of it"
        );
        assert!(refused(json!([{ "id": "acc-1" }, { "id": 5 }])));
        assert!(refused(json!([{ "id": "acc-1" }, { "name": "ann" }])));
        assert!(refused(json!([{ "id": "acc-1" }, { "id": "" }])));
    }

    #[test]
    fn accounts_that_share_an_address_stay_apart() {
        let list = json!([
            { "id": "acc-2", "name": "ann", "email": "ann@example.com", "status": "suspended" },
            { "id": "acc-1", "name": "a.nn", "email": "Ann@example.com", "status": "active" },
            { "id": "acc-3", "name": "robot" },
            { "id": "acc-4", "name": "ｒｏｂｏｔ" },
        ]);
        let users = accounts(read(list, "list").unwrap()).unwrap();
        let told: Vec<_> = users
            .iter()
            .map(|user| (user.fields["userName"].as_str(), user.active))
            .collect();
        assert_eq!(
            told,
            [
                ("Ann@example.com", true),
                ("ann@example.com (acc-2)", false),
                ("robot", true),
                ("ｒｏｂｏｔ (acc-4)", true)
            ]
        );
    }
}
