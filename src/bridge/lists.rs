//! Lists: from a query to a page, and from a page to the cursors that lead on
//! from it (RFC 7644 section 3.4.2, RFC 9865).

use super::{
    Failure, Session, clock,
    cursor::{Cursors, Direction, Position},
    session::{COME_AGAIN, store_failed},
};
use crate::{
    scim::{
        catalog::{Catalog, Found, Listable},
        groups::DirectGroup,
        query::{ListQuery, Page},
        resource::ResourceType,
    },
    store::{Among, Item, ListError, Listing, Mark, Select, Start},
};

/// A page as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub total: u64,
    pub items: Vec<Item>,
    /// Of the users among them, in order, for as many as was asked.
    pub groups: Vec<Vec<DirectGroup>>,
    pub paging: Paging,
}

/// How the page was asked for, and how to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paging {
    /// The one-based place of the first resource.
    Index(u64),
    /// What leads to the pages around this one, where there are any.
    Cursor {
        next: Option<String>,
        previous: Option<String>,
    },
}

impl Session {
    /// One page of a list. Every query is about something else and is
    /// otherwise the same one. Where users are to be shown with their groups,
    /// `groups` of those are read with the page; the others by
    /// [`Self::groups_of`], in their turn.
    pub async fn list(
        &self,
        asked: &[(Listable, ListQuery)],
        groups: usize,
    ) -> Result<Listed, Failure> {
        let Some((_, first)) = asked.first() else {
            return Err(Failure::Internal);
        };
        let catalog = self.catalog();
        let (start, way) = match &first.page {
            Page::Index(index) => (Start::Offset(index.saturating_sub(1)), None),
            Page::Cursor { cursor, of_query } => {
                let cursors = self.cursors(asked, of_query, &catalog)?;
                (
                    cursors.start(cursor, first.count, clock::now())?,
                    Some(cursors),
                )
            }
        };
        let select = Select {
            among: asked.iter().filter_map(among).collect(),
            beside: beside(asked, &catalog),
            descending: first.descending,
            start,
            limit: first.count,
            groups: if asked.iter().any(shows_groups) {
                groups
            } else {
                0
            },
        };
        let list = self.bridge.store.list(self.connection.key, select).await;
        let listing = list.map_err(list_failed)?;
        let paging = match (&first.page, way) {
            // A page of nothing would never lead to another one.
            (_, Some(_)) if first.count == 0 => Paging::Cursor {
                next: None,
                previous: None,
            },
            (_, Some(cursors)) => onward(&cursors, &listing, first.count),
            (Page::Index(index), None) => Paging::Index(*index),
            (Page::Cursor { .. }, None) => return Err(Failure::Internal),
        };
        Ok(Listed {
            total: listing.total,
            items: listing.items,
            groups: listing.groups,
            paging,
        })
    }

    /// The cursors of one query of this connection. A place in a table is good
    /// for as long as the table is the same.
    fn cursors(
        &self,
        asked: &[(Listable, ListQuery)],
        of_query: &str,
        catalog: &Catalog,
    ) -> Result<Cursors, Failure> {
        let mut bound: Vec<&str> = vec![&self.connection.name, of_query];
        for (of, _) in asked {
            bound.push(of.name());
            if let Listable::Assignable(of) = of {
                let entries = catalog.entries(*of).iter();
                bound.extend(entries.map(|entry| entry.value.as_str()));
            }
        }
        let cursors = Cursors::new(&self.connection.tokens, &bound);
        cursors.ok_or(Failure::Internal)
    }
}

fn shows_groups((of, query): &(Listable, ListQuery)) -> bool {
    *of == ResourceType::User.into() && query.projection.wants_groups()
}

fn among((of, query): &(Listable, ListQuery)) -> Option<Among> {
    let Listable::Stored(of) = *of else {
        return None;
    };
    Some(Among {
        of,
        filter: query.filter.clone(),
        sort: query.sort.clone(),
    })
}

fn beside(asked: &[(Listable, ListQuery)], catalog: &Catalog) -> Vec<Found> {
    let tables = asked.iter().filter_map(|(of, query)| match of {
        Listable::Stored(_) => None,
        Listable::Assignable(of) => Some(catalog.find(*of, query)),
    });
    tables.flatten().collect()
}

/// A page that turned out empty leads on from the end of the list at which it
/// lies.
fn onward(cursors: &Cursors, listing: &Listing, count: u64) -> Paging {
    let (first, last) = listing.ends.clone().unzip();
    let now = clock::now();
    let cursor = |direction, mark: Option<Mark>| {
        let position = Position {
            direction,
            mark,
            count,
        };
        cursors.seal(&position, now)
    };
    Paging::Cursor {
        next: listing.later.then(|| cursor(Direction::After, last)),
        previous: listing.earlier.then(|| cursor(Direction::Before, first)),
    }
}

fn list_failed(error: ListError) -> Failure {
    match error {
        ListError::Problem(problem) => Failure::Problem(problem),
        ListError::Crowded => Failure::Later {
            seconds: COME_AGAIN,
            detail: "too many lists that no index answers are waiting already".into(),
        },
        ListError::Store(error) => store_failed(error),
    }
}
