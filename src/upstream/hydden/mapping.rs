//! From accounts and groups of Hydden.Control to SCIM attributes, as pure
//! functions. Nothing goes the other way.

use serde_json::{Map, Value, json};

use super::schemas::{GROUP_EXTENSION, USER_EXTENSION};
use crate::{
    scim::{resource::Attributes, schema::ENTERPRISE},
    upstream::{RemoteGroup, RemoteUser},
};

pub(super) fn user_attributes(remote: &RemoteUser) -> Attributes {
    let field = |name: &str| {
        remote
            .fields
            .get(name)
            .map(|text| Value::from(text.as_str()))
    };
    let mut user = Map::new();
    let user_name = field("userName").unwrap_or_else(|| remote.account.as_str().into());
    user.insert("userName".into(), user_name);
    if let Some(name) = field("displayName") {
        user.insert("displayName".into(), name);
    }
    if let Some(email) = field("email") {
        let emails = json!([{ "value": email, "type": "work", "primary": true }]);
        user.insert("emails".into(), emails);
    }
    user.insert("active".into(), remote.active.into());
    if let Some(department) = field("department") {
        user.insert(ENTERPRISE.into(), json!({ "department": department }));
    }
    let own = object([
        ("account", remote.upstream_id.as_deref().map(Value::from)),
        ("accountName", field("name")),
        ("dataSource", field("dataSource")),
        ("status", field("status")),
    ]);
    user.insert(USER_EXTENSION.into(), own.into());
    Attributes(user)
}

pub(super) fn group_attributes(remote: &RemoteGroup) -> Attributes {
    let field = |name: &str| {
        remote
            .fields
            .get(name)
            .map(|text| Value::from(text.as_str()))
    };
    let mut group = Map::new();
    let called = field("displayName").unwrap_or_else(|| remote.name.as_str().into());
    group.insert("displayName".into(), called);
    let privileged = remote.fields.get("privileged");
    let own = object([
        ("group", Some(remote.name.as_str().into())),
        ("description", field("description")),
        ("type", remote.kind.as_deref().map(Value::from)),
        ("privileged", privileged.map(|text| (text == "true").into())),
    ]);
    group.insert(GROUP_EXTENSION.into(), own.into());
    Attributes(group)
}

fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}
