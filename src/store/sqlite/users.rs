//! User rows: how they are read and written, and the identity provider's
//! create and change. What is indexed of a user is kept in step here and
//! nowhere else.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use crate::{
    plan::state::{Account, Existence, ObservedAccount, Principal, UserKey},
    scim::{
        error::Problem,
        filter::fold_case,
        resource::{Attributes, ResourceId},
    },
    store::{
        Actor, DecideUser, Meta, Millis, Precondition, Resource, StoredUser, UserRow, UserWritten,
        Watch, WriteError,
    },
};

use super::{
    addresses, approved, audit, begun, ended_elsewhere,
    fault::{Fault, Result},
    given_back, guard, lanes, leaving, owners, protected, recovery, removals, returned,
    row::{check, existence_code, id_at},
    unasked, upheld,
    withdrawal::{self, Withdrawal},
};

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

/// What is indexed of a live user's attributes.
struct Keys {
    user_name: Option<String>,
    external_id: Option<String>,
    emails: Vec<String>,
}

impl Keys {
    fn of(attributes: &Attributes) -> Self {
        let mut emails: Vec<String> = attributes.emails().into_iter().map(fold_case).collect();
        emails.sort_unstable();
        emails.dedup();
        Self {
            user_name: attributes.text("userName").map(fold_case),
            external_id: attributes.text("externalId").map(str::to_owned),
            emails,
        }
    }
}

