//! Several writes as one transaction, for bulk requests (RFC 7644 section
//! 3.7): what goes in and what comes out of [`super::Store::write_all`]. What
//! each write means is said at the method of the same name.

use super::{
    DecideGroup, DecideUser, GroupChange, GroupRow, GroupWritten, HoldId, Others, Precondition,
    UserRow, UserWritten, WriteError,
};
use crate::scim::resource::ResourceId;

/// One write.
pub enum Write {
    CreateUser {
        id: ResourceId,
        row: UserRow,
    },
    ChangeUser {
        id: ResourceId,
        when: Precondition,
        decide: DecideUser,
    },
    /// See [`super::Store::begin_deletion`].
    BeginDeletion {
        id: ResourceId,
        when: Precondition,
        decide: DecideUser,
        closes: Option<HoldId>,
    },
    /// See [`super::Store::end_deletion`].
    EndDeletion {
        id: ResourceId,
        named: bool,
    },
    CreateGroup {
        id: ResourceId,
        row: GroupRow,
        members: Vec<String>,
        skip_unknown: bool,
    },
    ChangeGroup {
        id: ResourceId,
        when: Precondition,
        change: GroupChange,
    },
    DeleteGroup {
        id: ResourceId,
        when: Precondition,
        decide: DecideGroup,
        others: Option<Others>,
    },
    /// A change that says the whole resource.
    Put(Box<Write>),
    /// Refused before it came here; it counts in its place as an error.
    Refused(WriteError),
}

/// Writes that stand or fall together.
pub struct Unit {
    pub writes: Vec<Write>,
    /// Earlier units of the same call without which this one makes no sense.
    pub needs: Vec<usize>,
    /// The held request that this does. It must still wait, and does so no
    /// more once this is written.
    pub closes: Option<HoldId>,
}

/// What a write did.
#[derive(Debug, Clone, PartialEq)]
pub enum Wrote {
    User(UserWritten),
    Group(GroupWritten),
}

/// What became of a unit; only `Done` changed anything.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// One entry for each write.
    Done(Vec<Wrote>),
    /// The write at this place was refused.
    Refused(usize, WriteError),
    /// That earlier unit was not done.
    Unmet(usize),
    /// There were too many errors before it.
    Left,
}
