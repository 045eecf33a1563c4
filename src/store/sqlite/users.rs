//! User rows: what one says, and how it is read; how it is written is in [`stored`],
//! and the identity provider's create and change are in [`asked`].

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    plan::state::{Account, Existence, ObservedAccount, Principal, UserKey},
    scim::resource::ResourceId,
    store::{Meta, Millis, Resource, StoredUser, UserRow, UserWritten},
};

use super::{fault::Result, protected, row::id_at, withdrawal::Withdrawal};

mod asked;
mod stored;

pub(super) use asked::{change, create, put};
pub(super) use stored::{insert, save, save_attributes};

/// A whole row.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) key: i64,
    pub(super) connection: i64,
    pub(super) id: ResourceId,
    pub(super) version: i64,
    pub(super) created: Millis,
    pub(super) modified: Millis,
    pub(super) tombstone: Option<Millis>,
    pub(super) imported: bool,
    /// 1: a call about role or profile is open; 2: one about existence. [`SOUGHT`] and
    /// [`UNJUDGED`]: nothing is known of the account of who must have nothing.
    pub(super) unsure: i64,
    /// The version the open turn began on.
    pub(super) turn: Option<i64>,
    /// The application does not have the account, and it cannot be made.
    pub(super) staged: bool,
    /// Its memberships are taken away, because its account cannot be ended, or not
    /// yet.
    pub(super) withdrawn: Withdrawal,
    pub(super) account_key: Option<String>,
    pub(super) upstream_id: Option<String>,
    pub(super) refused: Option<String>,
    pub(super) attributes: String,
    pub(super) account: Account,
    pub(super) observed: ObservedAccount,
}

/// It is to be looked for, and ended if it is there.
pub(super) const SOUGHT: i64 = 3;
/// The same, and the guard has not been asked about that.
pub(super) const UNJUDGED: i64 = 4;

const COLUMNS: &str = "key, connection, id, version, created, modified, tombstone, imported,
    unsure, turn, account_key, upstream_id, refused, attributes, account, observed,
    dirty = 2, withdrawn";

impl User {
    /// A row that was never stored.
    pub(super) fn fresh(
        connection: i64,
        id: ResourceId,
        row: &UserRow,
        at: Millis,
    ) -> Result<Self> {
        Ok(Self {
            key: 0,
            connection,
            id,
            version: 1,
            created: at,
            modified: at,
            tombstone: None,
            imported: false,
            unsure: 0,
            turn: None,
            staged: false,
            withdrawn: Withdrawal::No,
            account_key: row.account_key.clone(),
            upstream_id: None,
            refused: None,
            attributes: serde_json::to_string(&row.attributes)?,
            account: row.account.clone(),
            observed: ObservedAccount::default(),
        })
    }

    /// The lane has work. A user the application cannot know never has.
    pub(super) fn dirty(&self) -> bool {
        let open = match self.refused {
            None => {
                self.unsure > 0
                    || differs(&self.account, &self.observed) && !self.waits() && !self.has_left()
            }
            Some(_) => {
                self.is_kept()
                    && profile_differs(&self.account, &self.observed)
                    && self.observed.refused.as_ref() != Some(&self.account.profile)
            }
        };
        self.account_key.is_some() && open
    }

    /// It is not ended, or not lowered, as it is protected; and it is there.
    pub(super) fn is_kept(&self) -> bool {
        self.refused.as_deref() == Some(protected::REASON)
            && self.tombstone.is_none()
            && self.observed.existence == Existence::Present
            && self.unsure < SOUGHT
    }

    /// What is to be there: of an account that is kept all but its end and its role.
    pub(super) fn wanted(&self) -> Account {
        let mut wanted = self.account.clone();
        if self.is_kept() {
            (wanted.active, wanted.role) = (true, self.observed.role.clone());
        }
        wanted
    }

    /// Without the account having been ended.
    fn has_left(&self) -> bool {
        !self.account.active && matches!(self.withdrawn, Withdrawal::Done | Withdrawal::Unended)
    }

    /// For an account that has to appear first.
    fn waits(&self) -> bool {
        self.staged
            && self.tombstone.is_none()
            && self.account.active
            && self.observed.existence != Existence::Present
    }

    /// As the column `dirty`.
    fn openness(&self) -> i64 {
        match (self.dirty(), self.waits()) {
            (true, _) => 1,
            (false, true) => 2,
            (false, false) => 0,
        }
    }

    /// Adds of this user may be sent.
    pub(super) fn addable(&self) -> bool {
        self.tombstone.is_none()
            && self.account.active
            && self.observed.existence == Existence::Present
            && self.unsure < 2
    }

    /// The application never had this account, so it is a member of nothing there.
    pub(super) fn never_there(&self) -> bool {
        self.observed.existence == Existence::Absent
            && !self.observed.deactivated
            && self.unsure == 0
    }

    /// Whether there is an account was never learned, or is being looked for.
    pub(super) fn is_unknown(&self) -> bool {
        self.never_there() || self.unsure >= SOUGHT
    }

    /// An account of who must have nothing, of which nothing is known, is looked
    /// for before it is called ended.
    pub(super) fn seek(&mut self, how: i64) -> bool {
        let seeks = !self.account.active && self.never_there() && self.account_key.is_some();
        if seeks {
            self.unsure = how;
        }
        seeks
    }

    /// Whose account was told as missing is looked for, and has it made again, as the
    /// user is asked for once more. Whether that is so.
    fn asks_for_missed(&mut self) -> bool {
        let missed = std::mem::take(&mut self.observed.missed);
        let asks = missed && self.account.active && self.tombstone.is_none();
        if asks {
            self.unsure = self.unsure.max(2);
        }
        asks
    }

