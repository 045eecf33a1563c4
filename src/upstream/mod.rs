//! The applications behind the bridge: one contract, private implementations.
//!
//! [`Upstream::apply`] is the only door for writes. Errors are named by what
//! the caller does next. The mapping functions are pure.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::{
    plan::{
        capability::Capabilities,
        guard::Roles,
        operation::Operation,
        state::{Account, Family, Holding, Principal, UserKey},
    },
    scim::{catalog::Catalog, error::Problem, resource::Attributes, schema::Schemas},
};

mod address;
mod client;
pub mod hydden;
pub mod opsera;
pub mod rest;
mod same_page;
mod signs;
pub mod snyk;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use client::unless_recalled;
pub use client::{
    Heard, Host, Ledger, Noted, PutOff, Sent, Wanted, ahead, as_guest, behind, if_wanted,
    in_background, is_recalled, looking_ahead, noting, noting_faults,
};

/// Milliseconds since 1970, UTC.
pub type Millis = i64;

/// Something that all connections at one tenant of an application have in common,
/// and no others. Compared, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant([u8; 32]);

impl Tenant {
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }

    /// By which another process names it.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The name that an administrator gave it, for connections of one kind.
    fn named(kind: &str, name: &str) -> Self {
        Self::of(&[b"named", kind.as_bytes(), name.as_bytes()])
    }
}

/// One of so many, for tests of what is done with them.
#[cfg(test)]
pub(crate) fn tenant_for_test(number: u8) -> Tenant {
    Tenant([number; 32])
}

/// What is wrong with such a name, as a problem of the key `tenant`.
fn odd_tenant(name: Option<&String>) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let name = name?;
    let odd = name.is_empty() || name.len() > 64 || !name.chars().all(plain);
    odd.then(|| {
        format!(
            "tenant: {name:?} is no name of a tenant: write letters, digits, '-', '_' and '.', 64 \
             at most, the same in every connection that leads to this tenant; or leave it out"
        )
    })
}

/// An application, as the engine sees it.
#[async_trait]
pub trait Upstream: Send + Sync + std::fmt::Debug {
    fn capabilities(&self) -> &Capabilities;

    /// Pure: groups may be of families ([`Family`]). Their pairs are sent one by
    /// one, several users at once and no user twice at the same time.
    fn has_families(&self) -> bool {
        false
    }

    /// Of each group of a family that was found by a process before this one,
    /// told before anything is asked: no reading shows one that nobody has.
    fn recall(&self, _name: &str, _shown: &Attributes) {}

    /// The single call, in words, that an operation about one user comes to, as
    /// far as is known, where the operation does not say it itself. `has`: the
    /// group of the family that the user is known to have.
    fn call(&self, _operation: &Operation, _has: Option<&str>) -> Option<String> {
        None
    }

    /// Whether a group of a family, by the application's name, is one by the
    /// configuration still.
    fn offers(&self, _name: &str) -> bool {
        true
    }

    /// The family of such a group and its place there, as far as that is known
    /// without a look.
    fn family(&self, _name: &str) -> Option<Family> {
        None
    }

    /// Pure: whether accounts are only found here, and never made: then a user
    /// without one may be looked for by another key.
    fn finds_accounts(&self) -> bool {
        false
    }

    /// The schemas of this connection, true for what the application can do.
    fn schemas(&self) -> Arc<Schemas>;

    /// Pure: which application this is, the same as long as it is the same one.
    fn fingerprint(&self) -> String {
        self.capabilities().application.to_string()
    }

    /// Pure: whether a group of a family is called what another one is, or was that is
    /// there no more: one was made anew in the place of the other.
    fn is_made_anew(&self, _group: &str, _other: &str) -> bool {
        false
    }

