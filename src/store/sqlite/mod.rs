//! The embedded store: `SQLite` in WAL mode behind one writing thread.
//!
//! Every write is a job of [`writer`], every read a connection of
//! [`readers`]; this file only joins the contract to them. The tables are in
//! `../migrations`. One process per file; for several there is another store.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use rusqlite::Connection;
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    plan::{
        drift::{GroupDrift, Pair},
        listing::Doubts,
        state::{ConnectionKey, GroupKey, UserKey},
    },
    scim::{
        groups::DirectGroup,
        resource::{ResourceId, ResourceType},
    },
};

use super::{
    Actor, Counting, Counts, DecideGroup, DecideUser, Delay, Drifted, FoundGroup, FoundUser, Gone,
    GroupChange, GroupLearned, GroupRow, GroupTurn, GroupWritten, Health, Holdings, ImportMark,
    Imported, Lane, ListError, Listing, Members, Millis, NotOffered, Others, Pending, Precondition,
    Reconcilable, Refused, RefusedResource, Repaired, Resource, Seat, SeenToken, Select, Settle,
    Standing, Store, StoreError, StoredUser, Unseen, UserLearned, UserRow, UserTurn, UserWritten,
    WithUnknown, WriteError,
    audit::AuditRow,
    bulk::{Outcome, Unit},
    trial::Script,
};

mod addresses;
mod age;
mod approved;
mod aside;
mod askers;
mod audit;
mod begun;
mod brought_in;
mod bulk;
mod candidate;
mod doomed;
mod families;
mod fault;
mod file;
mod found;
mod given_back;
mod giving;
mod gone;
mod gone_elsewhere;
mod group_turn;
mod groups;
mod guard;
mod guarding;
mod health;
mod held;
mod holdings;
mod import;
mod lanes;
mod late;
mod leaving;
mod left_alone;
mod list;
mod lost;
mod members;
mod memberships;
mod migrate;
mod mirror;
mod named_again;
mod naming;
mod newcomers;
#[cfg(debug_assertions)]
mod noted;
mod offered;
mod owners;
mod perhaps;
mod protected;
mod read;
mod readers;
mod reconcile;
mod recovery;
mod refusals;
mod removals;
mod returned;
mod row;
mod said;
mod scans;
mod seats;
mod sharing;
mod shown;
#[cfg(test)]
mod tests;
mod tokens;
mod trial;
mod unasked;
mod undone;
mod upheld;
mod user_turn;
mod users;
mod watched;
mod withdrawal;
mod writer;

#[cfg(test)]
pub(crate) use writer::simulated;

use import::Import;
use list::Reach;
use readers::Halt;

/// Opens or creates the database file, mode 0600, and holds it for this process alone.
pub fn open(path: &Path) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(Sqlite::open(path)?))
}

/// The head of the audit that was last noted beside a database file, number and
/// digest: behind by what was written since, never ahead. Opens no database.
pub fn noted_head(path: &Path) -> Result<Option<(i64, String)>, StoreError> {
    // As the note is kept: under the file's own name, not that of a link to it.
    let path = path
        .canonicalize()
        .map_err(|error| StoreError::Broken(format!("{}: {error}", path.display())))?;
    Ok(age::noted(&path)?)
}

// Readers stand first: the writer, closing last, can tidy up the log.
#[derive(Debug)]
struct Sqlite {
    readers: Arc<readers::Readers>,
    members: read::MemberCache,
    writer: writer::Writer,
    path: PathBuf,
}

impl Sqlite {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let held = file::hold(path)?;
        let named = |error: StoreError| error.at(path);
        let db = file::open_plain(&held.path).map_err(|fault| named(fault.into()))?;
        migrate::inspect(&db).map_err(named)?;
        file::make_durable(&db).map_err(named)?;
        migrate::migrate(&db, migrate::STEPS).map_err(|fault| named(fault.into()))?;
        Ok(Self {
            readers: Arc::new(readers::Readers::new(held.path.clone())),
            members: read::MemberCache::default(),
            path: held.path.clone(),
            writer: writer::Writer::start(db, held)?,
        })
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn connection(&self, name: &str) -> Result<ConnectionKey, StoreError> {
        let name = name.to_owned();
        let key = self.writer.write(move |db| {
            db.prepare_cached("INSERT INTO connections (name) VALUES (?1) ON CONFLICT DO NOTHING")?
                .execute([&name])?;
            let key = db
                .prepare_cached("SELECT key FROM connections WHERE name = ?1")?
                .query_row([&name], |row| row.get(0))?;
            Ok(ConnectionKey(key))
        });
        Ok(key.await?)
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.writer.health()
    }

    async fn pulse(&self) -> Result<(), StoreError> {
        Ok(self.writer.pulse().await?)
    }

