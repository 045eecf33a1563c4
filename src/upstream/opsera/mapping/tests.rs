//! The mapping by example.

#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn attributes(value: Value) -> Attributes {
    serde_json::from_value(value).unwrap()
}

fn projected(value: Value) -> Projection {
    project(&attributes(value), &Settings::default()).unwrap()
}

fn pairs(map: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    map.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
}

#[test]
fn the_account_is_the_best_address_there_is() {
    let emails = json!([
        { "value": "Home@example.com", "type": "home" },
        { "value": "Work@example.com", "type": "Work" },
        { "value": "First@example.com", "primary": true },
    ]);
    for (user, key) in [
        (
            json!({ "userName": "Ann@Example.com", "emails": emails }),
            Some("ann@example.com"),
        ),
        (
            json!({ "userName": "ann", "emails": emails }),
            Some("first@example.com"),
        ),
        (
            json!({ "userName": "ann", "emails": [emails[0], emails[1]] }),
            Some("work@example.com"),
        ),
        (
            json!({ "userName": "ann", "emails": [emails[0]] }),
            Some("home@example.com"),
        ),
        (
            json!({ "userName": "ann", "emails": [{ "value": "no address", "primary": true }, emails[0]] }),
            Some("home@example.com"),
        ),
        (json!({ "userName": "ann" }), None),
        (json!({ "userName": "ann@" }), None),
    ] {
        assert_eq!(projected(user.clone()).key.as_deref(), key, "{user}");
    }
}

#[test]
fn a_role_is_the_primary_or_first_in_proper_spelling() {
    for (roles, role) in [
        (json!([{ "value": "powerusers" }]), Some("PowerUsers")),
        (
            json!([{ "value": "Users" }, { "value": "AUDITORS", "primary": true }]),
            Some("Auditors"),
        ),
        (
            json!([{ "value": "Users" }, { "value": "Auditors" }]),
            Some("Users"),
        ),
        (json!([{ "display": "no value" }]), None),
        (json!([]), None),
    ] {
        let user = json!({ "userName": "a@example.com", "roles": roles });
        assert_eq!(projected(user).account.role.as_deref(), role, "{roles}");
    }
    assert_eq!(
        projected(json!({ "userName": "a@example.com" }))
            .account
            .role,
        None
    );
}

#[test]
fn an_unknown_role_is_refused_or_kept_as_configured() {
    let user = attributes(json!({ "userName": "a@example.com", "roles": [{ "value": "Boss" }] }));
    let refused = project(&user, &Settings::default()).unwrap_err();
    assert_eq!(refused.status, 400);
    assert_eq!(refused.scim_type, Some(ScimType::InvalidValue));
    for role in SITE_ROLES {
        assert!(refused.detail.contains(role), "{}", refused.detail);
    }
    let local = Settings {
        unknown_roles: UnknownRoles::Local,
        ..Settings::default()
    };
    assert_eq!(project(&user, &local).unwrap().account.role, None);
}

#[test]
fn a_full_user_fills_profile_and_creation() {
    let user = json!({
        "userName": "ann@example.com",
        "name": { "givenName": "Ann", "familyName": "Archer" },
        "nickName": "Annie",
        "title": "Pilot",
        "active": false,
        "addresses": [{ "type": "home", "locality": "Rome" }, { "type": "work", "locality": "Oslo" }],
        ENTERPRISE: { "organization": "Example", "division": "Air", "department": "North", "costCenter": "7" },
        USER_EXTENSION: { "team": "Blue", "group": "Phase 2" },
    });
    let account = projected(user.clone()).account;
    assert!(!account.active);
    assert_eq!(
        pairs(&account.profile),
        [
            ("businessUnit", "Air"),
            ("department", "North"),
            ("firstName", "Ann"),
            ("group", "Phase 2"),
            ("lastName", "Archer"),
            ("organization", "Example"),
            ("team", "Blue"),
        ]
    );
    assert_eq!(
        pairs(&account.creation),
        [
            ("division", "Air"),
            ("firstName", "Ann"),
            ("lastName", "Archer"),
            ("location", "Oslo"),
            ("preferredName", "Annie"),
            ("title", "Pilot"),
        ]
    );
    let without_people = Settings {
        people: false,
        ..Settings::default()
    };
    let account = project(&attributes(user), &without_people).unwrap().account;
    assert!(account.profile.is_empty());
    assert_eq!(account.creation["lastName"], "Archer");
}