    /// There is, or was, an account that is known to be the user's.
    fn linked(&self) -> bool {
        self.upstream_id.is_some()
            || self.observed.existence != Existence::Absent
            || self.observed.deactivated
    }

    pub(super) fn meta(&self) -> Meta {
        Meta {
            created: self.created,
            modified: self.modified,
            version: self.version.cast_unsigned(),
        }
    }

    pub(super) fn row(&self) -> Result<UserRow> {
        Ok(UserRow {
            attributes: serde_json::from_str(&self.attributes)?,
            account_key: self.account_key.clone(),
            account: self.account.clone(),
        })
    }

    pub(super) fn stored(&self) -> Result<StoredUser> {
        Ok(StoredUser {
            key: UserKey(self.key),
            id: self.id,
            meta: self.meta(),
            row: self.row()?,
            observed: self.observed.clone(),
            linked: self.linked(),
            asked_for: self.unsure > 0 || self.turn.is_some(),
        })
    }

    pub(super) fn principal(&self) -> Option<Principal> {
        Some(Principal {
            user: UserKey(self.key),
            id: self.id,
            account: self.account_key.clone()?,
            upstream_id: self.upstream_id.clone(),
            counts: None,
            given_up: Vec::new(),
            elsewhere: Vec::new(),
            keeps: Vec::new(),
            families: Vec::new(),
            twins: Vec::new(),
            has: false,
            holding: None,
            fallback: None,
        })
    }

    pub(super) fn written(self, before: Option<UserRow>, changed: bool) -> UserWritten {
        UserWritten {
            key: UserKey(self.key),
            changed,
            dirty: self.dirty(),
            before,
            groups: Vec::new(),
            resource: Resource {
                id: self.id,
                meta: self.meta(),
                attributes: self.attributes,
            },
        }
    }
}

/// Whether the plan would find something to do.
fn differs(wanted: &Account, observed: &ObservedAccount) -> bool {
    if !wanted.active {
        return observed.existence != Existence::Absent;
    }
    if observed.existence != Existence::Present {
        return true;
    }
    let role_differs = match &wanted.role {
        None => observed.lacks_plain_role(),
        wanted => *wanted != observed.role,
    };
    role_differs || profile_differs(wanted, observed)
}

fn profile_differs(wanted: &Account, observed: &ObservedAccount) -> bool {
    let seen = observed.profile.as_ref();
    let changed = |(key, value)| seen.and_then(|it| it.get(key)) != Some(value);
    wanted.profile.iter().any(changed) || !observed.to_clear(&wanted.profile).is_empty()
}

pub(super) fn live(db: &Connection, connection: i64, id: ResourceId) -> Result<Option<User>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM users WHERE id = ?1 AND connection = ?2 AND tombstone IS NULL"
    );
    load(
        db.prepare_cached(&sql)?
            .query(params![id.as_bytes(), connection])?,
    )
}

/// Also a tombstone.
pub(super) fn by_key(db: &Connection, key: i64) -> Result<Option<User>> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE key = ?1");
    load(db.prepare_cached(&sql)?.query([key])?)
}

fn load(mut rows: rusqlite::Rows<'_>) -> Result<Option<User>> {
    rows.next()?.map(user_at).transpose()
}

fn user_at(row: &Row<'_>) -> Result<User> {
    Ok(User {
        key: row.get(0)?,
        connection: row.get(1)?,
        id: id_at(row, 2)?,
        version: row.get(3)?,
        created: row.get(4)?,
        modified: row.get(5)?,
        tombstone: row.get(6)?,
        imported: row.get(7)?,
        unsure: row.get(8)?,
        turn: row.get(9)?,
        account_key: row.get(10)?,
        upstream_id: row.get(11)?,
        refused: row.get(12)?,
        attributes: row.get(13)?,
        account: serde_json::from_str(row.get_ref(14)?.as_str().map_err(rusqlite::Error::from)?)?,
        observed: serde_json::from_str(row.get_ref(15)?.as_str().map_err(rusqlite::Error::from)?)?,
        staged: row.get(16)?,
        withdrawn: Withdrawal::of(row.get(17)?),
    })
}

/// Whether another user of the connection has an account with this id.
pub(super) fn is_bound_elsewhere(db: &Connection, user: UserKey, id: &str) -> Result<bool> {
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM users u JOIN users o
                 ON o.connection = u.connection AND o.upstream_id = ?2 AND o.key <> u.key
             WHERE u.key = ?1 AND u.upstream_id IS NOT ?2 AND o.tombstone IS NULL
               AND o.upstream_id IS NOT NULL",
        )?
        .exists(params![user.0, id])?)
}

/// The ids of some users, deleted ones too.
pub(super) fn ids(db: &Connection, keys: &[UserKey]) -> Result<Vec<ResourceId>> {
    let mut select = db.prepare_cached("SELECT id FROM users WHERE key = ?1")?;
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        found.extend(select.query_row([key.0], |row| id_at(row, 0)).optional()?);
    }
    Ok(found)
}

/// A principal from `key, id, account_key, upstream_id`.
pub(super) fn principal_at(row: &Row<'_>) -> rusqlite::Result<Principal> {
    Ok(Principal {
        user: UserKey(row.get(0)?),
        id: id_at(row, 1)?,
        account: row.get(2)?,
        upstream_id: row.get(3)?,
        counts: None,
        given_up: Vec::new(),
        elsewhere: Vec::new(),
        keeps: Vec::new(),
        families: Vec::new(),
        twins: Vec::new(),
        has: false,
        holding: None,
        fallback: None,
    })
}
