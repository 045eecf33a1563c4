//! The contract of the lanes, joined to the statements as [`super::Sqlite`] joins the
//! rest.

use async_trait::async_trait;
use rusqlite::Connection;

use crate::{
    plan::state::{Account, ConnectionKey, GroupKey, UserKey},
    scim::resource::ResourceId,
    store::{
        Actor, Counting, GroupLearned, GroupRow, GroupTurn, Higher, Lane, Millis, NotOffered, Seat,
        Standing, StoreError, Unseen, UserLearned, UserTurn, Working,
    },
};

use super::{
    Sqlite, families, giving, group_turn, higher, holdings, lanes, late, naming, offered,
    protected, read, removals, unasked, user_turn,
    users::{self, User},
    withdrawal,
};

#[async_trait]
impl Working for Sqlite {
    async fn open_lanes(&self, c: ConnectionKey) -> Result<Vec<Lane>, StoreError> {
        Ok(self
            .readers
            .read_apart(move |db| lanes::open(db, c.0))
            .await?)
    }

    async fn begin_user_turn(&self, key: UserKey) -> Result<Option<UserTurn>, StoreError> {
        Ok(self
            .writer
            .write(move |db| user_turn::begin(db, key))
            .await?)
    }

    async fn end_user_turn(
        &self,
        key: UserKey,
        learned: UserLearned,
        at: Millis,
    ) -> Result<Vec<Lane>, StoreError> {
        let write = self
            .writer
            .write(move |db| user_turn::end(db, key, learned, at));
        Ok(write.await?)
    }

    async fn begin_group_turn(
        &self,
        key: GroupKey,
        limit: usize,
    ) -> Result<Option<GroupTurn>, StoreError> {
        let write = self
            .writer
            .write(move |db| group_turn::begin(db, key, limit));
        Ok(write.await?)
    }

    async fn end_group_turn(
        &self,
        key: GroupKey,
        seq: u64,
        learned: GroupLearned,
        at: Millis,
    ) -> Result<Vec<Lane>, StoreError> {
        let write = self
            .writer
            .write(move |db| group_turn::end(db, key, seq, &learned, at));
        Ok(write.await?)
    }

    async fn is_open(&self, key: UserKey) -> Result<bool, StoreError> {
        let user = self.readers.read(|db| users::by_key(db, key.0))?;
        Ok(user.is_some_and(|user| user.dirty()))
    }

    async fn written_since(
        &self,
        key: GroupKey,
        seq: u64,
        users: Vec<UserKey>,
    ) -> Result<Vec<UserKey>, StoreError> {
        let seq = seq.cast_signed();
        Ok(self
            .readers
            .read(|db| lanes::written_since(db, key.0, seq, users))?)
    }

    async fn gives_still(
        &self,
        key: GroupKey,
        seq: u64,
        users: Vec<UserKey>,
    ) -> Result<bool, StoreError> {
        let seq = seq.cast_signed();
        let read = |db: &Connection| lanes::gives_still(db, key.0, seq, &users);
        Ok(self.readers.read(read)?)
    }

    async fn has_still(
        &self,
        key: UserKey,
        version: u64,
        wanted: Account,
        account: String,
    ) -> Result<bool, StoreError> {
        let user = self.readers.read(|db| users::by_key(db, key.0))?;
        let has = |user: User| {
            let now = user.wanted();
            user.version.cast_unsigned() == version
                || (now.active, now.role) == (wanted.active, wanted.role)
                    && user.account_key == Some(account)
        };
        Ok(user.filter(|it| it.tombstone.is_none()).is_some_and(has))
    }

    async fn has_new_removal(&self, key: GroupKey) -> Result<bool, StoreError> {
        let read = |db: &Connection| group_turn::has_new_removal(db, key.0);
        Ok(self.readers.read(read)?)
    }

    async fn next_takes(&self, lane: Lane) -> Result<Option<bool>, StoreError> {
        let read = |db: &Connection| match lane {
            Lane::User(key) => user_turn::next_takes(db, key.0),
            Lane::Group(key) => group_turn::next_takes(db, key.0),
        };
        Ok(self.readers.read(read)?)
    }

