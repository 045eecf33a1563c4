//! What Opsera answers, read defensively: most of its answer shapes were lost
//! from the public text, so lists may be bare or wrapped, messages text or
//! objects, members e-mails or whole users. What cannot be understood is
//! unclear, never a guess.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::{
    PROFILE,
    operations::{Key, Wire},
    refusals::doubt,
};
use crate::{
    plan::state::Principal,
    upstream::{
        MemberOutcome, RemoteGroup, RemoteMember, RemoteProfile, RemoteUser, UpstreamError,
        address::is_address, signs,
    },
};

/// At this length a list that has no paging may have been cut off silently.
const SUSPICIOUS: usize = 1_000;
/// Wrappers under which one object or list may stand.
const WRAPPERS: [&str; 7] = [
    "data", "result", "results", "user", "group", "person", "items",
];

/// Every account of a list.
pub(super) fn users(answer: &Value, wire: &Wire) -> Result<Vec<RemoteUser>, UpstreamError> {
    let rows = rows(answer, &["users"], "users")?;
    let mut seen = HashSet::new();
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let user = read_user(row, wire)?;
        let fresh = seen.insert(user.account.clone())
            && user.upstream_id.iter().all(|id| seen.insert(id.clone()));
        if !fresh {
            return Err(unclear("the list of users names one of them twice"));
        }
        found.push(user);
    }
    Ok(found)
}

/// Every People record of a list that says whose it is.
pub(super) fn people(answer: &Value, wire: &Wire) -> Result<Vec<RemoteProfile>, UpstreamError> {
    let rows = rows(answer, &["people", "persons"], "people")?;
    let record = |row: &Value| {
        Some(RemoteProfile {
            account: text(row, wire.key(Key::Email))?.to_lowercase(),
            fields: PROFILE
                .iter()
                .filter_map(|(name, key)| Some(((*name).to_owned(), text(row, wire.key(*key))?)))
                .collect(),
        })
    };
    Ok(rows.iter().filter_map(record).collect())
}

/// Every group of a list.
pub(super) fn groups(answer: &Value, wire: &Wire) -> Result<Vec<RemoteGroup>, UpstreamError> {
    let rows = rows(answer, &["groups"], "groups")?;
    let mut seen = HashSet::new();
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let group = read_group(row, wire)?;
        if !seen.insert(group.name.clone()) {
            return Err(unclear("the list of groups names one of them twice"));
        }
        found.push(group);
    }
    Ok(found)
}

/// Every member of a group.
pub(super) fn members(answer: &Value, wire: &Wire) -> Result<Vec<RemoteMember>, UpstreamError> {
    let rows = rows(
        answer,
        &[wire.key(Key::MemberList), "members", "users"],
        "members",
    )?;
    let mut seen = HashSet::new();
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let member = read_member(row, wire)?;
        let fresh = member.account.iter().all(|it| seen.insert(it.clone()))
            && member.upstream_id.iter().all(|it| seen.insert(it.clone()));
        if !fresh {
            return Err(unclear("the list of members names one of them twice"));
        }
        found.push(member);
    }
    Ok(found)
}

/// One account, bare or wrapped.
pub(super) fn user(answer: &Value, wire: &Wire) -> Result<RemoteUser, UpstreamError> {
    read_user(one(answer, wire.key(Key::Email)), wire)
}

/// One group, bare or wrapped.
pub(super) fn group(answer: &Value, wire: &Wire) -> Result<RemoteGroup, UpstreamError> {
    read_group(one(answer, wire.key(Key::GroupName)), wire)
}

/// The id of a new account, where the answer tells it, and not another account's.
pub(super) fn created_id(
    answer: &Value,
    account: &str,
    wire: &Wire,
) -> Result<Option<String>, UpstreamError> {
    let key = wire.key(Key::UserId);
    let made = one(answer, key);
    is_called(made, wire.key(Key::Email), account)?;
    Ok(text(made, key).filter(|id| is_user_id(id)))
}

/// An answer that shows what was made shows what was asked for.
pub(super) fn is_called(answer: &Value, key: &str, asked: &str) -> Result<(), UpstreamError> {
    let shown = text(one(answer, key), key);
    let other = shown.filter(|shown| shown.to_lowercase() != asked.to_lowercase());
    other.map_or(Ok(()), |_| {
        Err(unclear(
            "the answer is about another one than was asked for",
        ))
    })
}