/// Stores a new row and returns its key.
pub(super) fn insert(db: &Connection, user: &User, attributes: &Attributes) -> Result<i64> {
    let keys = Keys::of(attributes);
    db.prepare_cached(
        "INSERT INTO users (connection, id, version, created, modified, imported, wants, existence,
             deactivated, unsure, dirty, account_key, upstream_id, user_name_key, external_id,
             attributes, account, observed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?
    .execute(params![
        user.connection,
        user.id.as_bytes(),
        user.version,
        user.created,
        user.modified,
        user.imported,
        user.account.active,
        existence_code(user.observed.existence),
        user.observed.deactivated,
        user.unsure,
        user.openness(),
        user.account_key,
        user.upstream_id,
        keys.user_name,
        keys.external_id,
        user.attributes,
        serde_json::to_string(&user.account)?,
        serde_json::to_string(&user.observed)?,
    ])
    .map_err(|error| taken(db, error.into(), user, attributes))?;
    let key = db.last_insert_rowid();
    index_emails(db, user.connection, key, &keys.emails)?;
    given_back::note_formers(db, key, user)?;
    leaving::is_had_again(db, user)?;
    removals::count_users(db, user.connection, 1)?;
    Ok(key)
}

/// Writes attributes and what is indexed of them; [`save`] the rest.
pub(super) fn save_attributes(db: &Connection, user: &User, attributes: &Attributes) -> Result<()> {
    let keys = Keys::of(attributes);
    db.prepare_cached(
        "UPDATE users SET user_name_key = ?2, external_id = ?3, attributes = ?4 WHERE key = ?1",
    )?
    .execute(params![
        user.key,
        keys.user_name,
        keys.external_id,
        user.attributes
    ])
    .map_err(|error| taken(db, error.into(), user, attributes))?;
    let mut stored: Vec<String> = db
        .prepare_cached("SELECT email_key FROM user_emails WHERE user_key = ?1")?
        .query_map([user.key], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    stored.sort_unstable();
    if stored != keys.emails {
        db.prepare_cached("DELETE FROM user_emails WHERE user_key = ?1")?
            .execute([user.key])?;
        index_emails(db, user.connection, user.key, &keys.emails)?;
    }
    Ok(())
}

fn index_emails(db: &Connection, connection: i64, key: i64, emails: &[String]) -> Result<()> {
    let mut insert = db.prepare_cached(
        "INSERT INTO user_emails (connection, email_key, user_key) VALUES (?1, ?2, ?3)",
    )?;
    for email in emails {
        insert.execute(params![connection, email, key])?;
    }
    Ok(())
}

/// Writes everything but attributes, and keeps `dirty` true to it.
pub(super) fn save(db: &Connection, user: &User) -> Result<()> {
    db.prepare_cached(
        "UPDATE users SET version = ?2, modified = ?3, tombstone = ?4, wants = ?5, existence = ?6,
             deactivated = ?7, unsure = ?8, dirty = ?9, turn = ?10, account_key = ?11,
             upstream_id = ?12, refused = ?13, account = ?14, observed = ?15,
             withdrawn = ?16
         WHERE key = ?1",
    )?
    .execute(params![
        user.key,
        user.version,
        user.modified,
        user.tombstone,
        user.account.active,
        existence_code(user.observed.existence),
        user.observed.deactivated,
        user.unsure,
        user.openness(),
        user.turn,
        user.account_key,
        user.upstream_id,
        user.refused,
        serde_json::to_string(&user.account)?,
        serde_json::to_string(&user.observed)?,
        user.withdrawn as i64,
    ])
    .map_err(|error| taken(db, error.into(), user, &Attributes::default()))?;
    Ok(())
}

/// Which value an index refused; the one a client can do most about first,
/// because the database stops at any of them.
fn taken(db: &Connection, fault: Fault, user: &User, attributes: &Attributes) -> Fault {
    if fault.violated().is_none() {
        return fault;
    }
    let keys = Keys::of(attributes);
    let mine = [
        (
            "userName",
            "user_name_key",
            keys.user_name,
            attributes.text("userName"),
        ),
        (
            "externalId",
            "external_id",
            keys.external_id,
            attributes.text("externalId"),
        ),
        (
            "account",
            "account_key",
            user.account_key.clone(),
            user.account_key.as_deref(),
        ),
    ];
    for (attribute, column, key, value) in mine {
        let (Some(key), Some(value)) = (key, value) else {
            continue;
        };
        let sql = format!(
            "SELECT 1 FROM users
             WHERE connection = ?1 AND {column} = ?2 AND tombstone IS NULL AND key <> ?3"
        );
        let held = db
            .prepare_cached(&sql)
            .and_then(|mut select| select.exists(params![user.connection, key, user.key]));
        match held {
            Ok(false) => {}
            Ok(true) => {
                let value = value.to_owned();
                let holder = None;
                return WriteError::Taken {
                    attribute,
                    value,
                    holder,
                }
                .into();
            }
            Err(error) => return error.into(),
        }
    }
    fault
}

pub(super) fn create(
    db: &Connection,
    connection: i64,
    id: ResourceId,
    row: &UserRow,
    actor: &Actor,
) -> Result<UserWritten> {
    let mut user = User::fresh(connection, id, row, actor.at)?;
    owners::claim_account(db, connection, user.account_key.as_deref())?;
    leaving::inherit(db, &mut user)?;
    user.seek(UNJUDGED);
    user.key = insert(db, &user, &row.attributes)?;
    for before in leaving::predecessors(db, &user)? {
        leaving::finish(db, before)?;
        user = by_key(db, user.key)?.unwrap_or(user);
    }
    point!("user.inserted");
    audit::record(
        db,
        connection,
        actor,
        "create_user",
        Some(id),
        &json!({ "version": 1 }),
    )?;
    Ok(user.written(None, true))
}

pub(super) fn change(
    db: &Connection,
    connection: i64,
    id: ResourceId,
    when: &Precondition,
    decide: DecideUser,
    actor: &Actor,
) -> Result<UserWritten> {
    let mut user = live(db, connection, id)?.ok_or(WriteError::Missing)?;
    check(when, user.version)?;
    let before = user.row()?;
    let stored = user.stored()?;
    let mut otherwise = false;
    let next = decide(&stored)?.map(|mut row| {
        let kept = before.account_key.clone();
        otherwise = stored.linked && row.account_key.is_some() && row.account_key != kept;
        row.account_key = if stored.linked {
            kept.or(row.account_key)
        } else {
            row.account_key.or(kept)
        };
        row
    });
    let ended = ended_elsewhere::is_noted(db, user.key)?;
    let next = next.filter(|next| *next != before);
    // Whom another connection has ended is asked for as it is shown.
    let next = next.or_else(|| ended.then(|| ended_elsewhere::as_shown(&before)));
    let Some(next) = next else {
        // A refused or staged user is tried again when it is asked for again,
        // and not when it is only asked what would be.
        if matches!(actor.watch, Watch::Rehearsed(_)) {
            return Ok(user.written(Some(before), false));
        }
        match user.refused.as_deref().filter(|_| is_upheld(&user)) {
            Some(protected::REASON) => upheld::judge_user(db, &user, actor)?,
            Some(why) => return Err(WriteError::Problem(Problem::new(403, why)).into()),
            None => {}
        }
        let refused = user.refused.take().is_some();
        // Another attempt, so that who asks now is not answered with the last one.
        user.version += i64::from(refused);
        let again = withdrawal::ask_again(db, &mut user)? | user.seek(UNJUDGED);
        if refused | again | std::mem::take(&mut user.staged) {
            save(db, &user)?;
        }
        let groups = if user.account.active {
            Vec::new()
        } else {
            upheld::removals_of(db, &user, actor)?
        };
        approved::user_is_asked_for(db, &user, actor)?;
        let mut written = user.written(Some(before), false);
        written.groups = groups;
        return Ok(written);
    };
    let was_addable = user.addable();
    let was_withdrawn = user.withdrawn != Withdrawal::No;
    let mut upheld = user.refused.clone().filter(|_| is_upheld(&user));
    let same_role = next.account.role == before.account.role;
    let mut judged = before.clone();
    if upheld.is_some() && !same_role {
        // It has the one before, whatever was asked for since.
        judged.account.role = user.observed.last_role().map(str::to_owned);
    }
    if upheld.as_deref() == Some(protected::REASON) && upheld::may_go(db, &user, actor)? {
        upheld = None;
    }
    if ended {
        ended_elsewhere::take_over(db, &mut user)?;
    }
    put(db, &mut user, &next, actor.at)?;
    if user.account_key != before.account_key {
        for before in leaving::predecessors(db, &user)? {
            leaving::finish(db, before)?;
            user = by_key(db, user.key)?.unwrap_or(user);
        }
    }
    if otherwise {
        addresses::note_otherwise(db, user.key)?;
    }
    if user.account.active {
        begun::end(db, UserKey(user.key))?;
    }
    returned::is_asked_for_user(db, user.key)?;
    let as_before = next.account.active == before.account.active && same_role;
    if upheld.is_some() && (as_before || !user.account.active) {
        user.refused = upheld;
        save(db, &user)?;
    }
    point!("user.changed");
    // What the application does not hold is everybody's own.
    if next.account != before.account || ended {
        owners::claim_account(db, connection, user.account_key.as_deref())?;
    }
    guard::user_changed(db, &user, &judged, Some(&next), actor)?;
    approved::user_is_asked_for(db, &user, actor)?;
    let returns = was_withdrawn && user.account.active;
    let mut groups = Vec::new();
    if before.account.active && !user.account.active || returns {
        groups = lanes::keep_open_adds(db, user.key)?;
    }
    let mut detail = json!({
        "version": user.version,
        "active": next.account.active,
        "was_active": before.account.active,
    });
    if actor.put {
        detail["put"] = true.into();
    }
    audit::record(db, connection, actor, "change_user", Some(id), &detail)?;
    if !was_addable && user.addable() || returns {
        groups = lanes::open_groups_of(db, user.key)?;
    }
    let mut written = user.written(Some(before), true);
    written.groups = groups;
    Ok(written)
}

/// Not ended, or not lowered, because it is protected or may be somebody else's; see
/// [`protected`] and [`recovery`].
fn is_upheld(user: &User) -> bool {
    matches!(
        user.refused.as_deref(),
        Some(protected::REASON | recovery::WAITS)
    )
}

/// Lays a row over a stored user as a new version.
pub(super) fn put(db: &Connection, user: &mut User, row: &UserRow, at: Millis) -> Result<()> {
    user.version += 1;
    user.modified = at;
    user.refused = None;
    user.staged = false;
    if row.account.active {
        user.withdrawn = Withdrawal::No;
    }
    user.attributes = serde_json::to_string(&row.attributes)?;
    let (ended, returns, moved) = (
        user.account.active && !row.account.active,
        !user.account.active && row.account.active,
        user.account_key != row.account_key,
    );
    user.account_key.clone_from(&row.account_key);
    user.account.clone_from(&row.account);
    if ended {
        unasked::mark(db, user.key)?;
    } else if returns {
        unasked::give_back(db, user)?;
    }
    if row.account.active && user.unsure >= SOUGHT {
        // What is found now is not to be taken for what was made.
        user.unsure = 0;
    } else if ended {
        user.seek(SOUGHT);
    } else if moved {
        user.seek(UNJUDGED);
    }
    save_attributes(db, user, &row.attributes)?;
    save(db, user)
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
