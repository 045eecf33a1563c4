//! Between SCIM attributes and what Opsera can hold, as pure functions.
//!
//! Opsera knows an account by its e-mail address, has one site role, takes a
//! few fields at creation, and keeps a profile in its People records. What has
//! no place there stays in the bridge and is not looked at here.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    schemas::{GROUP_EXTENSION, USER_EXTENSION},
    settings::{SITE_ROLES, Settings, UnknownRoles, site_role},
    slug,
};
use crate::{
    plan::state::Account,
    scim::{
        error::{Problem, ScimType},
        resource::Attributes,
        schema::ENTERPRISE,
    },
    upstream::{Projection, RemoteGroup, RemoteProfile, RemoteUser, address::account_key},
};

/// What Opsera can hold of a user.
pub(super) fn project(user: &Attributes, settings: &Settings) -> Result<Projection, Problem> {
    let key = account_key(user);
    let mut profile = BTreeMap::new();
    if settings.people {
        profile = profile_fields(user);
    }
    let mut creation = BTreeMap::new();
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            creation.insert(name.to_owned(), value.to_owned());
        }
    };
    put(
        "preferredName",
        extension(user, "preferredName").or_else(|| user.text("nickName")),
    );
    put("title", user.text("title"));
    put(
        "location",
        extension(user, "location").or_else(|| locality(user)),
    );
    put("division", user.nested(ENTERPRISE, "division"));
    if let Some(key) = &key {
        let (first, last) = names(user, key);
        for (name, value) in [("firstName", first), ("lastName", last)] {
            creation.insert(name.to_owned(), value);
        }
    }
    Ok(Projection {
        key,
        account: Account {
            active: user.active(),
            role: role(user, settings.unknown_roles)?,
            profile,
            creation,
        },
    })
}

fn role(user: &Attributes, unknown: UnknownRoles) -> Result<Option<String>, Problem> {
    let Some(roles) = user.0.get("roles").and_then(Value::as_array) else {
        return Ok(None);
    };
    let chosen = roles
        .iter()
        .find(|role| role.get("primary") == Some(&Value::Bool(true)))
        .or_else(|| roles.first());
    let Some(value) = chosen.and_then(|role| role.get("value").unwrap_or(role).as_str()) else {
        return Ok(None);
    };
    match (site_role(value), unknown) {
        (Some(role), _) => Ok(Some(role.to_owned())),
        (None, UnknownRoles::Local) => Ok(None),
        (None, UnknownRoles::Refuse) => Err(Problem::bad(
            ScimType::InvalidValue,
            format!(
                "roles: {value:?} is no Opsera site role; send one of {}",
                SITE_ROLES.join(", ")
            ),
        )),
    }
}

fn profile_fields(user: &Attributes) -> BTreeMap<String, String> {
    [
        ("firstName", user.nested("name", "givenName")),
        ("lastName", user.nested("name", "familyName")),
        ("organization", user.nested(ENTERPRISE, "organization")),
        ("businessUnit", user.nested(ENTERPRISE, "division")),
        ("department", user.nested(ENTERPRISE, "department")),
        ("group", extension(user, "group")),
        ("team", extension(user, "team")),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
    .collect()
}

/// Both names, which creation demands: from `name`, else from what the user
/// is called, else from the address.
fn names(user: &Attributes, key: &str) -> (String, String) {
    let called = user
        .text("displayName")
        .or_else(|| user.nested("name", "formatted"))
        .unwrap_or_default()
        .trim();
    let local = key.split('@').next().unwrap_or(key);
    let (first, last) = called.split_once(' ').unwrap_or((called, ""));
    let pick = |given: Option<&str>, guess: &str| {
        let guess = if guess.trim().is_empty() {
            local
        } else {
            guess
        };
        given.unwrap_or(guess.trim()).to_owned()
    };
    (
        pick(user.nested("name", "givenName"), first),
        pick(user.nested("name", "familyName"), last),
    )
}

fn extension<'a>(user: &'a Attributes, name: &str) -> Option<&'a str> {
    user.nested(USER_EXTENSION, name)
}

fn locality(user: &Attributes) -> Option<&str> {
    let addresses = user.0.get("addresses")?.as_array()?;
    let work = addresses
        .iter()
        .find(|address| address.get("type").and_then(Value::as_str) == Some("work"));
    work.or(addresses.first())?.get("locality")?.as_str()
}