#[test]
fn names_that_creation_demands_come_from_somewhere() {
    for (user, names) in [
        (json!({ "displayName": "Ann van Dyk" }), ("Ann", "van Dyk")),
        (json!({ "displayName": "Ann" }), ("Ann", "ann.v")),
        (
            json!({ "name": { "formatted": "Ann Dyk" } }),
            ("Ann", "Dyk"),
        ),
        (json!({ "name": { "familyName": "Dyk" } }), ("ann.v", "Dyk")),
        (json!({}), ("ann.v", "ann.v")),
    ] {
        let mut user = attributes(user);
        user.0.insert("userName".into(), "Ann.V@example.com".into());
        let account = project(&user, &Settings::default()).unwrap().account;
        let found = (
            account.creation["firstName"].as_str(),
            account.creation["lastName"].as_str(),
        );
        assert_eq!(found, names, "{user:?}");
        assert!(account.profile.keys().all(|key| {
            user.nested(
                "name",
                if key == "firstName" {
                    "givenName"
                } else {
                    "familyName"
                },
            )
            .is_some()
        }));
    }
}

#[test]
fn group_names_follow_the_table_the_rule_and_the_deny_list() {
    let settings = Settings {
        group_names: [("Engineering Team".to_owned(), "eng".to_owned())].into(),
        protected_groups: vec!["admins".into(), "Board Members".into()],
        ..Settings::default()
    };
    for (display, name) in [
        ("Engineering Team", "eng"),
        ("engineering TEAM ", "eng"),
        ("Sales Team", "sales-team"),
    ] {
        assert_eq!(
            group_name(display, &settings).as_deref(),
            Ok(name),
            "{display}"
        );
    }
    for protected in ["admins", "Admins", "board members"] {
        let refused = group_name(protected, &settings).unwrap_err();
        assert_eq!(refused.status, 403, "{protected}");
        assert!(refused.detail.contains("protected_groups"));
    }
    let impossible = group_name("\u{958b}\u{767a}", &settings).unwrap_err();
    assert_eq!(impossible.status, 400);
    assert!(impossible.detail.contains("group_names"));
}

#[test]
fn an_imported_group_shows_how_opsera_knows_it() {
    let remote = RemoteGroup {
        name: "crew".into(),
        kind: Some("user".into()),
        ..RemoteGroup::default()
    };
    let mut group = group_attributes(&remote);
    assert_eq!(group.text("displayName"), Some("crew"));
    assert_eq!(
        group.0[GROUP_EXTENSION],
        json!({ "name": "crew", "type": "user", "synced": false })
    );
    adorn_group(&mut group, "other");
    assert_eq!(
        group.0[GROUP_EXTENSION]["type"], "user",
        "what is known stays"
    );
    let mut bare = Attributes::default();
    adorn_group(&mut bare, "crew");
    assert_eq!(bare.0[GROUP_EXTENSION], json!({ "name": "crew" }));
}

#[test]
fn what_is_imported_is_projected_back_without_a_difference() {
    let remote = RemoteUser {
        account: "ann@example.com".into(),
        active: true,
        fields: [
            ("firstName", "Ann"),
            ("lastName", "Archer"),
            ("organizationName", "Example"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
        ..RemoteUser::default()
    };
    let user = user_attributes(&remote, None);
    let projection = project(&user, &Settings::default()).unwrap();
    assert_eq!(projection.key.as_deref(), Some("ann@example.com"));
    assert_eq!(
        pairs(&projection.account.profile),
        [
            ("firstName", "Ann"),
            ("lastName", "Archer"),
            ("organization", "Example")
        ]
    );
    let bare = RemoteUser {
        account: "b@example.com".into(),
        ..RemoteUser::default()
    };
    assert!(user_attributes(&bare, None).text("displayName").is_none());
}

#[test]
fn a_people_record_goes_before_what_the_account_says() {
    let remote = RemoteUser {
        account: "ann@example.com".into(),
        active: true,
        fields: fields(&[("firstName", "Ann"), ("division", "Old")]),
        ..RemoteUser::default()
    };
    let record = RemoteProfile {
        account: "ann@example.com".into(),
        fields: fields(&[
            ("firstName", "Anna"),
            ("businessUnit", "New"),
            ("department", "Platform"),
            ("team", "Core"),
        ]),
    };
    let user = user_attributes(&remote, Some(&record));
    assert_eq!(user.nested("name", "givenName"), Some("Anna"));
    assert_eq!(user.nested(ENTERPRISE, "division"), Some("New"));
    assert_eq!(user.nested(ENTERPRISE, "department"), Some("Platform"));
    assert_eq!(user.nested(USER_EXTENSION, "team"), Some("Core"));
}

fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}