    async fn counting(
        &self,
        key: GroupKey,
        user: UserKey,
        wanted: bool,
    ) -> Result<Option<Counting>, StoreError> {
        let read = |db: &Connection| {
            let moment = read::Moment::begin(db)?;
            let counting = families::counting(&moment, key.0, user.0, wanted)?;
            let free = counting.as_ref().is_some_and(|it| it.seat == Seat::Free);
            let takes = wanted && free && !families::has_place(&moment, key.0, user.0)?;
            Ok((counting, takes))
        };
        let (counting, takes) = self.readers.read(read)?;
        if !takes {
            return Ok(counting);
        }
        // It has become free since the turn began.
        let take = move |db: &Connection| {
            families::take_place(db, key.0, user.0)?;
            families::counting(db, key.0, user.0, wanted)
        };
        Ok(self.writer.write(take).await?)
    }

    async fn note_giving(
        &self,
        key: GroupKey,
        user: UserKey,
        gives: String,
    ) -> Result<bool, StoreError> {
        let note = move |db: &Connection| giving::note(db, key.0, user.0, &gives);
        Ok(self.writer.write(note).await?)
    }

    async fn known_alternative(
        &self,
        key: GroupKey,
        user: UserKey,
    ) -> Result<Option<String>, StoreError> {
        let read = |db: &_| families::known(db, key.0, user.0);
        Ok(self.readers.read(read)?)
    }

    async fn account(&self, key: UserKey) -> Result<Option<String>, StoreError> {
        let user = self.readers.read(|db| users::by_key(db, key.0))?;
        Ok(user.and_then(|user| user.account_key))
    }

    async fn alternatives(&self, c: ConnectionKey) -> Result<Vec<GroupRow>, StoreError> {
        Ok(self.readers.read(|db| families::all(db, c.0))?)
    }

    async fn note_offered(
        &self,
        c: ConnectionKey,
        standings: Vec<Standing>,
    ) -> Result<u64, StoreError> {
        let note = move |db: &_| offered::note(db, c.0, &standings);
        Ok(self.writer.write(note).await?)
    }

