//! Lists and filters (RFC 7644 section 3.4.2). An index gives the candidates
//! where the filter has an equality for one; every candidate is then judged
//! by the filter itself. Rows are streamed: only the page is kept.

use std::cell::RefCell;

use rusqlite::{Connection, params, params_from_iter, types::Value as SqlValue};
use serde_json::{Map, Value};

use crate::{
    scim::{
        filter::{Filter, Narrow, Subject, fold_case},
        render,
        resource::{ResourceId, ResourceType},
    },
    store::{Listing, Resource, Select},
};

use super::{
    fault::{Fault, Result},
    read::resource_at,
    row::id_at,
};

/// Whether at most one row can match, so that the answer costs a point read.
pub(super) fn is_point(select: &Select) -> bool {
    matches!(
        select.filter.as_ref().and_then(Filter::narrow),
        Some(Narrow::Id(_) | Narrow::UserName(_) | Narrow::ExternalId(_) | Narrow::DisplayName(_))
    )
}

pub(super) fn list(
    db: &Connection,
    connection: i64,
    of: ResourceType,
    select: &Select,
) -> Result<Listing> {
    match &select.filter {
        // Total and page are of one moment.
        None => {
            let snapshot = db.unchecked_transaction()?;
            everything(&snapshot, connection, of, select)
        }
        Some(filter) => filtered(db, connection, of, select, filter),
    }
}

fn everything(
    db: &Connection,
    connection: i64,
    of: ResourceType,
    select: &Select,
) -> Result<Listing> {
    let table = table_of(of);
    let sql = format!("SELECT count(*) FROM {table} WHERE connection = ?1 AND tombstone IS NULL");
    let total: i64 = db
        .prepare_cached(&sql)?
        .query_row([connection], |row| row.get(0))?;
    let sql = format!(
        "SELECT id, version, created, modified, attributes FROM {table}
         WHERE connection = ?1 AND tombstone IS NULL ORDER BY key LIMIT ?2 OFFSET ?3"
    );
    let limit = i64::try_from(select.limit).unwrap_or(i64::MAX);
    let offset = i64::try_from(select.offset).unwrap_or(i64::MAX);
    let resources = db
        .prepare_cached(&sql)?
        .query_map(params![connection, limit, offset], resource_at)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Listing {
        total: total.cast_unsigned(),
        resources,
    })
}

fn table_of(of: ResourceType) -> &'static str {
    match of {
        ResourceType::User => "users",
        ResourceType::Group => "groups",
    }
}

fn filtered(
    db: &Connection,
    connection: i64,
    of: ResourceType,
    select: &Select,
    filter: &Filter,
) -> Result<Listing> {
    let Some((condition, value)) = candidates(filter, of) else {
        return Ok(Listing {
            total: 0,
            resources: Vec::new(),
        });
    };
    let sql = format!(
        "SELECT id, version, created, modified, attributes, key FROM {}
         WHERE connection = ?1 AND tombstone IS NULL AND {condition} ORDER BY key",
        table_of(of)
    );
    let mut statement = db.prepare_cached(&sql)?;
    // A filter on an attribute of the other type has no index here.
    let value_given = value.is_some();
    let values = [Some(connection.into()), value];
    let mut rows = statement.query(params_from_iter(values.into_iter().flatten()))?;
    let mut listing = Listing {
        total: 0,
        resources: Vec::new(),
    };
    let decided = filter.is_decided_by_index() && value_given;
    while let Some(row) = rows.next()? {
        let resource = resource_at(row)?;
        if !decided && !judge(db, of, row.get(5)?, &resource, filter)? {
            continue;
        }
        let place = listing.total;
        listing.total += 1;
        let on_page = place >= select.offset && place - select.offset < select.limit;
        if on_page {
            listing.resources.push(resource);
        }
    }
    Ok(listing)
}

