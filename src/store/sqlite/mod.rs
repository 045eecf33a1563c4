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
    plan::state::{ConnectionKey, GroupKey, UserKey},
    scim::{
        groups::DirectGroup,
        resource::{ResourceId, ResourceType},
    },
};

use super::{
    Actor, Counts, DecideGroup, DecideUser, Delay, GroupChange, GroupRow, GroupWritten, Health,
    Lane, ListError, Listing, Members, Millis, Others, Pending, Precondition, Refused,
    RefusedResource, Resource, SeenToken, Select, Store, StoreError, StoredUser, UserRow,
    UserWritten, WriteError,
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
mod called;
mod candidate;
mod doomed;
mod ended_elsewhere;
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
mod higher;
mod holdings;
mod import;
mod keys;
mod lanes;
mod late;
mod leaving;
mod left_alone;
mod let_go;
mod linked;
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
mod observing;
mod offered;
mod owners;
mod perhaps;
mod protected;
mod raised;
mod read;
mod readers;
mod reconcile;
mod recovery;
mod refusals;
mod remade;
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
mod working;
mod writer;

#[cfg(test)]
pub(crate) use writer::simulated;

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
            .write(move |db| begun::begin(db, c.0, id, &when, decide, None, &actor));
        Ok(write.await?)
    }

    async fn end_deletion(
        &self,
        c: ConnectionKey,
        id: ResourceId,
        named: bool,
        actor: Actor,
    ) -> Result<UserWritten, WriteError> {
        let write = self
            .writer
            .write(move |db| begun::complete(db, c.0, id, named, &actor));
        Ok(write.await?)
    }

    async fn forget_deletions(
        &self,
        c: ConnectionKey,
        ids: Vec<ResourceId>,
    ) -> Result<(), StoreError> {
        let write = self.writer.write(move |db| begun::forget(db, c.0, &ids));
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

    async fn delayed(
        &self,
        c: ConnectionKey,
        most: usize,
    ) -> Result<Vec<(ResourceId, Delay)>, StoreError> {
        let read = move |db: &Connection| withdrawal::delayed(db, c.0, most);
        Ok(self.readers.read_apart(read).await?)
    }
}
