//! What Snyk adds to the standard schemas and where it bends them (RFC 7643
//! section 7): members are writable and groups are not, with the reason in the
//! description. What Snyk has no place for is kept by the bridge.

use serde_json::{Value, json};

use crate::{
    plan::capability::{Act, Capabilities},
    scim::schema::{Adjustment, ENTERPRISE, GROUP, KEPT, Schemas, USER},
};

pub(super) const USER_EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:snyk:2.0:User";
pub(super) const GROUP_EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:snyk:2.0:Group";

/// The schemas of a connection that can do this.
pub(super) fn schemas(can: &Capabilities) -> Schemas {
    Schemas::new(&[user_extension(), group_extension()], &adjustments(can))
}

fn user_extension() -> Value {
    json!({
        "id": USER_EXTENSION,
        "name": "SnykUser",
        "description": "How Snyk knows a user that was found there",
        "attributes": [
            text("user", "The user's id in Snyk"),
            text("username", "The name that the user signs in to Snyk with"),
        ],
    })
}

fn group_extension() -> Value {
    json!({
        "id": GROUP_EXTENSION,
        "name": "SnykGroup",
        "description": "Which role of which Snyk Group a group is",
        "attributes": [
            text("group", "The id of the Snyk Group"),
            text("groupName", "The name of the Snyk Group when it was found"),
            text("role", "The id of the role"),
            text("roleName", "The name of the role when it was found"),
        ],
    })
}

fn text(name: &str, description: &str) -> Value {
    json!({
        "name": name,
        "type": "string",
        "multiValued": false,
        "description": description,
        "required": false,
        "caseExact": true,
        "mutability": "readOnly",
        "returned": "default",
        "uniqueness": "none",
    })
}

/// What Snyk shows of a user, and does not take.
const SHOWN: [&str; 2] = ["name", "displayName"];
/// What it has no place for at all.
const LOCAL: [&str; 12] = [
    "nickName",
    "profileUrl",
    "title",
    "userType",
    "preferredLanguage",
    "locale",
    "timezone",
    "phoneNumbers",
    "ims",
    "photos",
    "addresses",
    "x509Certificates",
];
const LOCAL_OF_EMPLOYEES: [&str; 6] = [
    "employeeNumber",
    "costCenter",
    "organization",
    "division",
    "department",
    "manager",
];

fn adjustments(can: &Capabilities) -> Vec<Adjustment> {
    let kept = |act: Act| (!can.can(act)).then_some(KEPT);
    let note = |schema: &str, attribute: &str, note: String| Adjustment {
        schema: schema.into(),
        attribute: attribute.into(),
        mutability: None,
        canonical_values: Vec::new(),
        note,
    };
    let local = || "Snyk has no place for it: kept by the bridge only.".to_owned();
    let mut found = vec![
        note(
            USER,
            "userName",
            format!(
                "The account's address only where emails names none and this is one; otherwise kept \
                 by the bridge only, and free to change. {}. The address of a user who is linked \
                 cannot be changed: {}.",
                capital(can.note(Act::CreateUser)),
                can.note(Act::RenameUser)
            ),
        ),
        note(
            USER,
            "emails",
            format!(
                "The account's address: the primary, the work or the first of them; {}. Free to change \
                 until the user is linked; then another address is refused: {}. What stands beside \
                 the address is kept by the bridge only.",
                can.note(Act::CreateUser),
                can.note(Act::RenameUser)
            ),
        ),
        note(
            USER,
            "active",
            format!(
                "False withdraws all access: {}. True gives it back: {}.",
                can.note(Act::DeactivateUser),
                can.note(Act::ReactivateUser)
            ),
        ),
        note(
            USER,
            "roles",
            format!("Kept by the bridge only: {}.", can.note(Act::SetRole)),
        ),
        note(USER, "entitlements", local()),
        Adjustment {
            mutability: kept(Act::RenameGroup),
            ..note(
                GROUP,
                "displayName",
                format!("Read-only: {}.", can.note(Act::RenameGroup)),
            )
        },
        Adjustment {
            mutability: kept(Act::AddMembers),
            ..note(
                GROUP,
                "members",
                format!(
                    "Who has the role in the Snyk Group, or would have it without another Group \
                     that stands before this one. Adding: {}. Removing: {}. Replacing: {}.",
                    can.note(Act::AddMembers),
                    can.note(Act::RemoveMembers),
                    can.note(Act::ReplaceMembers)
                ),
            )
        },
    ];
    found.extend(SHOWN.map(|name| {
        let reason = can.note(Act::UpdateProfile);
        let text = format!("What is written is kept by the bridge only: {reason}.");
        note(USER, name, text)
    }));
    found.extend(LOCAL.map(|name| note(USER, name, local())));
    found.extend(LOCAL_OF_EMPLOYEES.map(|name| note(ENTERPRISE, name, local())));
    found
}

/// As a sentence begins.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|it| it.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{capabilities::table, settings::Settings},
        *,
    };

    #[test]
    fn every_adjustment_arrives_in_the_served_documents() {
        let can = table(&Settings::default());
        let schemas = schemas(&can);
        let served: Vec<String> = schemas.documents().iter().map(Value::to_string).collect();
        let served = served.concat();
        for adjustment in adjustments(&can) {
            let note = json!(adjustment.note).to_string();
            assert!(served.contains(note.trim_matches('"')), "{adjustment:?}");
        }
    }

    #[test]
    fn every_row_of_the_table_is_told_in_its_words() {
        let can = table(&Settings::default());
        let served: Vec<String> = schemas(&can)
            .documents()
            .iter()
            .map(Value::to_string)
            .collect();
        let served = served.concat();
        for act in Act::ALL {
            let note = json!(can.note(act)).to_string();
            assert!(served.contains(note.trim_matches('"')), "{act:?}: {note}");
        }
    }

    #[test]
    fn it_is_said_by_what_a_user_is_linked_and_that_this_stays() {
        let can = table(&Settings::default());
        let told = |attribute: &str| {
            let mut all = adjustments(&can).into_iter();
            let found = all.find(|it| it.schema == USER && it.attribute == attribute);
            found.map(|it| it.note).unwrap_or_default()
        };
        let (name, emails) = (told("userName"), told("emails"));
        assert!(name.contains("only where emails names none"), "{name}");
        assert!(
            emails.starts_with("The account's address: the primary"),
            "{emails}"
        );
        for note in [name, emails] {
            assert!(note.contains(can.note(Act::RenameUser)), "{note}");
        }
    }

    #[test]
    fn members_are_writable_and_what_a_group_is_called_is_not() {
        let schemas = schemas(&table(&Settings::default()));
        let mut documents = schemas.documents().iter();
        let group = documents.find(|document| document["id"] == GROUP).cloned();
        let attributes = group.map(|it| it["attributes"].clone()).unwrap_or_default();
        let mutability = |name: &str| {
            let mut all = attributes.as_array().into_iter().flatten();
            let found = all.find(|attribute| attribute["name"] == name);
            found.map(|attribute| attribute["mutability"].clone())
        };
        assert_eq!(mutability("members"), Some("readWrite".into()));
        assert_eq!(mutability("displayName"), Some("readOnly".into()));
    }
}
