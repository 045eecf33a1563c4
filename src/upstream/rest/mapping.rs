//! Between SCIM attributes and a declared application, as pure functions: what
//! an account is known by, what a new one can be given, what one that is there
//! looks like. Everything else stays in the bridge.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    answers::{CALLED, SPELLED},
    settings::{KnownBy, Settings, Shown},
};
use crate::{
    plan::state::Account,
    scim::{
        error::{Problem, ScimType},
        resource::Attributes,
        schema::ENTERPRISE,
    },
    upstream::{Projection, RemoteGroup, RemoteUser},
};

/// The longest name of a group, and of an account.
const LONGEST: usize = 256;

pub(super) fn project(user: &Attributes, settings: &Settings) -> Result<Projection, Problem> {
    let key = match settings.user.known_by {
        KnownBy::Email => email(user),
        KnownBy::Name => user.text("userName").map(|name| name.trim().to_lowercase()),
        KnownBy::Id => None,
    };
    let calls = ["user.account", "member.account"];
    if key.as_deref().is_some_and(is_no_segment) && settings.addresses(&calls) {
        return Err(unaddressable("userName"));
    }
    let fields = Shown::ALL.into_iter();
    let said = |shown: Shown| Some((shown.name().to_owned(), said(user, shown)?.to_owned()));
    Ok(Projection {
        key: key.filter(|key| !key.is_empty() && key.chars().count() <= LONGEST),
        account: Account {
            active: user.active(),
            role: None,
            profile: BTreeMap::new(),
            creation: fields.filter_map(said).collect(),
        },
    })
}

/// What no encoding makes the name of one thing in a path.
fn is_no_segment(name: &str) -> bool {
    matches!(name, "." | "..")
}

fn unaddressable(attribute: &str) -> Problem {
    Problem::bad(
        ScimType::InvalidValue,
        format!(
            "{attribute}: what is called \".\" or \"..\" cannot be addressed in the application; choose another name"
        ),
    )
}

fn said(user: &Attributes, shown: Shown) -> Option<&str> {
    let found = match shown {
        Shown::UserName => user.text("userName"),
        Shown::Email => first_email(user),
        Shown::GivenName => user.nested("name", "givenName"),
        Shown::FamilyName => user.nested("name", "familyName"),
        Shown::DisplayName => user
            .text("displayName")
            .or_else(|| user.nested("name", "formatted"))
            .or_else(|| user.text("userName")),
        Shown::Title => user.text("title"),
        Shown::Department => user.nested(ENTERPRISE, "department"),
        Shown::Organization => user.nested(ENTERPRISE, "organization"),
    };
    found.map(str::trim).filter(|text| !text.is_empty())
}

/// The address of an account, in lower case: userName where it is one, else the
/// primary, the work or the first of emails that is one.
fn email(user: &Attributes) -> Option<String> {
    let name = user.text("userName").into_iter();
    let mut all = name.chain(addresses(user)).map(str::trim);
    all.find(|text| is_address(text)).map(str::to_lowercase)
}

fn first_email(user: &Attributes) -> Option<&str> {
    let mut all = addresses(user).map(str::trim);
    let name = user.text("userName").filter(|name| is_address(name));
    all.find(|text| is_address(text)).or(name)
}

/// The primary one, those for work, the others.
fn addresses(user: &Attributes) -> impl Iterator<Item = &str> {
    let list = user.0.get("emails").and_then(Value::as_array);
    let mut entries: Vec<&Value> = list.into_iter().flatten().collect();
    entries.sort_by_key(|entry| {
        let kind = entry.get("type").and_then(Value::as_str);
        let primary = entry.get("primary") == Some(&Value::Bool(true));
        let work = kind.is_some_and(|kind| kind.eq_ignore_ascii_case("work"));
        (!primary, !work)
    });
    entries
        .into_iter()
        .filter_map(|entry| entry.get("value")?.as_str())
}

/// One `@` with something on both sides, and no more than fits (RFC 5321
/// section 4.5.3.1).
fn is_address(text: &str) -> bool {
    let odd =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, ',' | ';' | '<' | '>' | '"');
    let parts = text.split_once('@');
    let parts = parts.filter(|(local, domain)| !local.is_empty() && !domain.is_empty());
    parts.is_some_and(|(_, domain)| !domain.contains('@'))
        && text.len() <= 254
        && !text.contains(odd)
}

pub(super) fn group_name(display_name: &str, settings: &Settings) -> Result<String, Problem> {
    let name = display_name.trim();
    if is_no_segment(name) && settings.addresses(&["group.name"]) {
        return Err(unaddressable("displayName"));
    }
    if name.is_empty() || name.chars().count() > LONGEST || name.chars().any(char::is_control) {
        return Err(Problem::bad(
            ScimType::InvalidValue,
            format!("displayName: a group is named by 1 to {LONGEST} visible characters"),
        ));
    }
    Ok(name.to_owned())
}