    async fn not_offered(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> Result<Vec<NotOffered>, StoreError> {
        let read = move |db: &Connection| offered::not(db, c.0, most);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn asked_for_in(
        &self,
        c: ConnectionKey,
        names: Vec<String>,
        most: usize,
    ) -> Result<Vec<NotOffered>, StoreError> {
        let read = move |db: &Connection| offered::asked_for_in(db, c.0, &names, most);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn is_bound_elsewhere(&self, user: UserKey, id: String) -> Result<bool, StoreError> {
        let bound = self
            .readers
            .read(|db| users::is_bound_elsewhere(db, user, &id));
        Ok(bound?)
    }

    async fn staged(&self, c: ConnectionKey) -> Result<u64, StoreError> {
        Ok(self.readers.read(|db| families::staged(db, c.0))?)
    }

    async fn staged_among(&self, users: Vec<UserKey>) -> Result<Vec<UserKey>, StoreError> {
        Ok(self.readers.read(|db| families::staged_among(db, users))?)
    }

    async fn unstage(
        &self,
        c: ConnectionKey,
        accounts: Vec<String>,
        actor: Actor,
    ) -> Result<Vec<Lane>, StoreError> {
        let write = self
            .writer
            .write(move |db| families::unstage(db, c.0, &accounts, &actor));
        Ok(write.await?)
    }

    async fn open_pairs(
        &self,
        key: GroupKey,
        users: Vec<UserKey>,
    ) -> Result<Vec<UserKey>, StoreError> {
        Ok(self
            .readers
            .read(|db| lanes::open_pairs(db, key.0, users))?)
    }

    async fn without_row(
        &self,
        key: GroupKey,
        names: Vec<String>,
    ) -> Result<Vec<String>, StoreError> {
        let read = move |db: &Connection| naming::without_row(db, key.0, names);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn made_elsewhere(
        &self,
        key: GroupKey,
        names: Vec<String>,
    ) -> Result<Vec<String>, StoreError> {
        let read = move |db: &Connection| naming::made_elsewhere(db, key.0, names);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn is_anothers(&self, key: GroupKey, name: String) -> Result<bool, StoreError> {
        let read = move |db: &Connection| naming::is_anothers(db, key.0, &name);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn user_ids(&self, keys: Vec<UserKey>) -> Result<Vec<ResourceId>, StoreError> {
        Ok(self.readers.read(|db| users::ids(db, &keys))?)
    }

    async fn id_of(&self, lane: Lane) -> Result<Option<ResourceId>, StoreError> {
        Ok(self.readers.read(|db| lanes::id_of(db, lane))?)
    }

    async fn unseen(&self, lane: Lane) -> Result<Vec<Unseen>, StoreError> {
        Ok(self.readers.read(|db| unasked::unseen(db, lane))?)
    }

    async fn note_looks(&self, pairs: Vec<(GroupKey, UserKey, bool)>) -> Result<(), StoreError> {
        let write = self.writer.write(move |db| unasked::note_looks(db, &pairs));
        Ok(write.await?)
    }

    async fn note_ends(&self, c: ConnectionKey, ends: bool) -> Result<u64, StoreError> {
        let write = self
            .writer
            .write(move |db| withdrawal::note_ends(db, c.0, ends));
        Ok(write.await? as u64)
    }

    async fn note_interrupted(&self, c: ConnectionKey, at: Millis) -> Result<(), StoreError> {
        Ok(self
            .writer
            .write(move |db| late::note_interrupted(db, c.0, at))
            .await?)
    }

    async fn has_unanswered(&self, c: ConnectionKey, since: Millis) -> Result<bool, StoreError> {
        Ok(self.readers.read(|db| late::is_any(db, c.0, since))?)
    }

    async fn connections_but(
        &self,
        these: Vec<ConnectionKey>,
    ) -> Result<Vec<ConnectionKey>, StoreError> {
        let mut all = self.readers.read(late::connections)?;
        all.retain(|key| !these.contains(key));
        Ok(all)
    }

    async fn recheck_late(
        &self,
        c: ConnectionKey,
        (before, early): (Millis, Millis),
        now: Millis,
        lag: Millis,
    ) -> Result<Vec<Lane>, StoreError> {
        let when = late::When {
            before,
            early,
            now,
            lag,
        };
        if !self.readers.read(|db| late::is_due(db, &when))? {
            return Ok(Vec::new());
        }
        Ok(self
            .writer
            .write(move |db| late::recheck(db, c.0, &when))
            .await?)
    }

    async fn clock_set(&self, c: ConnectionKey, was: Millis, is: Millis) -> Result<(), StoreError> {
        Ok(self
            .writer
            .write(move |db| {
                late::move_along(db, c.0, was, is)?;
                holdings::move_along(db, c.0, (was, is))?;
                removals::move_along(db, c.0, was, is)
            })
            .await?)
    }

    async fn may_end(&self, user: UserKey, actor: Actor) -> Result<Option<String>, StoreError> {
        let write = self
            .writer
            .write(move |db| protected::may_end(db, user, &actor));
        Ok(write.await?)
    }

    async fn higher(
        &self,
        key: GroupKey,
        user: UserKey,
        has: String,
        actor: Actor,
    ) -> Result<Higher, StoreError> {
        let judge = move |db: &Connection| higher::judge(db, (key.0, user.0), &has, &actor);
        Ok(self.writer.write(judge).await?)
    }

    async fn higher_stays(
        &self,
        key: GroupKey,
        user: UserKey,
        has: String,
        actor: Actor,
    ) -> Result<(), StoreError> {
        let stays = move |db: &Connection| higher::stays(db, (key.0, user.0), &has, &actor);
        Ok(self.writer.write(stays).await?)
    }

    async fn end_kept(&self, c: ConnectionKey, actor: Actor) -> Result<Vec<Lane>, StoreError> {
        let write = self
            .writer
            .write(move |db| protected::end_kept(db, c.0, &actor));
        Ok(write.await?)
    }
}
