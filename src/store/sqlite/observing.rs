//! The contract of whoever reads the application, joined to the statements as
//! [`super::Sqlite`] joins the rest.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use rusqlite::Connection;

use crate::{
    plan::{
        drift::{GroupDrift, Pair},
        listing::Doubts,
        state::{ConnectionKey, GroupKey, UserKey},
    },
    scim::resource::ResourceId,
    store::{
        Actor, Drifted, FoundGroup, FoundUser, Gone, Holdings, ImportMark, Imported, Lane, Millis,
        Observing, Reconcilable, Repaired, Settle, StoreError, WithUnknown,
    },
};

use super::{
    Sqlite, aside, audit, called, found, gone,
    import::{self, Import},
    lost, mirror, naming, reconcile, refusals, unasked,
};

#[async_trait]
impl Observing for Sqlite {
    async fn reconcilable(
        &self,
        c: ConnectionKey,
        after: GroupKey,
        most: usize,
    ) -> Result<Vec<Reconcilable>, StoreError> {
        let read = move |db: &Connection| reconcile::groups_after(db, c.0, after.0, most);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn gone_groups(
        &self,
        c: ConnectionKey,
        after: GroupKey,
        most: usize,
    ) -> Result<Vec<Reconcilable>, StoreError> {
        let read = move |db: &Connection| gone::groups_after(db, c.0, after.0, most);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn find_group(&self, group: GroupKey, actor: Actor) -> Result<Repaired, StoreError> {
        let write = self.writer.write(move |db| gone::find(db, group, &actor));
        Ok(write.await?)
    }

    async fn call_again(
        &self,
        group: GroupKey,
        title: String,
        since: ImportMark,
        actor: Actor,
    ) -> Result<Repaired, StoreError> {
        let write = move |db: &Connection| naming::call_again(db, group, &title, since.0, &actor);
        Ok(self.writer.write(write).await?)
    }

    async fn with_unknown(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> Result<Vec<WithUnknown>, StoreError> {
        let read = move |db: &Connection| import::with_unknown(db, c.0, most);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn families(&self, c: ConnectionKey) -> Result<Vec<String>, StoreError> {
        let read = move |db: &Connection| lost::families(db, c.0);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn lose_group(
        &self,
        group: GroupKey,
        since: ImportMark,
        reason: String,
        actor: Actor,
    ) -> Result<Vec<Lane>, StoreError> {
        let write = self
            .writer
            .write(move |db| gone::lose(db, group, since.0, &reason, &actor));
        Ok(write.await?)
    }

    async fn lose_family(
        &self,
        c: ConnectionKey,
        family: String,
        actor: Actor,
    ) -> Result<Vec<Lane>, StoreError> {
        let lose = move |db: &Connection| lost::lose(db, c.0, &family, &actor);
        Ok(self.writer.write(lose).await?)
    }

    async fn pairs(&self, group: GroupKey) -> Result<Vec<Pair>, StoreError> {
        let read = move |db: &Connection| reconcile::pairs(db, group.0);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn accounts(
        &self,
        c: ConnectionKey,
        after: UserKey,
        most: usize,
    ) -> Result<Vec<(UserKey, ResourceId, String)>, StoreError> {
        let read = move |db: &Connection| reconcile::accounts_after(db, c.0, after.0, most);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn ended(
        &self,
        c: ConnectionKey,
        accounts: Vec<(String, Holdings)>,
    ) -> Result<Vec<(UserKey, ResourceId)>, StoreError> {
        let read = move |db: &Connection| reconcile::ended(db, c.0, &accounts);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn users_shown(
        &self,
        c: ConnectionKey,
        members: Vec<(Option<String>, Option<String>)>,
    ) -> Result<Vec<ResourceId>, StoreError> {
        let read = move |db: &Connection| import::users_of(db, c.0, &members);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn learn_ids(
        &self,
        c: ConnectionKey,
        shown: Vec<(String, String)>,
        actor: Actor,
    ) -> Result<(), StoreError> {
        let shown = Arc::new(shown);
        let of = Arc::clone(&shown);
        let read = move |db: &Connection| reconcile::shows_other_ids(db, c.0, &of);
        if !self.readers.read_apart(read).await? {
            return Ok(());
        }
        let write = self
            .writer
            .write(move |db| reconcile::learn_ids(db, c.0, &shown, &actor));
        Ok(write.await?)
    }

    async fn note_missed(
        &self,
        c: ConnectionKey,
        missing: HashSet<UserKey>,
    ) -> Result<(), StoreError> {
        let noted = move |db: &Connection| reconcile::missed(db, c.0);
        if self.readers.read_apart(noted).await? == missing {
            return Ok(());
        }
        let write = self
            .writer
            .write(move |db| reconcile::note_missed(db, c.0, &missing));
        Ok(write.await?)
    }

    async fn note_missing(&self, group: GroupKey, missing: Vec<UserKey>) -> Result<(), StoreError> {
        let write = self
            .writer
            .write(move |db| reconcile::note_missing(db, group, &missing));
        Ok(write.await?)
    }

    async fn settle_drift(
        &self,
        group: GroupKey,
        since: ImportMark,
        drift: GroupDrift,
        how: Settle,
        actor: Actor,
    ) -> Result<Repaired, StoreError> {
        let write = self
            .writer
            .write(move |db| reconcile::settle_group(db, group, since.0, (&drift, how), &actor));
        Ok(write.await?)
    }

    async fn end_again(
        &self,
        users: Vec<UserKey>,
        believed: bool,
        actor: Actor,
    ) -> Result<Repaired, StoreError> {
        let write = self
            .writer
            .write(move |db| reconcile::end_again(db, &users, believed, &actor));
        Ok(write.await?)
    }

    async fn found_of_leavers(&self, c: ConnectionKey) -> Result<Vec<UserKey>, StoreError> {
        let read = move |db: &Connection| unasked::of_leavers(db, c.0);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn retry_ends(&self, c: ConnectionKey, actor: Actor) -> Result<Vec<Lane>, StoreError> {
        let write = self
            .writer
            .write(move |db| refusals::retry_ends(db, c.0, &actor));
        Ok(write.await?)
    }

    async fn keep_drifted(&self, c: ConnectionKey, drifted: Drifted) -> Result<(), StoreError> {
        let write = self
            .writer
            .write(move |db| reconcile::keep(db, c.0, &drifted));
        Ok(write.await?)
    }

    async fn drifted(&self, c: ConnectionKey) -> Result<Option<Drifted>, StoreError> {
        let read = move |db: &Connection| reconcile::kept(db, c.0);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn is_sent_since(&self, c: ConnectionKey, at: Millis) -> Result<bool, StoreError> {
        Ok(self.readers.read(|db| audit::is_sent_since(db, c.0, at))?)
    }

    async fn import_mark(&self, before: Millis) -> Result<ImportMark, StoreError> {
        Ok(self
            .readers
            .read(|db| audit::mark(db, before).map(ImportMark))?)
    }

    async fn import(
        &self,
        c: ConnectionKey,
        since: ImportMark,
        users: Vec<FoundUser>,
        groups: Vec<FoundGroup>,
        mirror: Option<Vec<Gone>>,
        actor: Actor,
    ) -> Result<Imported, StoreError> {
        let import = Import {
            connection: c.0,
            since: since.0,
            mirror: mirror.is_some(),
            actor,
        };
        let gone = mirror.unwrap_or_default();
        import::run((&self.writer, &self.readers), import, users, groups, gone).await
    }

    async fn forget_beside(
        &self,
        c: ConnectionKey,
        since: ImportMark,
        listed: Vec<String>,
        actor: Actor,
    ) -> Result<(), StoreError> {
        let import = Import {
            connection: c.0,
            since: since.0,
            mirror: false,
            actor,
        };
        let write = move |db: &Connection| aside::find_gone(db, &import, &listed);
        Ok(self.writer.write(write).await?)
    }

    async fn follow_titles(
        &self,
        c: ConnectionKey,
        listed: Vec<(String, String)>,
        actor: Actor,
    ) -> Result<(), StoreError> {
        let listed = Arc::new(listed);
        let named = Arc::clone(&listed);
        let read = move |db: &Connection| called::renamed(db, c.0, &named);
        if self.readers.read_apart(read).await?.is_empty() {
            return Ok(());
        }
        let write = move |db: &Connection| called::follow(db, c.0, &listed, &actor);
        Ok(self.writer.write(write).await?)
    }

    async fn follow(
        &self,
        c: ConnectionKey,
        user: ResourceId,
        account: String,
        address: String,
        actor: Actor,
    ) -> Result<bool, StoreError> {
        let account = (account, address);
        let follow = move |db: &_| found::follow_alone(db, c.0, user, &account, &actor);
        Ok(self.writer.write(follow).await?)
    }

    async fn shown_groups(
        &self,
        c: ConnectionKey,
        after: GroupKey,
        most: usize,
    ) -> Result<Vec<(Reconcilable, bool)>, StoreError> {
        let read = move |db: &Connection| mirror::groups_after(db, c.0, after.0, most);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn doubts(&self, c: ConnectionKey) -> Result<Doubts, StoreError> {
        let read = move |db: &Connection| mirror::doubts(db, c.0);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn keep_doubts(&self, c: ConnectionKey, doubts: Doubts) -> Result<(), StoreError> {
        let write = self
            .writer
            .write(move |db| mirror::keep_doubts(db, c.0, &doubts));
        Ok(write.await?)
    }
}
