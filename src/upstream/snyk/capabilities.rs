//! What Snyk can do, one row per act, each with what to know about it. A SCIM
//! Group is one role in one Snyk Group.

use super::settings::{Settings, Sso, UnknownUsers};
use crate::plan::capability::{
    Act, Capabilities, Capability,
    Certainty::{Assumed, Documented},
    Identifier::{self, Email, Id},
};

/// Why groups stay as they are.
pub(super) const NO_GROUPS: &str = "a Group here is one role in one Snyk Group, and Snyk documents \
    no way to make, rename or delete these; change them in Snyk, or choose others in the \
    connection's configuration";
/// Why users keep what Snyk knows of them.
pub(super) const NO_PROFILE: &str = "Snyk documents no way to change a user; names and addresses \
    are what the user signs in with";
/// Why there is no role of its own.
pub(super) const NO_ROLE: &str = "a role in Snyk is membership of a Group here";
/// Why a replacement is sent as its difference.
pub(super) const NO_REPLACE: &str = "Snyk documents no way to replace members; the difference is \
    sent, one call for each user";

/// The table of a connection.
pub(super) fn table(settings: &Settings) -> Capabilities {
    let rows = Act::ALL.into_iter().map(|act| row(act, settings));
    Capabilities {
        application: "Snyk".into(),
        rows: rows.collect(),
    }
}

fn row(act: Act, settings: &Settings) -> Capability {
    let row = |able, by: Identifier, certainty, note: &'static str| Capability {
        act,
        able,
        batch: 1,
        by,
        certainty,
        note: note.into(),
    };
    match act {
        Act::CreateUser => row(true, Email, Documented, linked(settings)),
        Act::DeactivateUser => row(true, Id, Documented, withdrawn(settings)),
        Act::ReactivateUser => row(
            true,
            Id,
            Documented,
            "the memberships that are asked for, and those that were only found, are given again",
        ),
        Act::RenameUser | Act::UpdateProfile => row(false, Id, Documented, NO_PROFILE),
        Act::SetRole => row(false, Id, Documented, NO_ROLE),
        Act::CreateGroup | Act::RenameGroup | Act::DeleteGroup => {
            row(false, Id, Documented, NO_GROUPS)
        }
        Act::AddMembers => row(
            true,
            Id,
            Documented,
            "a user has one role in a Snyk Group: of several that are asked for the first by \
             precedence, and the next one when that is left",
        ),
        // What the refusal of a deletion means is inferred, not said.
        Act::RemoveMembers => row(true, Id, Assumed, removed(settings)),
        Act::ReplaceMembers => row(false, Id, Documented, NO_REPLACE),
    }
}

fn linked(settings: &Settings) -> &'static str {
    match settings.unknown_users {
        UnknownUsers::Stage => {
            "nobody is created: the account with the same e-mail is linked, and a user whom Snyk \
             does not know yet is staged, with all memberships, until the first sign-in there"
        }
        UnknownUsers::Refuse => {
            "nobody is created: the account with the same e-mail is linked, and a user whom Snyk \
             does not know is refused (unknown_users = \"refuse\")"
        }
    }
}

fn withdrawn(settings: &Settings) -> &'static str {
    match settings.sso {
        Sso::Remove => {
            "the membership in every Snyk Group of the connection is removed, and the user is taken \
             out of the SSO connections (sso = \"remove\")"
        }
        Sso::Ignore | Sso::Link => {
            "the membership in every Snyk Group of the connection is removed; the Snyk user stays"
        }
    }
}

fn removed(settings: &Settings) -> &'static str {
    if settings.cascade {
        "memberships of the organizations below the Snyk Group go with it (cascade = true); the \
         last one with the administrator role stays"
    } else {
        "refused while the user is in organizations below the Snyk Group (cascade = false); the \
         last one with the administrator role stays"
    }
}
