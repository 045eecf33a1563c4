//! Candidates of a list: which rows can match a filter, by index, and how the
//! filter sees each of them. What an index gives is judged again, so it only
//! saves work.
//!
//! Memberships are never part of a row: a filter about a group's members or a
//! user's groups asks for them, by index where it names one, else one by one.

use std::cell::{Cell, RefCell};

use rusqlite::{Connection, params, types::Value as SqlValue};
use serde_json::{Map, Value, json};

use crate::{
    scim::{
        filter::{Filter, Narrow, Subject, fold_case},
        groups::DirectGroup,
        render,
        resource::{ResourceId, ResourceType},
    },
    store::Resource,
};

use super::{
    fault::{Fault, Result},
    row::id_at,
};

/// A condition on a table's rows, in which `?1` is the connection and the
/// values follow from `?2`.
#[derive(Debug)]
pub(super) struct Candidates {
    pub(super) condition: String,
    pub(super) values: Vec<SqlValue>,
}

pub(super) fn table_of(of: ResourceType) -> &'static str {
    match of {
        ResourceType::User => "users",
        ResourceType::Group => "groups",
    }
}

impl Candidates {
    /// The rows that can match; `None` when none can.
    pub(super) fn of(filter: Option<&Filter>, of: ResourceType) -> Option<Self> {
        match filter.and_then(Filter::narrow) {
            None => Some(Self {
                condition: "TRUE".to_owned(),
                values: Vec::new(),
            }),
            Some(Narrow::AnyOf(all)) => Self::any_of(&all, of),
            Some(one) => {
                let mut values = Values::default();
                let condition = values.condition(&one, of)?;
                let values = values.0;
                Some(Self { condition, values })
            }
        }
    }

    /// Each alternative by its own index, which `SQLite` does not do with `OR`
    /// where an index covers a part of the rows only.
    fn any_of(all: &[Narrow], of: ResourceType) -> Option<Self> {
        let mut values = Values::default();
        let conditions = all.iter().filter_map(|one| values.condition(one, of));
        let table = table_of(of);
        let select = |condition| {
            format!(
                "SELECT key FROM {table} WHERE connection = ?1 AND tombstone IS NULL AND {condition}"
            )
        };
        let selects: Vec<String> = conditions.map(select).collect();
        (!selects.is_empty()).then(|| Self {
            condition: format!("key IN ({})", selects.join(" UNION ALL ")),
            values: values.0,
        })
    }
}

/// The values behind the connection's, which is the first.
#[derive(Default)]
struct Values(Vec<SqlValue>);

impl Values {
    /// Keeps a value; its place in the statement.
    fn at(&mut self, value: impl Into<SqlValue>) -> usize {
        self.0.push(value.into());
        self.0.len() + 1
    }

    fn at_id(&mut self, id: ResourceId) -> usize {
        self.at(id.as_bytes().to_vec())
    }

    /// What an index can be asked; `None` for what nothing can have.
    fn condition(&mut self, narrow: &Narrow, of: ResourceType) -> Option<String> {
        Some(match (narrow, of) {
            (Narrow::Id(id), _) => format!("id = ?{}", self.at_id(ResourceId::exact(id)?)),
            (Narrow::UserName(name), ResourceType::User) => {
                format!("user_name_key = ?{}", self.at(fold_case(name)))
            }
            (Narrow::UserNamePrefix(prefix), ResourceType::User) => self.prefix(fold_case(prefix)),
            (Narrow::DisplayName(name), ResourceType::Group) => {
                format!("display_key = ?{}", self.at(fold_case(name)))
            }
            (Narrow::ExternalId(id), _) => format!("external_id = ?{}", self.at(id.clone())),
            (Narrow::Email(email), ResourceType::User) => format!(
                "key IN (SELECT user_key FROM user_emails
                         WHERE connection = ?1 AND email_key = ?{})",
                self.at(fold_case(email))
            ),
            (Narrow::Member(id), ResourceType::Group) => format!(
                "key IN (SELECT m.group_key FROM users u
                         CROSS JOIN memberships m ON m.user_key = u.key AND m.desired = 1
                         WHERE u.id = ?{} AND u.connection = ?1)",
                self.at_id(ResourceId::parse(id)?)
            ),
            (Narrow::InGroup(id), ResourceType::User) => format!(
                "key IN (SELECT m.user_key FROM groups g
                         CROSS JOIN memberships m ON m.group_key = g.key AND m.desired = 1
                         WHERE g.id = ?{} AND g.connection = ?1 AND g.tombstone IS NULL)",
                self.at_id(ResourceId::parse(id)?)
            ),
            // What the other type alone has, no resource of this one has.
            _ => return None,
        })
    }

    /// A range, in the order of code points, which is that of the bytes. It is
    /// of folded text, as is what the filter judges.
    fn prefix(&mut self, prefix: String) -> String {
        let end = end_of(&prefix).map(|end| self.at(end));
        let end = end.map(|end| format!(" AND user_name_key < ?{end}"));
        format!(
            "user_name_key >= ?{}{}",
            self.at(prefix),
            end.unwrap_or_default()
        )
    }
}

