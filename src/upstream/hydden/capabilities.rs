//! What Hydden.Control can do for a bridge: be read, and, where the connection
//! says so, have groups written as records. One row per act, each "no" with its
//! reason.

use crate::plan::capability::{
    Act, Capabilities, Capability,
    Certainty::{Assumed, Documented},
    Identifier, OURS_ONLY,
};

/// Why nobody joins or leaves a group.
pub(super) const NO_MEMBERS: &str = "Hydden.Control documents no way to add, remove or replace \
    the members of a group; they are copied from the directory the group is in, so change them there";
/// Why accounts stay as they are.
pub(super) const NO_USERS: &str = "Hydden.Control's accounts are an inventory, copied from the \
    directories they are in, so change them there";
/// Why groups stay as they are.
pub(super) const NO_GROUPS: &str = "Hydden.Control's groups are an inventory, copied from the \
    directories they are in, so change them there; a record written here would be undone by the \
    next copy";

/// What to know about groups that are written.
const RECORDS: &str = "a record in Hydden.Control without members, which nothing can add; it needs \
    the role Administrator";

pub(super) fn table(write_groups: bool) -> Capabilities {
    let no = |act, certainty, note: &'static str| Capability {
        act,
        able: false,
        batch: 1,
        by: Identifier::Id,
        certainty,
        note: note.into(),
    };
    let rows = Act::ALL.into_iter().map(|act| match act {
        Act::CreateUser
        | Act::DeactivateUser
        | Act::ReactivateUser
        | Act::RenameUser
        | Act::SetRole
        | Act::UpdateProfile => no(act, Documented, NO_USERS),
        // That a copy undoes what was written is inferred, not said.
        Act::CreateGroup | Act::RenameGroup | Act::DeleteGroup if write_groups => Capability {
            able: true,
            batch: usize::from(act != Act::CreateGroup),
            by: if act == Act::CreateGroup {
                Identifier::Name
            } else {
                Identifier::Id
            },
            note: if act == Act::CreateGroup {
                RECORDS.into()
            } else {
                format!("{OURS_ONLY}; it needs the role Administrator").into()
            },
            ..no(act, Documented, RECORDS)
        },
        Act::CreateGroup | Act::RenameGroup | Act::DeleteGroup => no(act, Assumed, NO_GROUPS),
        Act::AddMembers | Act::RemoveMembers | Act::ReplaceMembers => {
            no(act, Documented, NO_MEMBERS)
        }
    });
    Capabilities {
        application: "Hydden.Control".into(),
        rows: rows.collect(),
    }
}