pub(super) fn user_attributes(remote: &RemoteUser, settings: &Settings) -> Attributes {
    let field = |shown: Shown| remote.fields.get(shown.name()).map(String::as_str);
    let by_email = settings.user.known_by == KnownBy::Email;
    let spelled = remote.fields.get(SPELLED).filter(|_| !by_email);
    let account = Some(spelled.unwrap_or(&remote.account).as_str());
    let mut user = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            user.insert(name.to_owned(), value);
        }
    };
    put(
        "userName",
        field(Shown::UserName).or(account).map(Value::from),
    );
    put("displayName", field(Shown::DisplayName).map(Value::from));
    put("title", field(Shown::Title).map(Value::from));
    let email = field(Shown::Email).or(account.filter(|_| by_email));
    let email = email.map(|email| json!([{ "value": email, "type": "work", "primary": true }]));
    put("emails", email);
    let name = [
        ("givenName", Shown::GivenName),
        ("familyName", Shown::FamilyName),
    ];
    put(
        "name",
        object(name.map(|(name, shown)| (name, field(shown)))),
    );
    let employee = [
        ("department", Shown::Department),
        ("organization", Shown::Organization),
    ];
    put(
        ENTERPRISE,
        object(employee.map(|(name, shown)| (name, field(shown)))),
    );
    put("active", Some(remote.active.into()));
    Attributes(user)
}

pub(super) fn group_attributes(remote: &RemoteGroup) -> Attributes {
    let called = remote.fields.get(CALLED).unwrap_or(&remote.name);
    let mut group = Map::new();
    group.insert("displayName".into(), called.as_str().into());
    Attributes(group)
}

fn object<const N: usize>(fields: [(&str, Option<&str>); N]) -> Option<Value> {
    let said = fields.into_iter();
    let said: Map<String, Value> = said
        .filter_map(|(name, value)| Some((name.to_owned(), value?.into())))
        .collect();
    (!said.is_empty()).then(|| said.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn attributes(value: Value) -> Attributes {
        Attributes(value.as_object().unwrap().clone())
    }

    #[test]
    fn an_account_is_known_by_what_is_configured() {
        let user = attributes(json!({
            "userName": "Ann", "title": "Boss", "name": { "givenName": "Ann" },
            "emails": [
                { "value": "home@example.com", "type": "home" },
                { "value": "Ann@Example.com", "type": "work" },
            ],
        }));
        for (known_by, key) in [
            (KnownBy::Email, Some("ann@example.com")),
            (KnownBy::Name, Some("ann")),
            (KnownBy::Id, None),
        ] {
            let mut settings = Settings::default();
            settings.user.known_by = known_by;
            let found = project(&user, &settings).unwrap();
            assert_eq!(found.key.as_deref(), key);
            assert_eq!(found.account.creation["email"], "Ann@Example.com");
            assert_eq!(found.account.creation["displayName"], "Ann");
            assert!(!found.account.creation.contains_key("familyName"));
        }
        let nobody = attributes(json!({ "userName": "no address@example.com" }));
        assert_eq!(project(&nobody, &Settings::default()).unwrap().key, None);
    }

    #[test]
    fn what_is_there_is_shown_by_its_scim_names() {
        let remote = RemoteUser {
            account: "ann@example.com".into(),
            active: true,
            fields: [("givenName", "Ann"), ("department", "Finance")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..RemoteUser::default()
        };
        let shown = Value::Object(user_attributes(&remote, &Settings::default()).0);
        assert_eq!(shown["userName"], "ann@example.com");
        assert_eq!(shown["emails"][0]["value"], "ann@example.com");
        assert_eq!(shown["name"], json!({ "givenName": "Ann" }));
        assert_eq!(shown[ENTERPRISE]["department"], "Finance");
        assert_eq!(shown.get("title"), None);
    }

    #[test]
    fn a_group_is_called_as_it_is_displayed() {
        let named = |name: &str| group_name(name, &Settings::default());
        assert_eq!(named(" Data Team ").unwrap(), "Data Team");
        for wrong in ["", " ", "a\u{0}b", &"x".repeat(257)] {
            assert!(named(wrong).is_err());
        }
    }

    #[test]
    fn what_no_path_can_name_is_refused_before_it_is_made() {
        let settings = |path: &str| -> Settings {
            let text = format!(
                "user = {{ known_by = \"name\" }}\noperations = {{ delete_group = {{ path = \"/groups/{path}\" }}, find_user = {{ path = \"/users/{{user.account}}\" }} }}"
            );
            toml::from_str(&text).unwrap()
        };
        let (by_name, by_id) = (settings("{group.name}"), settings("{group.id}"));
        for name in [".", ".."] {
            assert!(group_name(name, &by_name).is_err());
            assert!(group_name(name, &by_id).is_ok());
            let user = attributes(json!({ "userName": name }));
            assert!(project(&user, &by_id).is_err());
        }
    }
}