    /// Pure: the groups of families that were made anew and are one by the configuration
    /// still: each with the name of the one that it is now.
    fn remade(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The Group of one of them stands for that now, or why it does not.
    fn note_remade(&self, _name: &str, _stays: Option<&str>) {}

    /// Pure: by what it knows users and groups, where the configuration says that: by
    /// anything else, what is stored of one could be another's.
    fn known_by(&self) -> Option<String> {
        None
    }

    /// Pure: what a user or group was known by when `known_by` was `former`; `None`
    /// where what is shown of it does not tell.
    fn former_account(&self, _former: &str, _user: &RemoteUser) -> Option<String> {
        None
    }
    fn former_group(&self, _former: &str, _group: &RemoteGroup) -> Option<String> {
        None
    }
    /// Pure: whether the ids of accounts are what they were then.
    fn keeps_ids(&self, _former: &str) -> bool {
        false
    }

    /// Pure: whether groups are known by ids and are called as somebody there likes,
    /// which no call of this side says.
    fn only_shows_titles(&self) -> bool {
        false
    }

    /// Pure: by what connections at one tenant of the application are known: two
    /// that have any of it in common are at the same one. None where that cannot
    /// be known. A name that an administrator gave is the last. Not to be kept.
    fn tenants(&self) -> Vec<Tenant> {
        Vec::new()
    }

    /// Pure: the same for connections that keep to one pace, because they have one
    /// credential for applications of one kind. Not to be kept.
    fn budget(&self) -> Option<Tenant> {
        None
    }

    /// How far the application's clock is behind, by its last answer; an hour at most.
    fn clock_behind(&self) -> Millis {
        0
    }

    /// Pure: whether [`Self::users`] tells of everybody; where not, nobody is
    /// missed because it does not.
    fn lists_users(&self) -> bool {
        true
    }

    /// Pure: whether [`Self::user`] is less work than [`Self::users`].
    fn finds_users(&self) -> bool {
        true
    }

    /// Pure: the roles and entitlements that can be assigned to users.
    fn catalog(&self) -> Catalog {
        Catalog::default()
    }

    /// Pure: the application's key for a user (Opsera: the e-mail, lower
    /// case; from `userName` if that is an address, else the primary or first
    /// work e-mail) and the projection it can hold. A value the application
    /// would refuse (an unknown role) is a 400. `key` is `None` when the user
    /// has nothing the application could know it by.
    fn project(&self, user: &Attributes) -> Result<Projection, Problem>;

    /// Pure: the role of an account of which nobody says a role; what one is
    /// put back to when its role is taken away.
    fn plain_role(&self) -> Option<&str>;

    /// Pure: which site roles can do no more than which, for the guard.
    fn roles(&self) -> Roles {
        Roles::new(self.plain_role(), &[])
    }

    /// Pure: the application's name for a new group, by the visible rule. An
    /// impossible name is a 400 that says what to do. Empty where the application
    /// gives an id when the group is made.
    fn group_name(&self, display_name: &str) -> Result<String, Problem>;

    /// Pure: what an account or group read from the application looks like as
    /// a SCIM resource, for import.
    fn user_attributes(&self, remote: &RemoteUser, profile: Option<&RemoteProfile>) -> Attributes;
    fn group_attributes(&self, remote: &RemoteGroup) -> Attributes;

    /// Pure: the displayName that it gets; empty where there is none.
    fn shown_as(&self, remote: &RemoteGroup) -> String {
        let attributes = self.group_attributes(remote).0;
        let name = attributes.get("displayName").and_then(Value::as_str);
        name.unwrap_or_default().to_owned()
    }

    /// Pure: the read-only attributes that say how the application knows a
    /// group (its slug), laid into what was written. Called for every write.
    fn adorn_group(&self, attributes: &mut Attributes, name: &str);

    /// Every active account; others may be among them, marked so. A listing that looks cut off is `Broken`.
    async fn users(&self) -> Result<Vec<RemoteUser>, UpstreamError>;
    /// Every profile record that the application keeps apart from its
    /// accounts; none where it keeps none.
    async fn profiles(&self) -> Result<Vec<RemoteProfile>, UpstreamError>;
    async fn groups(&self) -> Result<Vec<RemoteGroup>, UpstreamError>;
    async fn members(&self, group: &str) -> Result<Vec<RemoteMember>, UpstreamError>;
    /// One account by its key; `None` when there is no active one.
    async fn user(&self, account: &str) -> Result<Option<RemoteUser>, UpstreamError>;
    /// Whether a search of its own, which is less work than [`Self::users`] and may know
    /// more, shows an active account; `None` where there is none.
    async fn is_found(&self, _account: &str) -> Result<Option<bool>, UpstreamError> {
        Ok(None)
    }
    async fn group(&self, name: &str) -> Result<Option<RemoteGroup>, UpstreamError>;
    /// Whether a user is in a group of a family, or in one that stands before it,
    /// as a look at this one user shows: another witness than the list. `None`
    /// where there is no such look.
    async fn has(&self, _group: &str, _who: &Principal) -> Result<Option<bool>, UpstreamError> {
        Ok(None)
    }
    /// Whether a family is neither listed nor there when it is asked for, by its name.
    /// No proof that it is gone: the credential may have lost it.
    async fn is_unseen(&self, _family: &str) -> Result<bool, UpstreamError> {
        Ok(false)
    }
    /// Where the application gives groups their ids: those that are called
    /// exactly so and did not come into being before `since`, where it tells.
    async fn groups_called(
        &self,
        _title: &str,
        _since: Millis,
    ) -> Result<Vec<RemoteGroup>, UpstreamError> {
        Ok(Vec::new())
    }

    /// What may still come of what was sent: told once, before anything is.
    fn begin(&self, _: &Lags) {}

    /// Sends one operation once (pacing and waiting for the pace included,
    /// retrying only what certainly was not processed), and says what it did.
    async fn apply(&self, operation: &Operation) -> Result<Outcome, UpstreamError>;

    /// Whether the credential that is there now was refused something; false
    /// as soon as there is another one. Looks, and sends nothing.
    fn is_refused(&self) -> bool;

    /// Whether that is so of every call, and not of some things alone.
    fn is_refused_all(&self) -> bool {
        self.is_refused()
    }

    /// Stops all writes, or lets them go on. What waits for its turn and was
    /// not sent yet is given back as `Later`; what is under way ends.
    fn brake(&self, stopped: bool);

    /// Somebody with this address had this account, and may have it still where
    /// nothing is shown that says otherwise. Told before it is looked for.
    fn recall_account(&self, _address: &str, _id: &str) {}

    /// Calls that were noted there count as sent, and what is sent is noted, so
    /// that a restart keeps to the limit of a minute.
    fn remember(&self, _ledger: &Arc<Ledger>) {}

    /// Another process that has this credential asks for one call, which is to be sent
    /// at once and counts as sent from here.
    async fn lend(&self) -> Result<(), PutOff> {
        Ok(())
    }

    /// That process was asked for silence.
    fn be_silent(&self, _pause: Duration) {}

    /// Changes when the application has come back after it could not be
    /// reached, so that nobody waits longer for it than it was away.
    fn recoveries(&self) -> Option<watch::Receiver<u64>> {
        None
    }

    /// How it goes with the application; looks, and sends nothing.
    fn condition(&self) -> Condition;

    /// A live test of the address, the credential and its rights; read-only.
    async fn check(&self) -> Vec<Finding>;
}

/// What an application can hold of a SCIM user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    pub key: Option<String>,
    pub account: Account,
}