/// The Opsera name for a new group.
pub(super) fn group_name(display_name: &str, settings: &Settings) -> Result<String, Problem> {
    let display_name = display_name.trim();
    let table = &settings.group_names;
    let said = table.get(display_name).or_else(|| {
        table
            .iter()
            .find(|(key, _)| key.to_lowercase() == display_name.to_lowercase())
            .map(|(_, name)| name)
    });
    let name = match said {
        Some(name) => name.clone(),
        None => slug::of(display_name).ok_or_else(|| {
            Problem::bad(
                ScimType::InvalidValue,
                format!(
                    "displayName: no Opsera group name can be made of {display_name:?} ({}); \
                     rename the group, or give it a name under group_names in the \
                     connection's configuration",
                    slug::RULE
                ),
            )
        })?,
    };
    if is_protected(display_name, settings) || is_protected(&name, settings) {
        return Err(Problem::new(403, protected_reason(&name)));
    }
    Ok(name)
}

/// Whether the administrator keeps the bridge from a group.
pub(super) fn is_protected(name: &str, settings: &Settings) -> bool {
    settings
        .protected_groups
        .iter()
        .any(|listed| listed.to_lowercase() == name.to_lowercase())
}

pub(super) fn protected_reason(name: &str) -> String {
    format!(
        "the Opsera group {name:?} is listed under protected_groups in the connection's \
         configuration, so it is never written from here"
    )
}

/// An account, with its People record where there is one, as a SCIM user. The
/// record is what changes are written to, so it goes first.
pub(super) fn user_attributes(remote: &RemoteUser, profile: Option<&RemoteProfile>) -> Attributes {
    let recorded = |name: &str| {
        let value = profile.and_then(|record| record.fields.get(name));
        value.filter(|value| !value.is_empty())
    };
    let field = |name: &str| {
        let said = remote.fields.get(name).filter(|value| !value.is_empty());
        recorded(name).or(said)
    };
    let mut user = Map::new();
    user.insert("userName".into(), remote.account.clone().into());
    let full: Vec<&str> = ["firstName", "lastName"]
        .iter()
        .filter_map(|name| field(name).map(String::as_str))
        .collect();
    if !full.is_empty() {
        let formatted = full.join(" ");
        let mut name = object([
            ("givenName", field("firstName")),
            ("familyName", field("lastName")),
        ]);
        name.insert("formatted".into(), formatted.clone().into());
        user.insert("name".into(), name.into());
        user.insert("displayName".into(), formatted.into());
    }
    user.insert(
        "emails".into(),
        json!([{ "value": remote.account, "type": "work", "primary": true }]),
    );
    user.insert("active".into(), remote.active.into());
    if let Some(role) = field("siteRole") {
        user.insert("roles".into(), json!([{ "value": role, "primary": true }]));
    }
    let mut entitlements = Vec::new();
    for (list, kind) in [("applications", "application"), ("tools", "tool")] {
        for value in remote.lists.get(list).into_iter().flatten() {
            entitlements.push(json!({ "value": value, "type": kind }));
        }
    }
    if !entitlements.is_empty() {
        user.insert("entitlements".into(), entitlements.into());
    }
    let enterprise = object([
        (
            "organization",
            recorded("organization").or(field("organizationName")),
        ),
        ("division", recorded("businessUnit").or(field("division"))),
        ("department", recorded("department")),
    ]);
    if !enterprise.is_empty() {
        user.insert(ENTERPRISE.into(), enterprise.into());
    }
    let own = object([
        ("ssoSystem", field("sso")),
        ("domain", field("domain")),
        ("organization", field("organizationName")),
        ("group", recorded("group")),
        ("team", recorded("team")),
    ]);
    if !own.is_empty() {
        user.insert(USER_EXTENSION.into(), own.into());
    }
    Attributes(user)
}

/// A group as a SCIM group, without its members.
pub(super) fn group_attributes(remote: &RemoteGroup) -> Attributes {
    let mut attributes = Attributes::default();
    attributes
        .0
        .insert("displayName".into(), remote.name.clone().into());
    adorn_group(&mut attributes, &remote.name);
    if let Some(Value::Object(own)) = attributes.0.get_mut(GROUP_EXTENSION) {
        if let Some(kind) = &remote.kind {
            own.insert("type".into(), kind.clone().into());
        }
        own.insert("synced".into(), remote.synced.into());
    }
    attributes
}

/// Lays the Opsera name into a group; what else is known there stays.
pub(super) fn adorn_group(attributes: &mut Attributes, name: &str) {
    let own = attributes
        .0
        .entry(GROUP_EXTENSION)
        .or_insert_with(|| Value::Object(Map::new()));
    if !own.is_object() {
        *own = Value::Object(Map::new());
    }
    if let Some(own) = own.as_object_mut() {
        own.insert("name".into(), name.into());
    }
}

fn object<const N: usize>(fields: [(&str, Option<&String>); N]) -> Map<String, Value> {
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?.as_str()))))
        .collect()
}

#[cfg(test)]
mod tests;
