//! What Opsera can do, one row per act, each with what to know about it.

use super::settings::{MembersBy, SITE_ROLES, Settings};
use crate::{
    plan::capability::{
        Act, Capabilities, Capability,
        Certainty::{Assumed, Documented},
        Identifier::{self, Email, IdOrEmail, Name},
        OURS_ONLY,
    },
    scim::catalog::{Catalog, Entry},
};

/// Why a deactivated account stays so.
pub(super) const NO_REACTIVATION: &str = "Opsera documents no way to activate an account again; \
    an Opsera administrator can, or the connection sets reactivate = \"recreate\"";
/// Why an account keeps its address.
pub(super) const NO_NEW_ADDRESS: &str = "Opsera knows an account by its e-mail address and \
    documents no way to change it";
/// Why the name of a group stays.
pub(super) const NO_RENAME: &str = "the Opsera name of a group is fixed when it is created, \
    so that permissions tied to it survive; only the SCIM displayName changes";

fn members_by(settings: &Settings) -> Identifier {
    match settings.members_by {
        MembersBy::Id => IdOrEmail,
        MembersBy::Email => Email,
    }
}

/// The table of a connection.
pub(super) fn table(settings: &Settings) -> Capabilities {
    let batch = settings.members_per_call.max(1);
    let row = |act, able, batch, certainty, note: &'static str| Capability {
        act,
        able,
        batch,
        by: match act {
            Act::CreateUser | Act::UpdateProfile => Email,
            Act::CreateGroup | Act::RenameGroup | Act::DeleteGroup => Name,
            _ => members_by(settings),
        },
        certainty,
        note: note.into(),
    };
    Capabilities {
        application: "Opsera".into(),
        rows: vec![
            row(
                Act::CreateUser,
                true,
                1,
                Documented,
                "a site role is always sent; the account is pending until its first sign-in",
            ),
            row(
                Act::DeactivateUser,
                true,
                1,
                Documented,
                "refused by Opsera while the user owns assets: move their ownership first",
            ),
            row(Act::ReactivateUser, false, 1, Assumed, NO_REACTIVATION),
            row(Act::RenameUser, false, 1, Assumed, NO_NEW_ADDRESS),
            row(
                Act::SetRole,
                true,
                1,
                Documented,
                "the site role, one of Administrators, PowerUsers, Users, Auditors, SecurityManagers",
            ),
            row(
                Act::UpdateProfile,
                settings.people,
                1,
                Documented,
                if settings.people {
                    "names, organization, division (business unit), department, group and team are \
                     kept in Opsera's People records; everything else stays in the bridge"
                } else {
                    "people = false in the configuration: the profile stays in the bridge"
                },
            ),
            row(
                Act::CreateGroup,
                true,
                batch,
                Documented,
                "named by a visible rule from displayName; initial members in the same call",
            ),
            row(Act::RenameGroup, false, 1, Documented, NO_RENAME),
            row(Act::DeleteGroup, true, 1, Documented, OURS_ONLY),
            row(
                Act::AddMembers,
                true,
                batch,
                Documented,
                "by user id where known, else by e-mail; only those listed in the answer count as added",
            ),
            row(
                Act::RemoveMembers,
                true,
                batch,
                Documented,
                "only those listed in the answer count as removed",
            ),
            // The whole set has to fit, so there is no batch below it.
            row(
                Act::ReplaceMembers,
                true,
                100_000,
                Documented,
                "one call with the whole set; an empty one empties the group",
            ),
        ],
    }
}

/// What can be assigned: one of the five site roles. What applications and
/// tools a user can reach is granted in Opsera only, so no entitlement is.
pub(super) fn catalog() -> Catalog {
    let role = |value: &str| Entry {
        value: value.into(),
        display: value.into(),
        description: format!("The Opsera site role {value}"),
        kind: None,
    };
    Catalog {
        roles: SITE_ROLES.map(role).into(),
        ..Catalog::default()
    }
}