/// What became of each member that was sent: applied when the list at `key`
/// names it by id or e-mail, else left out; unknown without a list, or where
/// something beside it tells of a failure.
pub(super) fn outcomes(
    answer: &Value,
    key: Key,
    sent: &[Principal],
    wire: &Wire,
) -> Vec<(crate::plan::state::UserKey, MemberOutcome)> {
    let listed = applied(answer, wire.key(key), wire)
        .filter(|_| doubt(answer).is_none() && !signs::of_members(answer, key == Key::Removed));
    let otherwise = if listed.is_some() {
        MemberOutcome::LeftOut
    } else {
        MemberOutcome::Unknown
    };
    let listed = listed.unwrap_or_default();
    let is_listed = |principal: &Principal| {
        listed.contains(&principal.account.to_lowercase())
            || principal
                .upstream_id
                .as_ref()
                .is_some_and(|id| listed.contains(&id.to_lowercase()))
    };
    sent.iter()
        .map(|principal| {
            let outcome = if is_listed(principal) {
                MemberOutcome::Applied
            } else {
                otherwise.clone()
            };
            (principal.user, outcome)
        })
        .collect()
}

/// The identifiers of an applied list, in lower case; `None` without a list.
pub(super) fn applied(answer: &Value, path: &str, wire: &Wire) -> Option<HashSet<String>> {
    let last = path.rsplit('.').next().unwrap_or(path);
    let list = at(answer, path).or_else(|| answer.get(last))?.as_array()?;
    let mut found = HashSet::with_capacity(list.len());
    for entry in list {
        if let Some(text) = entry.as_str() {
            found.insert(text.trim().to_lowercase());
        } else {
            let names = [wire.key(Key::UserId), "id", wire.key(Key::Email)];
            found.extend(
                names
                    .iter()
                    .filter_map(|name| text(entry, name))
                    .map(|text| text.to_lowercase()),
            );
        }
    }
    Some(found)
}

fn read_user(row: &Value, wire: &Wire) -> Result<RemoteUser, UpstreamError> {
    let email = text(row, wire.key(Key::Email))
        .ok_or_else(|| unclear("a user without an e-mail address"))?;
    let fields: BTreeMap<String, String> = USER_FIELDS
        .iter()
        .filter_map(|(name, key)| Some(((*name).to_owned(), text(row, wire.key(*key))?)))
        .collect();
    let mut lists = BTreeMap::new();
    for (name, key) in [("applications", Key::Applications), ("tools", Key::Tools)] {
        match row.get(wire.key(key)) {
            None | Some(Value::Null) => {}
            Some(Value::Array(entries)) => {
                let texts: Option<Vec<_>> = entries
                    .iter()
                    .map(|entry| entry.as_str().map(str::to_owned))
                    .collect();
                let texts =
                    texts.ok_or_else(|| unclear(format!("{name} of a user hold no text")))?;
                lists.insert(name.to_owned(), texts);
            }
            Some(_) => return Err(unclear(format!("{name} of a user are no list"))),
        }
    }
    let active = match row.get(wire.key(Key::Active)) {
        // Lists and searches only show active accounts.
        None | Some(Value::Null) => true,
        Some(Value::Bool(active)) => *active,
        Some(_) => return Err(unclear("active of a user is neither true nor false")),
    };
    Ok(RemoteUser {
        account: email.to_lowercase(),
        upstream_id: text(row, wire.key(Key::UserId)).or_else(|| text(row, "id")),
        active,
        unreadable: false,
        idle: false,
        has: Vec::new(),
        created: fields
            .get("createdAt")
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .map(jiff::Timestamp::as_millisecond),
        fields,
        lists,
    })
}

/// Fields of a user by the names used in the bridge.
const USER_FIELDS: [(&str, Key); 9] = [
    ("firstName", Key::FirstName),
    ("lastName", Key::LastName),
    ("sso", Key::Sso),
    ("organizationName", Key::OrganizationName),
    ("division", Key::Division),
    ("domain", Key::Domain),
    ("siteRole", Key::SiteRole),
    ("createdAt", Key::CreatedAt),
    ("updatedAt", Key::UpdatedAt),
];

