//! A Group goes on as what its group was made anew as, in one transaction: it keeps its
//! id, its key and who is asked for in it, and everything that goes by the application's
//! name for it goes by the new one. Whoever was in it is open, as nobody knows whether
//! they are in the new one; what is on its way by the old name is not believed.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use crate::{
    plan::state::{ConnectionKey, GroupKey},
    scim::resource::Attributes,
    store::{Actor, Lane, Remaking, StoreError, Successor, WentOn},
};

use super::{
    Sqlite, audit, families,
    fault::Result,
    groups::{self, Group},
    import, naming,
    newcomers::Newcomer,
    owners::Kind,
    sharing,
};

/// Why two Groups are not made one.
const ASKED_FOR: &str = "of the one that is there now something was asked for here, or is under \
    way, in a Group of its own: take its members out of that and wait for the next import, or go \
    on with that one";

fn go_on(db: &Connection, connection: i64, to: Successor, actor: &Actor) -> Result<WentOn> {
    let Some(mut group) = live(db, connection, &to.from)? else {
        return Ok(WentOn::Nothing);
    };
    let mut members = Vec::new();
    let mut detail = json!({ "from": to.from, "to": to.to });
    if let Some(found) = live(db, connection, &to.to)? {
        if is_asked_for(db, &found)? {
            return Ok(WentOn::Stays(ASKED_FOR.into()));
        }
        detail["instead_of"] = found.id.to_string().into();
        members = end_found(db, found, &group, actor)?;
    }
    group.upstream_name.clone_from(&to.to);
    naming::save(db, &group)?;
    if to.family.is_some() {
        families::learn(db, &mut group, to.family)?;
    }
    let mut attributes: Attributes = serde_json::from_str(&group.attributes)?;
    (to.adorn)(&mut attributes);
    group.attributes = serde_json::to_string(&attributes)?;
    groups::save_attributes(db, &group, &attributes)?;
    go_by(db, &group, (&to.from, &to.to))?;
    let any = !members.is_empty();
    for member in members {
        if !is_member(db, group.key, member.0)? {
            import::find_member(db, &mut group, member, None)?;
        }
    }
    group.version += 1;
    group.seq += 1;
    group.modified = group.modified.max(actor.at);
    groups::save(db, &group)?;
    if any {
        sharing::note_found(db, &group, actor.at)?;
    }
    point!("group.went-on");
    detail["version"] = group.version.into();
    let id = Some(group.id);
    audit::record(db, connection, actor, "group_made_anew", id, &detail)?;
    let lane = Lane::Group(GroupKey(group.key));
    Ok(WentOn::Done(group.id, lane))
}

fn live(db: &Connection, connection: i64, name: &str) -> Result<Option<Group>> {
    let key: Option<i64> = db
        .prepare_cached(
            "SELECT key FROM groups
             WHERE connection = ?1 AND upstream_name = ?2 AND tombstone IS NULL",
        )?
        .query_row(params![connection, name], |row| row.get(0))
        .optional()?;
    Ok(key
        .map(|key| groups::by_key(db, key))
        .transpose()?
        .flatten())
}

/// Whether anybody but an import had to do with a Group.
fn is_asked_for(db: &Connection, found: &Group) -> Result<bool> {
    let attributes: Attributes = serde_json::from_str(&found.attributes)?;
    let known = found.ours || attributes.text("externalId").is_some();
    Ok(known
        || db
            .prepare_cached(
                "SELECT 1 FROM memberships
                     WHERE group_key = ?1 AND (managed = 1 OR desired = 0 OR observed <> 1)
                 UNION ALL SELECT 1 FROM doubts WHERE group_key = ?1
                 UNION ALL SELECT 1 FROM giving WHERE group_key = ?1 OR gives = ?1
                 UNION ALL SELECT 1 FROM refusals WHERE group_key = ?1
                 UNION ALL SELECT 1 FROM raised WHERE by_group = ?1
                 UNION ALL SELECT 1 FROM held
                     WHERE state = 'open' AND (blocks = ?1 OR target = ?2)
                 LIMIT 1",
            )?
            .exists(params![found.key, found.id.as_bytes()])?)
}

/// Whom it had is in the one that goes on.
fn end_found(
    db: &Connection,
    mut found: Group,
    group: &Group,
    actor: &Actor,
) -> Result<Vec<Newcomer>> {
    let members = db
        .prepare_cached("SELECT user_key, user_id FROM memberships WHERE group_key = ?1")?
        .query_map([found.key], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    db.prepare_cached("UPDATE OR IGNORE raised SET group_key = ?2 WHERE group_key = ?1")?
        .execute([found.key, group.key])?;
    db.prepare_cached("DELETE FROM raised WHERE group_key = ?1")?
        .execute([found.key])?;
    // Nothing of that name was taken away here.
    found.made = false;
    let detail = json!({ "made_anew": group.id.to_string() });
    naming::bury_found(db, &mut found, detail, actor)?;
    Ok(members)
}

fn is_member(db: &Connection, group: i64, user: i64) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM memberships WHERE group_key = ?1 AND user_key = ?2")?
        .exists([group, user])?)
}

fn go_by(db: &Connection, group: &Group, (from, to): (&str, &str)) -> Result<()> {
    db.prepare_cached("UPDATE groups SET offered = 1, left_out = NULL WHERE key = ?1")?
        .execute([group.key])?;
    db.prepare_cached(
        "UPDATE memberships SET observed = 2, before = NULL, sent = NULL,
             stood = iif(observed = 1 AND desired = 1, 1, 0)
         WHERE group_key = ?1 AND observed <> 0 AND (managed = 1 OR desired = 0)",
    )?
    .execute([group.key])?;
    // The membership may be the same one; that it gives the new role nobody has said.
    db.prepare_cached(
        "UPDATE holdings SET name = ?3, at = 0
         WHERE name = ?2 AND user_key IN (SELECT key FROM users WHERE connection = ?1)",
    )?
    .execute(params![group.connection, from, to])?;
    let owner = params![group.connection, Kind::Group.code(), from, to];
    db.prepare_cached(
        "UPDATE OR IGNORE owners SET name = ?4 WHERE connection = ?1 AND kind = ?2 AND name = ?3",
    )?
    .execute(owner)?;
    db.prepare_cached("DELETE FROM owners WHERE connection = ?1 AND kind = ?2 AND name = ?3")?
        .execute(params![group.connection, Kind::Group.code(), from])?;
    Ok(())
}

#[async_trait]
impl Remaking for Sqlite {
    async fn go_on_as(
        &self,
        c: ConnectionKey,
        as_this: Successor,
        actor: Actor,
    ) -> std::result::Result<WentOn, StoreError> {
        let write = move |db: &Connection| go_on(db, c.0, as_this, &actor);
        Ok(self.writer.write(write).await?)
    }
}
