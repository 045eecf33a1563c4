//! The standard schemas (RFC 7643) as they are true for a declared application:
//! what it cannot change is read-only, with the reason in the description; what
//! it has no call for is kept by the bridge.

use super::settings::Settings;
use crate::{
    plan::capability::{Act, Capabilities},
    scim::schema::{Adjustment, ENTERPRISE, GROUP, KEPT, Schemas, USER},
};

pub(super) fn schemas(settings: &Settings, can: &Capabilities) -> Schemas {
    Schemas::new(&[], &adjustments(settings, can))
}

/// What a client could write of a user that no application here is told of.
const OF_USERS: [&str; 12] = [
    "nickName",
    "profileUrl",
    "userType",
    "preferredLanguage",
    "locale",
    "timezone",
    "phoneNumbers",
    "ims",
    "photos",
    "addresses",
    "entitlements",
    "x509Certificates",
];
/// What a new account can be given.
const OF_CREATION: [&str; 5] = ["name", "displayName", "emails", "title", "roles"];
const OF_EMPLOYEES: [&str; 6] = [
    "employeeNumber",
    "costCenter",
    "organization",
    "division",
    "department",
    "manager",
];

fn adjustments(settings: &Settings, can: &Capabilities) -> Vec<Adjustment> {
    let mut found = Vec::new();
    let mut say = |schema: &str, attribute: &str, kept: bool, acts: &[Act]| {
        let acts = acts.iter().filter(|act| !can.can(**act));
        let notes = acts.map(|act| format!("Cannot {}: {}.", act.words(), can.note(*act)));
        let notes: Vec<String> = notes.collect();
        found.push(Adjustment {
            schema: schema.into(),
            attribute: attribute.into(),
            mutability: kept.then_some(KEPT),
            canonical_values: Vec::new(),
            note: notes.join(" "),
        });
    };
    // Accounts that nobody makes or links here are only shown.
    let shown = !can.can(Act::CreateUser) && !settings.user.link;
    let name: &[Act] = &[Act::CreateUser, Act::RenameUser];
    say(USER, "userName", shown, name);
    let active: &[Act] = &[Act::DeactivateUser, Act::ReactivateUser];
    let ends = can.can(Act::DeactivateUser) || can.withdraws();
    say(USER, "active", !ends, active);
    for attribute in OF_CREATION {
        let act = match attribute {
            "roles" => Act::SetRole,
            _ => Act::UpdateProfile,
        };
        say(USER, attribute, shown, &[act]);
    }
    for attribute in OF_USERS {
        say(USER, attribute, shown, &[Act::UpdateProfile]);
    }
    for attribute in OF_EMPLOYEES {
        say(ENTERPRISE, attribute, shown, &[Act::UpdateProfile]);
    }
    let name: &[Act] = &[Act::CreateGroup, Act::RenameGroup, Act::DeleteGroup];
    say(GROUP, "displayName", !can.can(Act::CreateGroup), name);
    let members: &[Act] = &[Act::AddMembers, Act::RemoveMembers, Act::ReplaceMembers];
    say(GROUP, "members", !can.can(Act::AddMembers), members);
    found
}