fn read_group(row: &Value, wire: &Wire) -> Result<RemoteGroup, UpstreamError> {
    let name =
        text(row, wire.key(Key::GroupName)).ok_or_else(|| unclear("a group without a name"))?;
    let kind = text(row, wire.key(Key::GroupType));
    let synced = match row.get(wire.key(Key::Synced)) {
        None | Some(Value::Null) => false,
        Some(Value::Bool(synced)) => *synced,
        Some(Value::String(word)) => word.eq_ignore_ascii_case("true"),
        Some(_) => {
            return Err(unclear(
                "the sync mark of a group is neither true nor false",
            ));
        }
    };
    let read_only = if synced {
        Some("another directory keeps this Opsera group in sync, so it is never written".to_owned())
    } else {
        kind.as_ref()
            .filter(|kind| !kind.eq_ignore_ascii_case("user"))
            .map(|kind| {
                format!(
                    "this Opsera group is of type {kind:?}; only groups of type user are written"
                )
            })
    };
    Ok(RemoteGroup {
        name,
        read_only,
        member_count: row.get(wire.key(Key::MemberCount)).and_then(Value::as_u64),
        kind,
        synced,
        unreadable: false,
        family: None,
        created: None,
        fields: BTreeMap::new(),
    })
}

fn read_member(row: &Value, wire: &Wire) -> Result<RemoteMember, UpstreamError> {
    let found = match row {
        Value::String(text) if is_address(text.trim()) => RemoteMember {
            account: Some(text.trim().to_lowercase()),
            ..RemoteMember::default()
        },
        Value::String(text) if is_user_id(text) => RemoteMember {
            upstream_id: Some(text.clone()),
            ..RemoteMember::default()
        },
        Value::Object(_) => RemoteMember {
            upstream_id: text(row, wire.key(Key::UserId)).or_else(|| text(row, "id")),
            account: text(row, wire.key(Key::Email)).map(|email| email.to_lowercase()),
            covers: false,
            unclear: false,
        },
        _ => RemoteMember::default(),
    };
    if found == RemoteMember::default() {
        return Err(unclear(
            "a member that is neither a user nor an e-mail address",
        ));
    }
    Ok(found)
}

/// The array of a list answer: bare, under one of `names`, under a usual
/// wrapper, or the only array there is.
fn rows<'a>(
    answer: &'a Value,
    names: &[&str],
    what: &str,
) -> Result<&'a Vec<Value>, UpstreamError> {
    let found = list_in(answer, names).or_else(|| {
        WRAPPERS
            .iter()
            .filter_map(|wrapper| answer.get(wrapper))
            .find_map(|inner| list_in(inner, names))
    });
    let rows = found.ok_or_else(|| unclear(format!("the answer holds no list of {what}")))?;
    for key in ["count", "total", "totalCount", "memberCount"] {
        let said = answer.get(key).and_then(Value::as_u64);
        if said.is_some_and(|said| said > rows.len() as u64) {
            return Err(unclear(format!(
                "the list of {what} is cut off: it says {}, and holds {}",
                said.unwrap_or_default(),
                rows.len()
            )));
        }
    }
    if rows.len() == SUSPICIOUS {
        tracing::warn!(
            list = what,
            "a list of exactly {SUSPICIOUS} entries: Opsera may have cut it off silently"
        );
    }
    Ok(rows)
}

fn list_in<'a>(answer: &'a Value, names: &[&str]) -> Option<&'a Vec<Value>> {
    match answer {
        Value::Array(rows) => Some(rows),
        Value::Object(map) => {
            if let Some(rows) = names.iter().find_map(|name| at(answer, name)?.as_array()) {
                return Some(rows);
            }
            let mut arrays = map.values().filter_map(Value::as_array);
            let only = arrays.next();
            only.filter(|_| arrays.next().is_none())
        }
        _ => None,
    }
}

/// The object that has `key`: the answer itself, the only entry of a list, or
/// what stands in a usual wrapper.
fn one<'a>(answer: &'a Value, key: &str) -> &'a Value {
    if at(answer, key).is_some() {
        return answer;
    }
    if let Value::Array(rows) = answer
        && let [only] = rows.as_slice()
    {
        return only;
    }
    WRAPPERS
        .iter()
        .filter_map(|wrapper| answer.get(wrapper))
        .find(|inner| at(inner, key).is_some())
        .unwrap_or(answer)
}

/// A value by a dotted path.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

fn text(value: &Value, path: &str) -> Option<String> {
    let text = at(value, path)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// 24 hexadecimal digits.
pub(super) fn is_user_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn unclear(what: impl Into<String>) -> UpstreamError {
    UpstreamError::Unknown {
        reason: what.into(),
    }
}

#[cfg(test)]
mod tests;