/// An account as the application shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteUser {
    pub account: String,
    pub upstream_id: Option<String>,
    pub active: bool,
    /// It is there, and nothing else of it could be read: it is left as it is.
    pub unreadable: bool,
    /// It has nothing that its end would take away.
    pub idle: bool,
    /// The groups of families that it has, each with its family's name before it.
    pub has: Vec<(String, String)>,
    /// When it came into being, by the application's clock, where it tells.
    pub created: Option<Millis>,
    /// Other fields by the application's names, lists joined in `lists`.
    pub fields: BTreeMap<String, String>,
    pub lists: BTreeMap<String, Vec<String>>,
}

/// A profile record as the application shows it, its fields by the names of
/// [`Account::profile`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteProfile {
    /// Lower case.
    pub account: String,
    pub fields: BTreeMap<String, String>,
}

/// A group as the application shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteGroup {
    pub name: String,
    /// `Some(reason)` when the bridge must not write it (synced, not of type user).
    pub read_only: Option<String>,
    pub member_count: Option<u64>,
    /// The application's kind of group, where it has kinds.
    pub kind: Option<String>,
    /// Another directory keeps it.
    pub synced: bool,
    /// It is there, and nothing else of it could be read: it is left as it is.
    pub unreadable: bool,
    /// The alternatives it is one of; its members are written singly then.
    pub family: Option<Family>,
    /// When it was made, where the application shows that.
    pub created: Option<Millis>,
    /// Other fields by the application's names.
    pub fields: BTreeMap<String, String>,
}