    async fn resource(
        &self,
        c: ConnectionKey,
        of: ResourceType,
        id: ResourceId,
    ) -> Result<Option<Resource>, StoreError> {
        Ok(self.readers.read(|db| read::resource(db, c.0, of, id))?)
    }

    async fn stored_user(
        &self,
        c: ConnectionKey,
        id: ResourceId,
    ) -> Result<Option<StoredUser>, StoreError> {
        let read = |db: &_| {
            let user = users::live(db, c.0, id)?;
            user.map(|user| user.stored()).transpose()
        };
        Ok(self.readers.read(read)?)
    }

    async fn user(
        &self,
        c: ConnectionKey,
        id: ResourceId,
    ) -> Result<Option<(Resource, Vec<DirectGroup>)>, StoreError> {
        let few = self
            .readers
            .read(|db| memberships::user(db, c.0, id, Some(memberships::FEW)))?;
        if !few.as_ref().is_some_and(|(_, groups)| groups.more) {
            return Ok(few.map(|(user, groups)| (user, groups.these)));
        }
        let all = self
            .readers
            .read_apart(move |db| memberships::user(db, c.0, id, None));
        Ok(all.await?.map(|(user, groups)| (user, groups.these)))
    }

    async fn list(&self, c: ConnectionKey, select: Select) -> Result<Listing, ListError> {
        let bounds = list::Bounds::default();
        let reach = list::reach(&select);
        let list = move |db: &Connection, halt: &Halt| list::list(db, c.0, &select, bounds, halt);
        Ok(match reach {
            Reach::Point => self.readers.read(|db| list(db, &Halt::default()))?,
            Reach::Some => {
                let read = move |db: &Connection| list(db, &Halt::default());
                self.readers.read_apart(read).await?
            }
            Reach::Everything => self.readers.scan(c.0, list).await?,
        })
    }

    async fn members(
        &self,
        c: ConnectionKey,
        group: ResourceId,
    ) -> Result<Option<Members>, StoreError> {
        let Some((key, version)) = self
            .readers
            .read(|db| read::group_version(db, c.0, group))?
        else {
            return Ok(None);
        };
        if let Some(members) = self.members.find(key, version) {
            return Ok(Some(members));
        }
        let scan = self
            .readers
            .read_apart(move |db| read::members(db, c.0, group));
        Ok(scan.await?.map(|(key, members)| {
            self.members.keep(key, &members);
            members
        }))
    }

    async fn groups_of(
        &self,
        c: ConnectionKey,
        users: Vec<ResourceId>,
        most: usize,
    ) -> Result<Vec<Vec<DirectGroup>>, StoreError> {
        if let [user] = users[..] {
            let found = self.user(c, user).await?;
            return Ok(vec![found.map_or_else(Vec::new, |(_, groups)| groups)]);
        }
        let scan = self
            .readers
            .read_apart(move |db| memberships::groups_of(db, c.0, &users, most));
        Ok(scan.await?)
    }

    async fn counts(&self, c: ConnectionKey) -> Result<Counts, StoreError> {
        Ok(self
            .readers
            .read_apart(move |db| read::counts(db, c.0))
            .await?)
    }

    async fn audit(&self, after: i64, most: usize) -> Result<Vec<AuditRow>, StoreError> {
        let read = self
            .readers
            .read_apart(move |db| audit::rows(db, after, most));
        Ok(read.await?)
    }

