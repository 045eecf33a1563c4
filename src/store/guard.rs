//! What the store does for the guard rails (reliability: section 6): a write
//! is watched inside its own transaction, where its deltas are known, and one
//! that would take too much away is kept here as a request to be decided.
//!
//! The rules are [`crate::plan::guard`]'s; nothing here decides how much is
//! too much.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::{Actor, Lane, Millis, Precondition, StoreError};
use crate::{
    plan::{
        guard::{Effect, Excess, Guard, Over, Protection},
        state::{ConnectionKey, GroupKey, Principal, UserKey},
    },
    scim::resource::{ResourceId, ResourceType},
};

/// How a write is watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Watch {
    /// Not at all.
    #[default]
    Off,
    On(Arc<Guard>),
    /// An operator has seen what this held request does: only what is protected is in
    /// its way, and whoever was not shown.
    Approved(Arc<Guard>, HoldId),
    /// Nothing is written: the write ends in what it would have done.
    Rehearsed(Arc<Guard>),
}

impl Watch {
    /// The rules to look at; `None` when there are none.
    pub fn guard(&self) -> Option<&Guard> {
        match self {
            Self::Off => None,
            Self::On(guard) => Some(guard.as_ref()).filter(|guard| !guard.is_idle()),
            Self::Approved(guard, _) | Self::Rehearsed(guard) => Some(guard),
        }
    }
}

/// A held request's own id. No resource has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldId(pub ResourceId);

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A request as it can be done again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// PUT, PATCH or DELETE.
    pub method: String,
    pub of: ResourceType,
    pub id: ResourceId,
    /// JSON; empty for a DELETE.
    pub body: String,
    /// The same for the same request, whatever version it is for.
    pub digest: [u8; 32],
    /// Which version it is for.
    pub when: Precondition,
}

/// What became of a held request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldState {
    Open,
    Approved,
    Rejected,
    Expired,
}

impl HoldState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

/// A held request, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub id: HoldId,
    pub at: Millis,
    pub state: HoldState,
    /// When and by whom.
    pub decided: Option<(Millis, String)>,
    /// Who sent the request.
    pub actor: String,
    pub method: String,
    pub over: Over,
    /// What it would have done when it came, or when it was shown anew.
    pub plan: Effect,
    pub anew: Option<Millis>,
}

/// How many requests wait at most, and how large they are together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub holds: u64,
    pub bytes: u64,
}

/// The end of a reason that is the guard's, after a look at the application.
pub const KEPT: &str = "; so it is shown in the application now";

/// Why nobody is taken out of a group before a look has shown who is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rail {
    /// It keeps so many (G-5).
    Least(Protection, u64),
    /// It was of many, and is not emptied (G-3).
    Emptied(Over),
}

impl Rail {
    /// How many must be there afterwards.
    pub fn least(self) -> usize {
        match self {
            Self::Least(_, least) => usize::try_from(least).unwrap_or(usize::MAX),
            Self::Emptied(_) => 1,
        }
    }
}

impl fmt::Display for Rail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Least(protection, _) => write!(f, "{protection}"),
            Self::Emptied(over) => write!(f, "the guard rails keep the last of a Group: {over}"),
        }
    }
}

/// A group that somebody is about to be taken out of, or whose member is about
/// to lose access, and that the guard watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    pub connection: ConnectionKey,
    pub group: GroupKey,
    pub id: ResourceId,
    /// The application's name for it.
    pub name: String,
    pub rail: Rail,
    /// Active members who are to stay and were there when last observed; some
    /// of them where one is enough.
    pub stay: Vec<Principal>,
    /// Active members who are to stay and of whom that was never known, so that
    /// only a look that shows them can count on them.
    pub hoped: Vec<Principal>,
    /// Of some of either it is being found out whether they are there.
    pub unsure: bool,
    /// Of those who are to go, such as can be told that they stay, and such as
    /// left here; who has no access loses nothing and is neither.
    pub going: Vec<UserKey>,
    pub leaving: Vec<UserKey>,
    /// Those of them whose memberships are the end of their access, so that the
    /// end can be refused as that.
    pub withdrawn: Vec<UserKey>,
    /// It was written so lately that a look may not show it yet.
    pub lately: bool,
    /// Who is about to lose access may be in it by a call that got no answer, and by
    /// nothing else.
    pub doubted: bool,
}

impl Watched {
    /// Whether so few are believed to stay that some who are gone unseen would
    /// leave too few.
    pub fn is_near(&self) -> bool {
        self.stay.len() <= self.rail.least().saturating_mul(2)
    }
}

/// A group that is to be deleted, for a look at who is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doomed {
    pub group: GroupKey,
    /// The application's name for it.
    pub name: String,
}

