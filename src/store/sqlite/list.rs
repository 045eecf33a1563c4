//! Lists and filters (RFC 7644 section 3.4.2). An index gives the candidates
//! where the filter has an equality for one; every candidate is then judged
//! by the filter itself.
//!
//! Rows are streamed in order of creation, and only the page is kept. A sorted
//! list keeps the keys of all matches, within bounds, and reads the page in
//! the end. Rows that are given with the query stand in the same order. What a list costs is counted, and one that costs too much is
//! refused (RFC 7644 section 3.12, `tooMany`).

use std::cell::Cell;

use rusqlite::{Connection, Row, params_from_iter, types::Value as SqlValue};

use crate::{
    scim::{
        catalog::{Assignable, Listable},
        error::{Problem, ScimType},
        filter::Filter,
        groups::DirectGroup,
        query::{Sort, SortKey},
        resource::ResourceType,
    },
    store::{Among, Item, Listing, Mark, Meta, Resource, Select},
};

use super::{
    candidate::{Candidates, Stored, table_of},
    fault::{Fault, Result},
    memberships,
    read::{Moment, resource_at},
    readers::Halt,
    row::id_at,
};

mod plain;
mod window;

use window::{Order, Window};

/// What a list may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Candidates, each as often as the filter has comparisons, and one more.
    pub(super) steps: u64,
    /// Bytes of the keys that are sorted.
    pub(super) keys: usize,
}

impl Default for Bounds {
    /// Enough for the longest filter over a hundred thousand users, or a usual
    /// one over several million.
    fn default() -> Self {
        Self {
            steps: 64_000_000,
            keys: 64 * 1024 * 1024,
        }
    }
}

/// How much a list may have to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// One row at most, so that the answer costs a point read.
    Point,
    /// What an index gives, or one page.
    Some,
    Everything,
}

pub(super) fn reach(select: &Select) -> Reach {
    let among = match &select.among[..] {
        // All of it is in memory.
        [] => return Reach::Point,
        [among] => among,
        _ => return Reach::Everything,
    };
    match among.filter.as_ref().map(Filter::narrow) {
        Some(Some(narrow)) if narrow.is_point() => Reach::Point,
        Some(Some(narrow)) if narrow.is_small() => Reach::Some,
        None if among.sort.is_none() => Reach::Some,
        Some(_) | None => Reach::Everything,
    }
}

pub(super) fn list(
    db: &Connection,
    connection: i64,
    select: &Select,
    bounds: Bounds,
    halt: &Halt,
) -> Result<Listing> {
    let budget = Budget::new(bounds, halt);
    // Several statements see one moment.
    let moment = Moment::begin(db)?;
    match &select.among[..] {
        [only] if only.sort.is_none() && only.filter.is_none() && select.beside.is_empty() => {
            plain::list(&moment, connection, only.of, select)
        }
        among => {
            let list = List::new(&moment, connection, select, budget);
            let mut beside = select.beside.iter();
            if among.iter().any(|among| among.sort.is_some())
                || beside.any(|found| found.key != SortKey::default())
            {
                list.sorted()
            } else {
                list.in_order()
            }
        }
    }
}

/// The groups of the users among the rows of a page, as far as they are wanted.
fn groups(
    db: &Connection,
    select: &Select,
    rows: impl Iterator<Item = (Listable, i64)>,
) -> Result<Vec<Vec<DirectGroup>>> {
    if select.groups == 0 {
        return Ok(Vec::new());
    }
    let users = rows.filter(|(of, _)| *of == ResourceType::User.into());
    let users: Vec<i64> = users.map(|(_, row)| row).collect();
    memberships::groups_by_key(db, &users, select.groups)
}

/// What is left of the bounds.
struct Budget<'a> {
    steps: Cell<u64>,
    keys: Cell<usize>,
    halt: &'a Halt,
}

impl<'a> Budget<'a> {
    fn new(bounds: Bounds, halt: &'a Halt) -> Self {
        Self {
            steps: Cell::new(bounds.steps),
            keys: Cell::new(bounds.keys),
            halt,
        }
    }

    fn spend(&self, steps: u64) -> Result<()> {
        if self.halt.is_called() {
            return Err(Fault::broken("nobody waits for this list any more"));
        }
        let left = self.steps.get().checked_sub(steps);
        self.steps.set(left.ok_or_else(|| {
            too_many("this filter looks at more than a list may; narrow it with `and` and an equality on userName, externalId, emails.value, displayName or members.value")
        })?);
        Ok(())
    }

    fn hold(&self, key: &Mark) -> Result<()> {
        let bytes = size_of::<Mark>() + key.key.as_bytes().len();
        let left = self.keys.get().checked_sub(bytes);
        self.keys.set(left.ok_or_else(|| {
            too_many(
                "there is more to sort than a list may; narrow the filter, or leave sortBy out",
            )
        })?);
        Ok(())
    }
}

fn too_many(detail: &str) -> Fault {
    Problem::bad(ScimType::TooMany, detail).into()
}

/// A list under way.
struct List<'a> {
    db: &'a Connection,
    connection: i64,
    select: &'a Select,
    budget: Budget<'a>,
}

impl<'a> List<'a> {
    fn new(db: &'a Connection, connection: i64, select: &'a Select, budget: Budget<'a>) -> Self {
        Self {
            db,
            connection,
            select,
            budget,
        }
    }

    /// In order of creation: the page is found while rows are read.
    fn in_order(&self) -> Result<Listing> {
        let types = self.types();
        let mut window = self.window(&types);
        for among in &self.select.among {
            self.each(among, |mark, resource| {
                window.offer(mark, resource);
                Ok(())
            })?;
        }
        for found in &self.select.beside {
            window.offer(found.into(), None);
        }
        self.listing(window)
    }

