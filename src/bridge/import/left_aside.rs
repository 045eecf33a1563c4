//! What an import leaves aside, because it shows nothing by which it is known, or what
//! others show too: it stays as it is, and is told with what it is called.

use std::collections::HashSet;

use super::twins;
use crate::{
    scim::resource::ResourceType,
    upstream::{RemoteGroup, RemoteUser, Upstream},
};

/// So many are named.
const NAMED: usize = 20;

const NAMELESS: &str = "it shows nothing that it is known by";
const UNREAD: &str =
    "it cannot be read (as whether it is active), or its id not be told from another one";
const SHARED: &str = "several accounts have this address";

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftAside {
    pub of: ResourceType,
    /// The application's id, where it shows one.
    pub id: Option<String>,
    /// What it is called, or the address; empty where that is nothing.
    pub name: String,
    pub why: &'static str,
}

/// The first of each kind; `twins`: addresses that several have.
pub(super) fn of<'a>(
    upstream: &dyn Upstream,
    users: &[RemoteUser],
    groups: impl Iterator<Item = &'a RemoteGroup>,
    twins: &HashSet<String>,
) -> Vec<LeftAside> {
    let users = users.iter();
    let users = users.filter_map(|user| of_user(upstream, user, twins));
    let groups = groups.filter_map(|group| of_group(upstream, group));
    users.take(NAMED).chain(groups.take(NAMED)).collect()
}

/// What an import would leave aside of what was read.
pub fn left_aside(
    upstream: &dyn Upstream,
    users: &[RemoteUser],
    groups: &[RemoteGroup],
) -> Vec<LeftAside> {
    // Whose several memberships are there, an import looks at more closely.
    let twins = match upstream.has_families() {
        true => HashSet::new(),
        false => twins::among(
            users
                .iter()
                .filter(|user| !user.unreadable)
                .filter_map(|user| Some((user.upstream_id.as_deref()?, user.account.as_str()))),
        ),
    };
    of(upstream, users, groups.iter(), &twins)
}

impl LeftAside {
    /// In words.
    pub fn told(&self) -> String {
        words(
            self.of.name(),
            (&self.name, self.id.as_deref().unwrap_or_default()),
            self.why,
        )
    }
}

/// What one is called, and why it is left aside.
pub fn words(of: &str, (name, id): (&str, &str), why: &str) -> String {
    let called = match (name, id) {
        ("", "") => "without a name or an id".to_owned(),
        ("", id) => format!("with the id {id}"),
        (name, "") => name.to_owned(),
        (name, id) => format!("{name} (id {id})"),
    };
    format!("{of} {called}: {why}")
}

fn of_user(
    upstream: &dyn Upstream,
    user: &RemoteUser,
    twins: &HashSet<String>,
) -> Option<LeftAside> {
    let is_shared = !user.unreadable && twins::is_one(twins, &user.account);
    if !is_shared && !user.unreadable {
        return None;
    }
    let shown = upstream.user_attributes(user, None);
    let called = shown.text("displayName").or(shown.text("userName"));
    let name = if is_shared {
        Some(user.account.as_str())
    } else {
        called
    };
    Some(LeftAside {
        of: ResourceType::User,
        id: user.upstream_id.clone(),
        name: name.unwrap_or_default().to_owned(),
        why: match user.account.as_str() {
            _ if is_shared => SHARED,
            "" => NAMELESS,
            _ => UNREAD,
        },
    })
}

fn of_group(upstream: &dyn Upstream, group: &RemoteGroup) -> Option<LeftAside> {
    group.unreadable.then(|| LeftAside {
        of: ResourceType::Group,
        id: group.fields.get("id").cloned(),
        name: upstream.shown_as(group),
        why: if group.name.is_empty() {
            NAMELESS
        } else {
            UNREAD
        },
    })
}