/// A member as the application shows it: an id, an e-mail, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteMember {
    pub upstream_id: Option<String>,
    /// Lower case.
    pub account: Option<String>,
    /// In a group of a family: has one that stands before it. It satisfies who
    /// is asked for, and is no member otherwise.
    pub covers: bool,
    /// In a group of a family: is shown with several of it, so that it cannot be told
    /// whether it has this one. Nothing is concluded from it.
    pub unclear: bool,
}

/// What a call did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// One entry per member that was sent; empty for other operations, but for the
    /// end of an account that had nothing: that is [`MemberOutcome::Seen`] of the user.
    pub members: Vec<(UserKey, MemberOutcome)>,
    /// The application's id of the account, or of the group that was made, where
    /// the answer tells it.
    pub upstream_id: Option<String>,
    /// A replacement was taken on and not done yet, which is [`MemberOutcome::Open`] of
    /// everybody whom it changes; nobody is named.
    pub open: bool,
    /// The account was there before, whoever made it.
    pub linked: bool,
    /// What the member has of the family after a call that was done, where there is
    /// something and the answers tell it.
    pub holding: Option<Holding>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberOutcome {
    /// Done, or the application said that it was already so.
    Applied,
    /// Of a family: nothing was sent, because a look showed that it is already
    /// so. Looks lag, so it is believed only if nothing was sent about the user
    /// lately.
    Seen,
    /// The same by a group of the family that stands before the one that was sent, and
    /// is not what counts; the application's name of it.
    Above(String),
    /// Of a family: nothing was sent, because it cannot be known yet whether it
    /// may be; ask again so much later.
    Waits(Duration),
    /// The application's list of those done leaves it out: read before believing
    /// anything.
    LeftOut,
    /// The application told nothing of it: read, once reads cannot lag any more.
    Unknown,
    /// It was taken on and not done yet, or done in part: read until it is shown. It may
    /// be done whatever is asked for meanwhile, and is not refused.
    Open,
}

/// A failed call, named by what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// Certainly not processed (refused connection, 429, or 503 to a call that only reads): try again, not before `after`.
    #[error("not now: {reason}")]
    Later {
        after: Option<Duration>,
        reason: String,
    },
    /// May or may not have happened (time-out, reset, 5xx after sending, 503 and 408 to a call that writes, unreadable answer).
    #[error("unclear: {reason}")]
    Unknown { reason: String },
    /// Refused for good (400, 422); `reason` is the application's own text, cut and cleaned, for the log and the administrator.
    #[error("refused: {reason}")]
    Rejected { reason: String },
    /// Our credential or its rights (401, 403): stop writing.
    #[error("credential refused: {reason}")]
    Denied { reason: String },
    /// The thing addressed is not there (404).
    #[error("missing: {reason}")]
    Missing { reason: String },
    /// The group addressed was not found, by a look that may lag behind: nothing was done, and whether it is there is open.
    #[error("not found yet: {reason}")]
    Missed { reason: String },
    /// The thing to create is already there (409, or a 400 that says so).
    #[error("exists: {reason}")]
    Exists { reason: String },
    /// The account is not there yet and cannot be made from here; it is found
    /// when it appears.
    #[error("not there yet: {reason}")]
    Staged { reason: String },
    /// The end of an account, of which everything was done that could be: the rest
    /// is refused for good; `reason` is in our own words.
    #[error("done in part: {reason}")]
    Partly { reason: String },
    /// Refused by a rule of this side, before anything was sent; `reason` is in
    /// our own words and is said to the identity provider.
    #[error("barred: {reason}")]
    Barred { reason: String },
}

