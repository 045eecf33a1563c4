//! What is asked and kept when the application is read: by a reconciliation or by an
//! import.

use std::collections::HashSet;

use async_trait::async_trait;

use crate::{
    plan::{
        drift::{GroupDrift, Pair},
        listing::Doubts,
        state::{ConnectionKey, GroupKey, UserKey},
    },
    scim::resource::ResourceId,
};

use super::{
    Actor, Drifted, FoundGroup, FoundUser, Gone, Holdings, ImportMark, Imported, Lane, Millis,
    Reconcilable, Repaired, Settle, StoreError, WithUnknown,
};

#[async_trait]
pub trait Observing: Send + Sync {
    // ---- reconciliation; see `bridge::reconcile`

    /// Live groups that the application has and that may be written, after a
    /// key, in order.
    async fn reconcilable(
        &self,
        c: ConnectionKey,
        after: GroupKey,
        most: usize,
    ) -> Result<Vec<Reconcilable>, StoreError>;
    /// Live groups that the application had and is known not to have any more,
    /// after a key, in order: they are made again when they are asked for.
    async fn gone_groups(
        &self,
        c: ConnectionKey,
        after: GroupKey,
        most: usize,
    ) -> Result<Vec<Reconcilable>, StoreError>;
    /// Has a group that is one of these, and is shown again, looked after.
    async fn find_group(&self, group: GroupKey, actor: Actor) -> Result<Repaired, StoreError>;
    /// Has a group called in the application as it is here, where it is called so
    /// still and no turn of it ended that a reading did not see.
    async fn call_again(
        &self,
        group: GroupKey,
        title: String,
        since: ImportMark,
        actor: Actor,
    ) -> Result<Repaired, StoreError>;
    /// Groups in which members are that are no User, as their accounts are on no list;
    /// those with the most of them first, at most so many.
    async fn with_unknown(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> Result<Vec<WithUnknown>, StoreError>;
    /// A reading and a look later do not show it, so it is gone as if a call had told,
    /// unless something of it is open or was written since. Returns the lanes that have
    /// work because of it.
    async fn lose_group(
        &self,
        group: GroupKey,
        since: ImportMark,
        reason: String,
        actor: Actor,
    ) -> Result<Vec<Lane>, StoreError>;
    /// Families of which a live group is here that is not known to be gone.
    async fn families(&self, c: ConnectionKey) -> Result<Vec<String>, StoreError>;
    /// One of these is gone, as an operator says: nobody has anything of it any more,
    /// until the application shows it again. Returns the lanes of who waited for it.
    async fn lose_family(
        &self,
        c: ConnectionKey,
        family: String,
        actor: Actor,
    ) -> Result<Vec<Lane>, StoreError>;
    /// Every pair of a group whose user the application can know.
    async fn pairs(&self, group: GroupKey) -> Result<Vec<Pair>, StoreError>;
    /// Live, active users whose account is known to be there, after a key, in
    /// order: their ids and account keys.
    async fn accounts(
        &self,
        c: ConnectionKey,
        after: UserKey,
        most: usize,
    ) -> Result<Vec<(UserKey, ResourceId, String)>, StoreError>;
    /// Those of the accounts, by key and with what they have, that were ended here,
    /// or were to be, and have something that their end would take away.
    async fn ended(
        &self,
        c: ConnectionKey,
        accounts: Vec<(String, Holdings)>,
    ) -> Result<Vec<(UserKey, ResourceId)>, StoreError>;
    /// Which users members are that the application shows, by its ids and the
    /// keys of their accounts.
    async fn users_shown(
        &self,
        c: ConnectionKey,
        members: Vec<(Option<String>, Option<String>)>,
    ) -> Result<Vec<ResourceId>, StoreError>;
    /// Takes over ids, beside the keys of their accounts, that the application
    /// shows now: an account that was made anew there has another one.
    async fn learn_ids(
        &self,
        c: ConnectionKey,
        shown: Vec<(String, String)>,
        actor: Actor,
    ) -> Result<(), StoreError>;
    /// Notes whose accounts are told as missing and left so, and of nobody else any
    /// more. Whoever of them is asked for once more has the account made again.
    async fn note_missed(
        &self,
        c: ConnectionKey,
        missing: HashSet<UserKey>,
    ) -> Result<(), StoreError>;
    /// Notes who of a group is told as missing and left so, and of nobody else any more.
    /// Whoever asks for them once more has them put there again.
    async fn note_missing(&self, group: GroupKey, missing: Vec<UserKey>) -> Result<(), StoreError>;
    /// Wants again (or accepts) what is missing of a group, unless it was
    /// touched after `since`, when it was read. Memberships of who or what the
    /// guard of the actor protects do not end by it, unless it is believed.
    async fn settle_drift(
        &self,
        group: GroupKey,
        since: ImportMark,
        drift: GroupDrift,
        how: Settle,
        actor: Actor,
    ) -> Result<Repaired, StoreError>;
    /// Ends accounts again that were ended and are back, within what the guard
    /// of the actor lets pass; `believed`: an operator has seen how many it is.
    async fn end_again(
        &self,
        users: Vec<UserKey>,
        believed: bool,
        actor: Actor,
    ) -> Result<Repaired, StoreError>;
    /// Who is not to have access, has been taken out of every group because no
    /// account can be ended, and was found in one since.
    async fn found_of_leavers(&self, c: ConnectionKey) -> Result<Vec<UserKey>, StoreError>;
    /// Has every end of an account or group that the application refused tried
    /// once more. Returns their lanes.
    async fn retry_ends(&self, c: ConnectionKey, actor: Actor) -> Result<Vec<Lane>, StoreError>;
    async fn keep_drifted(&self, c: ConnectionKey, drifted: Drifted) -> Result<(), StoreError>;
    async fn drifted(&self, c: ConnectionKey) -> Result<Option<Drifted>, StoreError>;

    /// Whether anything was sent to the application at that time or later, as far
    /// as its end is recorded.
    async fn is_sent_since(&self, c: ConnectionKey, at: Millis) -> Result<bool, StoreError>;

    // ---- import

    /// Where the history stood at `before`, to be asked for before the
    /// application is read.
    async fn import_mark(&self, before: Millis) -> Result<ImportMark, StoreError>;
    /// Adds users and groups found upstream that no row has by its application
    /// id, account key or upstream name, learns application ids of those that do, and adds
    /// observed memberships nobody asked for as unmanaged members: not those of
    /// who is asked for in a group of the family that stands before it. A user follows its
    /// account to another address. Never changes what an identity provider
    /// wrote. What was changed upstream
    /// after `since` was not yet so when it was read, and is left alone: no
    /// removal that was confirmed meanwhile comes back as a member.
    ///
    /// With `mirror`, of an application whose users and members are never
    /// written from here, what import once found follows what is found now:
    /// attributes (but `externalId`), who is active, and who is in a group;
    /// what it names is gone. A group that comes back under the application's
    /// name for it is the one that it was.
    async fn import(
        &self,
        c: ConnectionKey,
        since: ImportMark,
        users: Vec<FoundUser>,
        groups: Vec<FoundGroup>,
        mirror: Option<Vec<Gone>>,
        actor: Actor,
    ) -> Result<Imported, StoreError>;
    /// Of what was found by the name of a Group that was refused, that is forgotten
    /// which a whole list of the application's groups does not show any more, so that
    /// the name is free for that Group.
    async fn forget_beside(
        &self,
        c: ConnectionKey,
        since: ImportMark,
        listed: Vec<String>,
        actor: Actor,
    ) -> Result<(), StoreError>;
    /// Groups that were found are shown as the application calls them that knows them by
    /// an id: as `listed` says, by its names, with the title of each. Two that are
    /// called alike are shown apart, and what is not listed gives way.
    async fn follow_titles(
        &self,
        c: ConnectionKey,
        listed: Vec<(String, String)>,
        actor: Actor,
    ) -> Result<(), StoreError>;
    /// Has a user follow its account, which has this id and this address by now;
    /// false when the account is not the user's.
    async fn follow(
        &self,
        c: ConnectionKey,
        user: ResourceId,
        account: String,
        address: String,
        actor: Actor,
    ) -> Result<bool, StoreError>;
    /// Live groups that the application has, after a key, in order, and whether
    /// import has found them.
    async fn shown_groups(
        &self,
        c: ConnectionKey,
        after: GroupKey,
        most: usize,
    ) -> Result<Vec<(Reconcilable, bool)>, StoreError>;
    /// The lists that the imports so far did not believe.
    async fn doubts(&self, c: ConnectionKey) -> Result<Doubts, StoreError>;
    async fn keep_doubts(&self, c: ConnectionKey, doubts: Doubts) -> Result<(), StoreError>;
}