/// Whether a candidate matches.
fn judge(
    db: &Connection,
    of: ResourceType,
    key: i64,
    resource: &Resource,
    filter: &Filter,
) -> Result<bool> {
    let subject = Stored::new(db, of, key, resource);
    let matches = filter.matches(&subject);
    match subject.fault.into_inner() {
        Some(fault) => Err(fault),
        None => Ok(matches),
    }
}

/// The rows that can match, as a condition and its value; `None` when none can.
fn candidates(filter: &Filter, of: ResourceType) -> Option<(&'static str, Option<SqlValue>)> {
    let text = |text: String| Some(SqlValue::Text(text));
    let blob = |id: ResourceId| Some(SqlValue::Blob(id.as_bytes().to_vec()));
    Some(match (filter.narrow(), of) {
        (Some(Narrow::Id(id)), _) => ("id = ?2", blob(ResourceId::parse(&id)?)),
        (Some(Narrow::UserName(name)), ResourceType::User) => {
            ("user_name_key = ?2", text(fold_case(&name)))
        }
        (Some(Narrow::DisplayName(name)), ResourceType::Group) => {
            ("display_key = ?2", text(fold_case(&name)))
        }
        (Some(Narrow::ExternalId(id)), _) => ("external_id = ?2", text(id)),
        (Some(Narrow::Email(email)), ResourceType::User) => (
            "key IN (SELECT user_key FROM user_emails WHERE connection = ?1 AND email_key = ?2)",
            text(fold_case(&email)),
        ),
        (Some(Narrow::Member(id)), ResourceType::Group) => (
            "key IN (SELECT m.group_key FROM users u JOIN memberships m ON m.user_key = u.key
                     WHERE u.id = ?2 AND m.desired = 1)",
            blob(ResourceId::parse(&id)?),
        ),
        // No index, or one of the other type.
        _ => ("TRUE", None),
    })
}

/// A stored resource as a filter sees it.
struct Stored<'db> {
    db: &'db Connection,
    of: ResourceType,
    key: i64,
    document: Map<String, Value>,
    /// A filter cannot fail; what the database could not answer is kept here.
    fault: RefCell<Option<Fault>>,
}

impl<'db> Stored<'db> {
    fn new(db: &'db Connection, of: ResourceType, key: i64, resource: &Resource) -> Self {
        let document = render::document(
            of,
            resource.id,
            resource.meta.created,
            resource.meta.modified,
            resource.meta.version,
            &resource.attributes,
            None,
        );
        Self {
            db,
            of,
            key,
            document,
            fault: RefCell::default(),
        }
    }

    fn or_default<T: Default>(&self, answer: Result<T>) -> T {
        answer.unwrap_or_else(|fault| {
            *self.fault.borrow_mut() = Some(fault);
            T::default()
        })
    }

    fn ask_member(&self, id: &str) -> Result<bool> {
        let Some(id) = ResourceId::parse(id) else {
            return Ok(false);
        };
        Ok(self
            .db
            .prepare_cached(
                "SELECT 1 FROM users u JOIN memberships m ON m.user_key = u.key
                 WHERE u.id = ?1 AND m.group_key = ?2 AND m.desired = 1",
            )?
            .exists(params![id.as_bytes(), self.key])?)
    }

    fn ask_members(&self) -> Result<Vec<String>> {
        let ids = self
            .db
            .prepare_cached(
                "SELECT user_id FROM memberships WHERE group_key = ?1 AND desired = 1
                 ORDER BY user_key",
            )?
            .query_map([self.key], |row| Ok(id_at(row, 0)?.to_string()))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(ids)
    }
}

impl Subject for Stored<'_> {
    fn attributes(&self) -> &Map<String, Value> {
        &self.document
    }

    fn has_member(&self, id: &str) -> bool {
        self.of == ResourceType::Group && self.or_default(self.ask_member(id))
    }

    fn members(&self) -> Vec<String> {
        match self.of {
            ResourceType::Group => self.or_default(self.ask_members()),
            ResourceType::User => Vec::new(),
        }
    }
}
