//! Between Snyk's users and roles and SCIM attributes, as pure functions. Of a
//! SCIM user Snyk can hold nothing but whether it is there.

use serde_json::{Map, Value, json};

use super::{
    families::ids,
    schemas::{GROUP_EXTENSION, USER_EXTENSION},
};
use crate::{
    plan::state::Account,
    scim::resource::Attributes,
    upstream::{Projection, RemoteGroup, RemoteUser, address::email_key},
};

/// What Snyk can hold of a user.
pub(super) fn project(user: &Attributes) -> Projection {
    Projection {
        key: email_key(user),
        account: Account {
            active: user.active(),
            ..Account::default()
        },
    }
}

pub(super) fn user_attributes(remote: &RemoteUser) -> Attributes {
    let field = |name: &str| remote.fields.get(name).map(|text| text.as_str().into());
    let mut user = Map::new();
    user.insert("userName".into(), remote.account.as_str().into());
    if let Some(name) = field("displayName") {
        user.insert("displayName".into(), name);
    }
    let emails = json!([{ "value": remote.account, "type": "work", "primary": true }]);
    user.insert("emails".into(), emails);
    user.insert("active".into(), remote.active.into());
    let own = object([
        ("user", remote.upstream_id.as_deref().map(Value::from)),
        ("username", field("username")),
    ]);
    user.insert(USER_EXTENSION.into(), own.into());
    Attributes(user)
}

pub(super) fn group_attributes(remote: &RemoteGroup) -> Attributes {
    let field = |name: &str| {
        let text = remote.fields.get(name).filter(|text| !text.is_empty());
        text.map(|text| text.as_str().into())
    };
    let mut group = Map::new();
    let called = field("displayName").unwrap_or_else(|| remote.name.as_str().into());
    group.insert("displayName".into(), called);
    let own = object([
        ("group", field("group")),
        ("groupName", field("groupName")),
        ("role", field("role")),
        ("roleName", field("roleName")),
    ]);
    group.insert(GROUP_EXTENSION.into(), own.into());
    Attributes(group)
}

/// What a role is called by a group that stands for it.
pub(super) fn role_name(shown: &Attributes) -> Option<&str> {
    shown.0.get(GROUP_EXTENSION)?.get("roleName")?.as_str()
}

/// Lays the ids of Snyk Group and role into a group; what else is known there
/// stays.
pub(super) fn adorn_group(attributes: &mut Attributes, name: &str) {
    let Some((group, role)) = ids(name) else {
        return;
    };
    let own = attributes
        .0
        .entry(GROUP_EXTENSION)
        .or_insert_with(|| Value::Object(Map::new()));
    if !own.is_object() {
        *own = Value::Object(Map::new());
    }
    if let Some(own) = own.as_object_mut() {
        own.insert("group".into(), group.into());
        own.insert("role".into(), role.into());
    }
}

fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_user_is_known_by_its_address_and_nothing_else_is_held() {
        let user = json!({ "userName": "Ann@Example.com", "title": "Lead", "active": false });
        let projection = project(&serde_json::from_value(user).unwrap());
        assert_eq!(projection.key.as_deref(), Some("ann@example.com"));
        assert_eq!(projection.account, Account::default());
        // A name that looks like an address is not what Snyk knows.
        let user = json!({
            "userName": "ann@corp.example.net",
            "emails": [{ "value": "x@example.com" }, { "value": "Ann@Example.com", "primary": true }],
        });
        let projection = project(&serde_json::from_value(user).unwrap());
        assert_eq!(projection.key.as_deref(), Some("ann@example.com"));
    }

    #[test]
    fn what_is_there_is_shown_with_its_ids() {
        let remote = RemoteUser {
            account: "ann@example.com".into(),
            upstream_id: Some("u-1".into()),
            active: true,
            fields: [
                ("displayName".to_owned(), "Ann Arden".to_owned()),
                ("username".to_owned(), "ann".to_owned()),
            ]
            .into(),
            ..RemoteUser::default()
        };
        let shown = Value::from(user_attributes(&remote).0);
        assert_eq!(shown["userName"], "ann@example.com");
        assert_eq!(shown["displayName"], "Ann Arden");
        assert_eq!(
            shown[USER_EXTENSION],
            json!({ "user": "u-1", "username": "ann" })
        );

        let mut group = Attributes::default();
        assert_eq!(role_name(&group), None);
        adorn_group(&mut group, "odd");
        assert!(group.0.is_empty());
        adorn_group(&mut group, "g-1/r-1");
        assert_eq!(
            Value::from(group.0)[GROUP_EXTENSION],
            json!({ "group": "g-1", "role": "r-1" })
        );
        let remote = RemoteGroup {
            fields: [("roleName".to_owned(), "auditor".to_owned())].into(),
            ..RemoteGroup::default()
        };
        assert_eq!(role_name(&group_attributes(&remote)), Some("auditor"));
    }
}