/// Why a call is not sent while nobody answers there, or only with faults.
pub(crate) const STOPPED: &str = "the application cannot be reached, or answers with faults alone";

/// The word for what did not fail.
pub const DONE: &str = "done";

impl UpstreamError {
    /// Whether it was not sent because calls of its kind are only tried now and then.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self, Self::Later { reason, .. } if reason == STOPPED)
    }

    /// Whether it was sent, and the application asked for a pause instead of doing it.
    pub(crate) fn is_put_off(&self) -> bool {
        matches!(self, Self::Later { reason, .. } if reason.starts_with("answered "))
    }

    /// In a word, for the audit.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Later { .. } => "later",
            Self::Unknown { .. } => "unknown",
            Self::Rejected { .. } => "rejected",
            Self::Denied { .. } => "denied",
            Self::Missing { .. } => "missing",
            Self::Missed { .. } => "missed",
            Self::Exists { .. } => "exists",
            Self::Staged { .. } => "staged",
            Self::Barred { .. } => "barred",
            Self::Partly { .. } => "partly",
        }
    }
}

/// How long it takes until the application shows what was done, and until what
/// nobody answered cannot be done any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lags {
    pub read_lag: Duration,
    pub late_writes: Duration,
    /// The process before this one may have sent something so lately.
    pub sent_lately: bool,
    /// Some of that got no answer, so it may be done still.
    pub unanswered: bool,
}

impl Default for Lags {
    fn default() -> Self {
        Self {
            read_lag: Duration::from_secs(10),
            late_writes: Duration::from_secs(120),
            sent_lately: false,
            unanswered: false,
        }
    }
}

/// How it goes with an application, for status and metrics. Counts are since
/// the start of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// Nobody answers there, or only with faults; one call at a time tries.
    pub unreachable: bool,
    /// And that of every kind of call, not of one alone that it answers with faults.
    pub is_all_down: bool,
    /// The credential, or a right of it, was refused.
    pub refused: bool,
    /// Why the credential's file cannot be read, while what was read of it before
    /// is still in use.
    pub credential: Option<String>,
    /// How long it asked us to be silent, if it did.
    pub silent_for: Option<Duration>,
    /// The pace that is kept, in calls a second: as configured, and less for a
    /// while after the application refused calls as too many.
    pub per_second: u32,
    /// And no more of them in any minute, where that is limited too.
    pub per_minute: Option<u32>,
    /// How many calls are under way at once, at most.
    pub at_once: u32,
    /// Calls sent, and how many of them were answered 429 or 503, or not at
    /// all.
    pub calls: u64,
    pub throttled: u64,
    pub unanswered: u64,
    /// Whom the last readings showed with several groups of a family.
    pub several: Vec<Several>,
    /// Groups of a family that are there no more, as another one is called so; by the
    /// application's names for them.
    pub replaced: Vec<String>,
}

/// Somebody whom the application shows with several groups of a family, which
/// excludes them; what is known of it there stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Several {
    pub account: String,
    pub upstream_id: String,
    pub family: String,
}

/// One line of `drawbridge check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub ok: bool,
    pub what: String,
    /// What to do about it, when it is not ok.
    pub remedy: Option<String>,
}
