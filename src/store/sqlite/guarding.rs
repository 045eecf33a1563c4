//! The contract of the guard rails, joined to the statements as
//! [`super::Sqlite`] joins the rest.

use async_trait::async_trait;

use crate::{
    plan::{
        guard::{Excess, Protection},
        state::{ConnectionKey, GroupKey, UserKey},
    },
    scim::resource::ResourceId,
    store::{
        Actor, Age, Doomed, Guarding, Hold, HoldId, HoldState, Kept, Lane, Late, Millis, Others,
        Recovery, Request, Room, ShownMember, StoreError, Watched, Why,
    },
};

use super::{Sqlite, age, doomed, held, protected, recovery, watched};

#[async_trait]
impl Guarding for Sqlite {
    async fn hold(
        &self,
        c: ConnectionKey,
        id: HoldId,
        request: Request,
        excess: Excess,
        room: Room,
        actor: Actor,
    ) -> Result<Kept, StoreError> {
        let write = self
            .writer
            .write(move |db| held::keep(db, c.0, id, &request, &excess, room, &actor));
        Ok(write.await?)
    }

    async fn holds(
        &self,
        c: ConnectionKey,
        only_open: bool,
        most: u64,
    ) -> Result<Vec<Hold>, StoreError> {
        let read = move |db: &rusqlite::Connection| held::list(db, c.0, only_open, most);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn held(
        &self,
        c: ConnectionKey,
        id: HoldId,
    ) -> Result<Option<(Hold, Request)>, StoreError> {
        Ok(self.readers.read(|db| held::find(db, c.0, id))?)
    }

    async fn reject(
        &self,
        c: ConnectionKey,
        id: HoldId,
        actor: Actor,
    ) -> Result<Option<HoldState>, StoreError> {
        let write = self
            .writer
            .write(move |db| held::reject(db, c.0, id, &actor));
        Ok(write.await?)
    }

    async fn expire_holds(
        &self,
        c: ConnectionKey,
        before: Millis,
        forgotten: Millis,
        actor: Actor,
    ) -> Result<u64, StoreError> {
        let write = self
            .writer
            .write(move |db| held::expire(db, c.0, before, forgotten, &actor));
        Ok(write.await?)
    }

    async fn note_protected(
        &self,
        c: ConnectionKey,
        tried: Protection,
        actor: Actor,
    ) -> Result<(), StoreError> {
        let write = self
            .writer
            .write(move |db| held::note_protected(db, c.0, tried, &actor));
        Ok(write.await?)
    }

    async fn watched(
        &self,
        lane: Lane,
        going: Vec<UserKey>,
        before: Millis,
        actor: Actor,
    ) -> Result<Vec<Watched>, StoreError> {
        let read =
            move |db: &rusqlite::Connection| watched::of_lane(db, lane, &going, before, &actor);
        Ok(self.readers.read(read)?)
    }

    async fn doomed(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        actor: Actor,
    ) -> Result<Option<Doomed>, StoreError> {
        Ok(self.readers.read(|db| doomed::find(db, c.0, id, &actor))?)
    }

    async fn others(
        &self,
        group: GroupKey,
        shown: Vec<ShownMember>,
        actor: Actor,
    ) -> Result<Others, StoreError> {
        let read = move |db: &rusqlite::Connection| doomed::others(db, group.0, &shown, &actor);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn keeps(
        &self,
        group: GroupKey,
        shown: Vec<ShownMember>,
        late: Late,
        actor: Actor,
    ) -> Result<Option<String>, StoreError> {
        let write = self
            .writer
            .write(move |db| doomed::keeps(db, group.0, &shown, &late, &actor));
        Ok(write.await?)
    }

    async fn age(&self, fresh: ResourceId, now: Millis) -> Result<Age, StoreError> {
        let path = self.path.clone();
        let write = self
            .writer
            .write(move |db| age::settle(db, &path, fresh, now));
        Ok(write.await?)
    }

    async fn tell_cut(
        &self,
        of: Vec<ConnectionKey>,
        actor: Actor,
    ) -> Result<Option<i64>, StoreError> {
        let path = self.path.clone();
        let write = self
            .writer
            .write(move |db| age::tell_cut(db, &path, &of, &actor));
        Ok(write.await?)
    }

    async fn note_age(&self, now: Millis) -> Result<(), StoreError> {
        let path = self.path.clone();
        let read = move |db: &rusqlite::Connection| age::note(db, &path, now);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn settle_in(
        &self,
        c: ConnectionKey,
        fingerprint: String,
        doubt: Option<Why>,
        looks: bool,
        actor: Actor,
    ) -> Result<Option<Recovery>, StoreError> {
        let write = self
            .writer
            .write(move |db| recovery::settle_in(db, c.0, &fingerprint, doubt, looks, &actor));
        Ok(write.await?)
    }

    async fn note_seen(&self, c: ConnectionKey) -> Result<Vec<Lane>, StoreError> {
        let write = self.writer.write(move |db| recovery::note_seen(db, c.0));
        Ok(write.await?)
    }

    async fn is_unseen(&self, c: ConnectionKey) -> Result<bool, StoreError> {
        Ok(self.readers.read(|db| recovery::is_unseen(db, c.0))?)
    }

    async fn was_imported(&self, c: ConnectionKey) -> Result<bool, StoreError> {
        Ok(self.readers.read(|db| recovery::was_imported(db, c.0))?)
    }

    async fn uphold(&self, c: ConnectionKey, actor: Actor) -> Result<u64, StoreError> {
        let write = self
            .writer
            .write(move |db| protected::uphold(db, c.0, &actor));
        Ok(write.await? as u64)
    }

    async fn begin_first_import(
        &self,
        c: ConnectionKey,
        members: u64,
        actor: Actor,
    ) -> Result<bool, StoreError> {
        let write = self
            .writer
            .write(move |db| recovery::begin_first_import(db, c.0, members, &actor));
        Ok(write.await?)
    }

    async fn begin_recovery(
        &self,
        c: ConnectionKey,
        why: Why,
        actor: Actor,
    ) -> Result<bool, StoreError> {
        let write = self
            .writer
            .write(move |db| recovery::begin(db, c.0, why, &actor));
        Ok(write.await?)
    }

    async fn recovery(&self, c: ConnectionKey) -> Result<Option<Recovery>, StoreError> {
        Ok(self.readers.read(|db| recovery::state(db, c.0))?)
    }

    async fn end_recovery(
        &self,
        c: ConnectionKey,
        actor: Actor,
    ) -> Result<Option<Vec<Lane>>, StoreError> {
        let write = self.writer.write(move |db| recovery::end(db, c.0, &actor));
        Ok(write.await?)
    }
}
