//! The contract of a rehearsal, joined to the statements as [`super::Sqlite`]
//! joins the rest; that it is taken back is [`super::writer`]'s. An error of the
//! database itself is kept for the writer, which must know when the file can be
//! trusted no more.

use std::cell::RefCell;

use rusqlite::Connection;

use crate::{
    plan::state::{GroupKey, UserKey},
    scim::resource::ResourceId,
    store::{
        Actor, Counting, GroupLearned, GroupTurn, Lane, Millis, StoreError, UserLearned, UserTurn,
        Watched,
        bulk::{Outcome, Unit},
        trial::{Script, Trial},
    },
};

use super::{
    bulk, families,
    fault::{Fault, Result, store_error},
    found, group_turn, user_turn, watched,
};

type Told<T> = std::result::Result<T, StoreError>;

/// Runs a script; whatever it writes is left for the writer to take back.
pub(super) fn run(db: &Connection, c: i64, script: Script, actor: &Actor) -> Result<()> {
    let trying = Trying {
        db,
        connection: c,
        actor,
        fault: RefCell::default(),
    };
    let ended = script(&trying);
    match trying.fault.into_inner() {
        Some(fault) => Err(fault),
        None => Ok(ended?),
    }
}

struct Trying<'a> {
    db: &'a Connection,
    connection: i64,
    actor: &'a Actor,
    fault: RefCell<Option<Fault>>,
}

impl Trying<'_> {
    fn tell<T>(&self, done: Result<T>) -> Told<T> {
        done.map_err(|fault| match fault {
            Fault::Sqlite(error) => {
                let told = store_error(&error);
                self.fault.borrow_mut().get_or_insert(Fault::Sqlite(error));
                told
            }
            other => other.into(),
        })
    }
}

impl Trial for Trying<'_> {
    fn write_all(&self, units: Vec<Unit>, most_errors: usize) -> Told<Vec<Outcome>> {
        let done = bulk::run(self.db, self.connection, units, most_errors, self.actor);
        self.tell(done)
    }

    fn follow(&self, user: ResourceId, account: String, address: String) -> Told<bool> {
        let followed = found::follow_alone(
            self.db,
            self.connection,
            user,
            &(account, address),
            self.actor,
        );
        self.tell(followed)
    }

    fn watched(
        &self,
        lane: Lane,
        going: Vec<UserKey>,
        before: Millis,
        actor: Actor,
    ) -> Told<Vec<Watched>> {
        self.tell(watched::of_lane(self.db, lane, &going, before, &actor))
    }

    fn begin_user_turn(&self, key: UserKey) -> Told<Option<UserTurn>> {
        self.tell(user_turn::begin(self.db, key))
    }

    fn end_user_turn(&self, key: UserKey, learned: UserLearned, at: Millis) -> Told<Vec<Lane>> {
        self.tell(user_turn::end(self.db, key, learned, at))
    }

    fn begin_group_turn(&self, key: GroupKey, limit: usize) -> Told<Option<GroupTurn>> {
        self.tell(group_turn::begin(self.db, key, limit))
    }

    fn end_group_turn(
        &self,
        key: GroupKey,
        seq: u64,
        learned: &GroupLearned,
        at: Millis,
    ) -> Told<Vec<Lane>> {
        self.tell(group_turn::end(self.db, key, seq, learned, at))
    }

    fn counting(&self, key: GroupKey, user: UserKey, wanted: bool) -> Told<Option<Counting>> {
        self.tell(families::counting(self.db, key.0, user.0, wanted))
    }
}