/// The first text behind all that begin with a prefix, if there is any.
fn end_of(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // The range steps over what is no character.
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// A stored resource as a filter sees it.
pub(super) struct Stored<'db> {
    /// The attributes that are looked at.
    pub(super) document: Map<String, Value>,
    /// Members or groups that were looked at, for what the list costs.
    pub(super) read: Cell<u64>,
    /// A filter cannot fail; what the database could not answer is kept here.
    pub(super) fault: RefCell<Option<Fault>>,
    db: &'db Connection,
    of: ResourceType,
    key: i64,
}

impl<'db> Stored<'db> {
    pub(super) fn new(
        db: &'db Connection,
        of: ResourceType,
        key: i64,
        resource: &Resource,
        names: &[&str],
    ) -> Self {
        let document = render::excerpt(
            of,
            resource.id,
            resource.meta.created,
            resource.meta.modified,
            resource.meta.version,
            &resource.attributes,
            names,
        );
        Self {
            document,
            read: Cell::default(),
            fault: RefCell::default(),
            db,
            of,
            key,
        }
    }

    fn or_no(&self, answer: Result<bool>) -> bool {
        answer.unwrap_or_else(|fault| {
            *self.fault.borrow_mut() = Some(fault);
            false
        })
    }

    fn ask_link(&self, id: &str) -> Result<bool> {
        let Some(known) = ResourceId::parse(id) else {
            return Ok(false);
        };
        let sql = match self.of {
            ResourceType::Group => {
                "SELECT 1 FROM users u JOIN memberships m ON m.user_key = u.key
                 WHERE u.id = ?1 AND m.group_key = ?2 AND m.desired = 1
                   AND u.connection = (SELECT connection FROM groups WHERE key = ?2)"
            }
            ResourceType::User => {
                "SELECT 1 FROM groups g JOIN memberships m ON m.group_key = g.key
                 WHERE g.id = ?1 AND m.user_key = ?2 AND m.desired = 1 AND g.tombstone IS NULL
                   AND g.connection = (SELECT connection FROM users WHERE key = ?2)"
            }
        };
        let mut statement = self.db.prepare_cached(sql)?;
        Ok(statement.exists(params![known.as_bytes(), self.key])?)
    }

    fn look_through(&self, will_do: &mut dyn FnMut(&Value) -> bool) -> Result<bool> {
        let sql = match self.of {
            ResourceType::Group => {
                "SELECT user_id FROM memberships WHERE group_key = ?1 AND desired = 1"
            }
            ResourceType::User => {
                "SELECT g.id, g.attributes ->> '$.displayName' FROM memberships m
                 CROSS JOIN groups g ON g.key = m.group_key AND g.tombstone IS NULL
                 WHERE m.user_key = ?1 AND m.desired = 1"
            }
        };
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query([self.key])?;
        while let Some(row) = rows.next()? {
            self.read.set(self.read.get() + 1);
            let id = id_at(row, 0)?;
            let link = match self.of {
                ResourceType::Group => json!({"value": id.to_string(), "type": "User"}),
                ResourceType::User => {
                    let display = row.get::<_, Option<String>>(1)?.unwrap_or_default();
                    DirectGroup { id, display }.to_json(None)
                }
            };
            if will_do(&link) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Subject for Stored<'_> {
    fn attributes(&self) -> &Map<String, Value> {
        &self.document
    }

    fn is_linked(&self, id: &str) -> bool {
        self.or_no(self.ask_link(id))
    }

    fn any_link(&self, will_do: &mut dyn FnMut(&Value) -> bool) -> bool {
        self.or_no(self.look_through(will_do))
    }
}