/// A member as a look shows it: the application's id, the account, or both.
pub type ShownMember = (Option<String>, Option<String>);

/// Who is in a group that is to be deleted and no member of it here, as a look
/// showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Others {
    pub count: u64,
    /// Somebody is in it whom nobody takes away.
    pub protected: Option<Protection>,
}

/// The deletion of a group as a request, should it have to wait after all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    pub id: HoldId,
    pub request: Request,
    pub room: Room,
}

/// Whether a request was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// As this.
    New(HoldId),
    /// It waits already, as this and because of that.
    Before(HoldId, Box<Excess>),
    /// So many wait that this one does not.
    NoRoom,
}

/// Whether this is the database that was here last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    AsItWas,
    /// It had come further.
    Older,
    Another,
    /// What stood beside it is missing.
    Unknown,
    /// What stands beside it is a copy.
    Copied,
    /// As it was, but that is long ago.
    LongStopped,
}

/// Why nobody can say that the database and the application belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A new one, and the application has members.
    NewDatabase,
    OlderDatabase,
    AnotherDatabase,
    UnknownDatabase,
    CopiedDatabase,
    /// Begins no recovery where only few removals wait.
    LongStopped,
    AnotherApplication,
    /// The first reconciliation since the start found too much.
    TooMuchDrift,
    /// It found hardly any of the accounts.
    AnotherTenant,
    /// The same application, or another, by what it is configured to know things by:
    /// stored keys may be of others, so nothing is sent at all.
    OtherKeys,
}

impl Why {
    pub const ALL: [Self; 10] = [
        Self::NewDatabase,
        Self::OlderDatabase,
        Self::AnotherDatabase,
        Self::UnknownDatabase,
        Self::CopiedDatabase,
        Self::LongStopped,
        Self::AnotherApplication,
        Self::TooMuchDrift,
        Self::AnotherTenant,
        Self::OtherKeys,
    ];

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.as_str() == name)
    }

    /// Whether accounts there are rather not those that are known here, so that
    /// nobody's end is meant for them. Another address alone does not say so: it
    /// can be the same application, and then who leaves must leave.
    pub fn is_foreign(self) -> bool {
        self == Self::AnotherTenant
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewDatabase => "new_database",
            Self::OlderDatabase => "older_database",
            Self::AnotherDatabase => "another_database",
            Self::UnknownDatabase => "unknown_database",
            Self::CopiedDatabase => "copied_database",
            Self::LongStopped => "long_stopped",
            Self::AnotherApplication => "another_application",
            Self::TooMuchDrift => "too_much_drift",
            Self::AnotherTenant => "another_tenant",
            Self::OtherKeys => "other_keys",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NewDatabase => {
                "the database is new, and the application has members that it knows nothing of"
            }
            Self::OlderDatabase => "the database is older than the one that was here last",
            Self::AnotherDatabase => "another database was here last",
            Self::UnknownDatabase => {
                "the file that tells how far the database had come is missing beside it"
            }
            Self::CopiedDatabase => {
                "the files of the database were restored, or copied to where they are now, and may \
                 all be of an earlier day"
            }
            Self::LongStopped => {
                "many removals wait since the bridge was stopped, which is more than an hour ago, or \
                 the whole disk was put back to then"
            }
            Self::AnotherApplication => "the connection led to another application before",
            Self::TooMuchDrift => {
                "more than one in twenty of the memberships or accounts are not as they should be"
            }
            Self::AnotherTenant => {
                "more than half of the accounts that should be there are not: rather another tenant"
            }
            Self::OtherKeys => {
                "users or groups were known by something else before, so that what is stored of one \
                 could be another's: nothing at all is sent, and an import learns anew which is which"
            }
        })
    }
}

/// The time in which nothing is removed from groups without an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    pub why: Why,
    pub since: Millis,
}

#[async_trait]
pub trait Guarding {
    /// Keeps a request that was refused, as `id`, unless it waits already.
    async fn hold(
        &self,
        c: ConnectionKey,
        id: HoldId,
        request: Request,
        excess: Excess,
        room: Room,
        actor: Actor,
    ) -> Result<Kept, StoreError>;
    /// The holds of a connection, the newest first: those that wait, or all
    /// that are remembered; no more than `most`.
    async fn holds(
        &self,
        c: ConnectionKey,
        only_open: bool,
        most: u64,
    ) -> Result<Vec<Hold>, StoreError>;
    /// A hold with its request, whose body is forgotten once it is decided.
    async fn held(
        &self,
        c: ConnectionKey,
        id: HoldId,
    ) -> Result<Option<(Hold, Request)>, StoreError>;
    /// Drops a request that waits; what was decided before is the answer
    /// otherwise, and `None` when there is no such hold. What is approved is
    /// told with the write that does it: [`super::bulk::Unit::closes`].
    async fn reject(
        &self,
        c: ConnectionKey,
        id: HoldId,
        actor: Actor,
    ) -> Result<Option<HoldState>, StoreError>;
    /// Drops what waits since `before`, and forgets what was decided before
    /// `forgotten`. Returns how many were dropped.
    async fn expire_holds(
        &self,
        c: ConnectionKey,
        before: Millis,
        forgotten: Millis,
        actor: Actor,
    ) -> Result<u64, StoreError>;
    /// Writes down that somebody tried what nobody may.
    async fn note_protected(
        &self,
        c: ConnectionKey,
        tried: Protection,
        actor: Actor,
    ) -> Result<(), StoreError>;