    async fn pending(
        &self,
        c: ConnectionKey,
        group: Option<ResourceId>,
        most: usize,
    ) -> Result<Vec<Pending>, StoreError> {
        let read = move |db: &Connection| lanes::pending(db, c.0, group, most);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn refusals(&self, c: ConnectionKey, most: usize) -> Result<Vec<Refused>, StoreError> {
        let read = self
            .readers
            .read_apart(move |db| refusals::list(db, c.0, most));
        Ok(read.await?)
    }

    async fn oldest_revocation(&self, c: ConnectionKey) -> Result<Option<Millis>, StoreError> {
        let read = move |db: &Connection| lanes::oldest_revocation(db, c.0);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn refused_resources(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> Result<Vec<RefusedResource>, StoreError> {
        let read = move |db: &Connection| refusals::resources(db, c.0, most);
        Ok(self.readers.read_apart(read).await?)
    }

    async fn note(
        &self,
        c: ConnectionKey,
        action: &'static str,
        actor: Actor,
    ) -> Result<(), StoreError> {
        let write = self
            .writer
            .write(move |db| audit::record(db, c.0, &actor, action, None, &Value::Null));
        Ok(write.await?)
    }

    async fn note_tokens(
        &self,
        c: ConnectionKey,
        tokens: Vec<SeenToken>,
        actor: Actor,
    ) -> Result<(), StoreError> {
        let write = self
            .writer
            .write(move |db| tokens::note(db, c.0, &tokens, &actor));
        Ok(write.await?)
    }

    async fn create_user(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        row: UserRow,
        actor: Actor,
    ) -> Result<UserWritten, WriteError> {
        let write = self
            .writer
            .write(move |db| users::create(db, c.0, id, &row, &actor));
        Ok(write.await?)
    }

    async fn change_user(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        when: Precondition,
        decide: DecideUser,
        actor: Actor,
    ) -> Result<UserWritten, WriteError> {
        let write = self
            .writer
            .write(move |db| users::change(db, c.0, id, &when, decide, &actor));
        Ok(write.await?)
    }

    async fn begin_deletion(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        when: Precondition,
        decide: DecideUser,
        actor: Actor,
    ) -> Result<UserWritten, WriteError> {
        let write = self
            .writer
            .write(move |db| begun::begin(db, c.0, id, &when, decide, &actor));
        Ok(write.await?)
    }

    async fn finish_deletions(&self, c: ConnectionKey, actor: Actor) -> Result<u64, StoreError> {
        let write = self.writer.write(move |db| begun::finish(db, c.0, &actor));
        Ok(write.await? as u64)
    }

    async fn delete_user(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        when: Precondition,
        actor: Actor,
    ) -> Result<UserWritten, WriteError> {
        let write = self
            .writer
            .write(move |db| leaving::delete(db, c.0, id, &when, &actor));
        Ok(write.await?)
    }

    async fn restore_user(
        &self,
        key: UserKey,
        version: u64,
        before: Option<UserRow>,
        actor: Actor,
    ) -> Result<(), WriteError> {
        let write = self
            .writer
            .write(move |db| leaving::restore(db, key, version, before.as_ref(), &actor));
        Ok(write.await?)
    }

    async fn create_group(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        row: GroupRow,
        members: Vec<String>,
        skip_unknown: bool,
        actor: Actor,
    ) -> Result<GroupWritten, WriteError> {
        let write = self
            .writer
            .write(move |db| groups::create(db, c.0, id, &row, members, skip_unknown, &actor));
        Ok(write.await?)
    }

    async fn change_group(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        when: Precondition,
        change: GroupChange,
        actor: Actor,
    ) -> Result<GroupWritten, WriteError> {
        let write = self
            .writer
            .write(move |db| groups::change(db, c.0, id, &when, change, &actor));
        Ok(write.await?)
    }

    async fn delete_group(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        when: Precondition,
        decide: DecideGroup,
        others: Option<Others>,
        actor: Actor,
    ) -> Result<GroupWritten, WriteError> {
        let write = self
            .writer
            .write(move |db| groups::delete(db, c.0, id, &when, (decide, others), &actor));
        Ok(write.await?)
    }

    async fn withdraw_group(
        &self,
        key: GroupKey,
        seq: u64,
        actor: Actor,
    ) -> Result<Vec<Lane>, WriteError> {
        let write = self
            .writer
            .write(move |db| groups::withdraw(db, key, seq, &actor));
        Ok(write.await?)
    }

    async fn write_all(
        &self,
        c: ConnectionKey,
        units: Vec<Unit>,
        most_errors: usize,
        actor: Actor,
    ) -> Result<Vec<Outcome>, StoreError> {
        let write = self
            .writer
            .write(move |db| bulk::run(db, c.0, units, most_errors, &actor));
        Ok(write.await?)
    }

    async fn rehearse(
        &self,
        c: ConnectionKey,
        script: Script,
        actor: Actor,
    ) -> Result<(), StoreError> {
        let trial = self
            .writer
            .try_out(move |db| trial::run(db, c.0, script, &actor));
        Ok(trial.await?)
    }

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

    async fn has_new_removal(&self, key: GroupKey) -> Result<bool, StoreError> {
        let read = |db: &Connection| group_turn::has_new_removal(db, key.0);
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

    async fn with_unknown(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> Result<Vec<WithUnknown>, StoreError> {
        let read = move |db: &Connection| import::with_unknown(db, c.0, most);
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

    async fn delayed(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> Result<Vec<(ResourceId, Delay)>, StoreError> {
        let read = move |db: &Connection| withdrawal::delayed(db, c.0, most);
        Ok(self.readers.read_apart(read).await?)
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

    async fn families(&self, c: ConnectionKey) -> Result<Vec<String>, StoreError> {
        let read = move |db: &Connection| lost::families(db, c.0);
        Ok(self.readers.read_apart(read).await?)
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

    async fn may_end(&self, user: UserKey, actor: Actor) -> Result<Option<String>, StoreError> {
        let write = self
            .writer
            .write(move |db| protected::may_end(db, user, &actor));
        Ok(write.await?)
    }

    async fn end_kept(&self, c: ConnectionKey, actor: Actor) -> Result<Vec<Lane>, StoreError> {
        let write = self
            .writer
            .write(move |db| protected::end_kept(db, c.0, &actor));
        Ok(write.await?)
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