    /// By keys: all of them are put in order before the page is found.
    fn sorted(&self) -> Result<Listing> {
        let types = self.types();
        let mut marks = Vec::new();
        for among in &self.select.among {
            self.each(among, |mark, _| {
                self.budget.hold(&mark)?;
                marks.push(mark);
                Ok(())
            })?;
        }
        marks.extend(self.select.beside.iter().map(Mark::from));
        let mut window = self.window(&types);
        let order = self.order(&types);
        marks.sort_unstable_by(|a, b| order.compare(a, b));
        for mark in marks {
            window.offer(mark, None);
        }
        self.listing(window)
    }

    fn types(&self) -> Vec<Listable> {
        let stored = self.select.among.iter().map(|among| among.of.into());
        stored.chain(Assignable::ALL.map(Listable::from)).collect()
    }

    fn order<'t>(&self, types: &'t [Listable]) -> Order<'t> {
        Order {
            types,
            descending: self.select.descending,
        }
    }

    fn window<'t>(&'t self, types: &'t [Listable]) -> Window<'t, Option<Resource>> {
        Window::new(self.order(types), &self.select.start, self.select.limit)
    }

    /// Every match of one type in order of creation, with its place; with the
    /// resource when it was read for the filter and is not to be sorted.
    fn each(
        &self,
        among: &Among,
        mut take: impl FnMut(Mark, Option<Resource>) -> Result<()>,
    ) -> Result<()> {
        let Some(Candidates { condition, values }) =
            Candidates::of(among.filter.as_ref(), among.of)
        else {
            return Ok(());
        };
        let reads = among.filter.is_some() || among.sort.is_some();
        let columns = if reads {
            "key, id, version, created, modified, attributes"
        } else {
            "key"
        };
        let sql = format!(
            "SELECT {columns} FROM {} WHERE connection = ?1 AND tombstone IS NULL AND {condition}
             ORDER BY key",
            table_of(among.of)
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let decided = among
            .filter
            .as_ref()
            .is_none_or(Filter::is_decided_by_index);
        let mut names = among.filter.as_ref().map_or(Vec::new(), Filter::looks_at);
        names.extend(among.sort.as_ref().map(Sort::looks_at));
        let steps = among.filter.as_ref().map_or(0, Filter::comparisons) + 1;
        let values = std::iter::once(self.connection.into()).chain(values);
        let mut rows = statement.query(params_from_iter::<Vec<SqlValue>>(values.collect()))?;
        while let Some(row) = rows.next()? {
            self.budget.spend(steps)?;
            let mut mark = Mark {
                key: SortKey::default(),
                of: among.of.into(),
                row: row.get(0)?,
            };
            if !reads {
                take(mark, None)?;
                continue;
            }
            let resource = resource_after_key(row)?;
            if decided && among.sort.is_none() {
                take(mark, Some(resource))?;
                continue;
            }
            let subject = Stored::new(self.db, among.of, mark.row, &resource, &names);
            if !decided && !self.judge(&subject, among.filter.as_ref())? {
                continue;
            }
            match &among.sort {
                None => take(mark, Some(resource))?,
                Some(sort) => {
                    mark.key = sort.key(&subject.document);
                    take(mark, None)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a candidate matches.
    fn judge(&self, subject: &Stored<'_>, filter: Option<&Filter>) -> Result<bool> {
        let matches = filter.is_none_or(|filter| filter.matches(subject));
        if let Some(fault) = subject.fault.take() {
            return Err(fault);
        }
        self.budget.spend(subject.read.get())?;
        Ok(matches)
    }

    fn listing(&self, window: Window<'_, Option<Resource>>) -> Result<Listing> {
        let ends = window.ends();
        let rows = window.page.iter().map(|(mark, _)| (mark.of, mark.row));
        let groups = groups(self.db, self.select, rows)?;
        let mut items = Vec::with_capacity(window.page.len());
        for (mark, resource) in window.page {
            items.push(match (mark.of, resource) {
                (Listable::Stored(of), Some(resource)) => Item::Resource(of, resource),
                (Listable::Stored(of), None) => Item::Resource(of, self.at(of, mark.row)?),
                (Listable::Assignable(of), _) => self.beside(of, mark.row)?,
            });
        }
        Ok(Listing {
            total: window.total,
            items,
            ends,
            earlier: window.earlier,
            later: window.later,
            groups,
        })
    }

    fn beside(&self, of: Assignable, row: i64) -> Result<Item> {
        let mut beside = self.select.beside.iter();
        let found = beside.find(|found| found.of == of && found.row == row);
        let found = found.ok_or_else(|| Fault::broken("a list holds a row that was not given"))?;
        Ok(Item::Row(of, found.entry.clone()))
    }

    fn at(&self, of: ResourceType, row: i64) -> Result<Resource> {
        let sql = format!(
            "SELECT id, version, created, modified, attributes FROM {} WHERE key = ?1",
            table_of(of)
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        Ok(statement.query_row([row], resource_at)?)
    }
}

/// A resource from `key, id, version, created, modified, attributes`.
fn resource_after_key(row: &Row<'_>) -> rusqlite::Result<Resource> {
    Ok(Resource {
        id: id_at(row, 1)?,
        meta: Meta {
            version: row.get::<_, i64>(2)?.cast_unsigned(),
            created: row.get(3)?,
            modified: row.get(4)?,
        },
        attributes: row.get(5)?,
    })
}