    /// What a look at the application has to show before these are taken out of
    /// a group, or a user's access is taken away; nothing where the guard of the
    /// actor watches none. What was sent after `before` may not be shown yet.
    async fn watched(
        &self,
        lane: Lane,
        going: Vec<UserKey>,
        before: Millis,
        actor: Actor,
    ) -> Result<Vec<Watched>, StoreError>;

    /// The group at which a look comes before its deletion is judged; none where
    /// the guard of the actor does not ask for it, or nothing can be there. Also a
    /// deleted one, where an operator asks.
    async fn doomed(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        actor: Actor,
    ) -> Result<Option<Doomed>, StoreError>;
    /// Who that look showed besides its members.
    async fn others(
        &self,
        group: GroupKey,
        shown: Vec<ShownMember>,
        actor: Actor,
    ) -> Result<Others, StoreError>;
    /// Right before the deletion of a group is sent: why it stays, by who is shown in
    /// it. What is more than was judged is judged anew, and waits for an operator as
    /// a request of its own where it is too much.
    async fn keeps(
        &self,
        group: GroupKey,
        shown: Vec<ShownMember>,
        late: Late,
        actor: Actor,
    ) -> Result<Option<String>, StoreError>;

    // ---- recovery

    /// Compares the database with what was noted beside it; `fresh` is its id
    /// if it has none yet.
    async fn age(&self, fresh: ResourceId, now: Millis) -> Result<Age, StoreError>;
    /// Records of these connections that the audit has lost its end, where what was noted
    /// beside it is not in it; returns the number of the record that was.
    async fn tell_cut(
        &self,
        of: Vec<ConnectionKey>,
        actor: Actor,
    ) -> Result<Option<i64>, StoreError>;
    /// Notes beside the database how far it has come.
    async fn note_age(&self, now: Millis) -> Result<(), StoreError>;
    /// At start, before any lane: which application this is, and a doubt that
    /// there is already ([`Why::LongStopped`] is one if more removals wait than
    /// the actor's guard lets pass of a group). Either can begin recovery, in which what is about to
    /// be removed is withheld. Returns whether there is one now. If there is
    /// none and it `looks`, nobody is taken out of a group whose access goes on,
    /// before [`Self::note_seen`].
    async fn settle_in(
        &self,
        c: ConnectionKey,
        fingerprint: String,
        doubt: Option<Why>,
        looks: bool,
        actor: Actor,
    ) -> Result<Option<Recovery>, StoreError>;
    /// The application was seen to be the one that is known here: the lanes that
    /// have work because of it.
    async fn note_seen(&self, c: ConnectionKey) -> Result<Vec<Lane>, StoreError>;
    /// Whether that is still waited for.
    async fn is_unseen(&self, c: ConnectionKey) -> Result<bool, StoreError>;
    /// Whether an import has ever come to its end.
    async fn was_imported(&self, c: ConnectionKey) -> Result<bool, StoreError>;
    /// At start, before any lane: what was accepted and is protected by the
    /// actor's guard now is not sent, but told as refused; what is not protected
    /// any more goes on. Returns how much is kept.
    async fn uphold(&self, c: ConnectionKey, actor: Actor) -> Result<u64, StoreError>;
    /// Begins recovery if nothing was imported before and there are members
    /// now. True when it began.
    async fn begin_first_import(
        &self,
        c: ConnectionKey,
        members: u64,
        actor: Actor,
    ) -> Result<bool, StoreError>;
    /// Begins recovery; true unless there was one already.
    async fn begin_recovery(
        &self,
        c: ConnectionKey,
        why: Why,
        actor: Actor,
    ) -> Result<bool, StoreError>;
    async fn recovery(&self, c: ConnectionKey) -> Result<Option<Recovery>, StoreError>;
    /// Ends recovery; the lanes that have work because of it, or `None` when there
    /// was none, or none yet as the first look is still waited for.
    async fn end_recovery(
        &self,
        c: ConnectionKey,
        actor: Actor,
    ) -> Result<Option<Vec<Lane>>, StoreError>;
}
