//! Lists: from a query to a page, and from a page to the cursors that lead on
//! from it (RFC 7644 section 3.4.2, RFC 9865).

use super::{
    Failure, Session, clock,
    cursor::{Cursors, Direction, Position},
    session::{COME_AGAIN, store_failed},
};
use crate::{
    scim::{
        groups::DirectGroup,
        query::{ListQuery, Page},
        resource::ResourceType,
    },
    store::{Among, ListError, Listing, Mark, Resource, Select, Start},
};

/// A page as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub total: u64,
    pub resources: Vec<(ResourceType, Resource)>,
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
    /// One page of a list. Every query is about another resource type and is
    /// otherwise the same one. Where users are to be shown with their groups,
    /// `groups` of those are read with the page; the others by
    /// [`Self::groups_of`], in their turn.
    pub async fn list(
        &self,
        asked: &[(ResourceType, ListQuery)],
        groups: usize,
    ) -> Result<Listed, Failure> {
        let Some((_, first)) = asked.first() else {
            return Err(Failure::Internal);
        };
        let (start, way) = match &first.page {
            Page::Index(index) => (Start::Offset(index.saturating_sub(1)), None),
            Page::Cursor { cursor, of_query } => {
                let cursors = self.cursors(asked, of_query)?;
                (cursors.start(cursor, clock::now())?, Some(cursors))
            }
        };
        let select = Select {
            among: asked.iter().map(among).collect(),
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
            (_, Some(cursors)) => onward(&cursors, &listing),
            (Page::Index(index), None) => Paging::Index(*index),
            (Page::Cursor { .. }, None) => return Err(Failure::Internal),
        };
        Ok(Listed {
            total: listing.total,
            resources: listing.resources,
            groups: listing.groups,
            paging,
        })
    }

    /// The cursors of one query of this connection.
    fn cursors(
        &self,
        asked: &[(ResourceType, ListQuery)],
        of_query: &str,
    ) -> Result<Cursors, Failure> {
        let types = asked.iter().map(|(of, _)| of.name());
        let mut bound: Vec<&str> = vec![&self.connection.name, of_query];
        bound.extend(types);
        let cursors = Cursors::new(&self.connection.tokens, &bound);
        cursors.ok_or(Failure::Internal)
    }
}

fn shows_groups((of, query): &(ResourceType, ListQuery)) -> bool {
    *of == ResourceType::User && query.projection.wants_groups()
}

fn among((of, query): &(ResourceType, ListQuery)) -> Among {
    Among {
        of: *of,
        filter: query.filter.clone(),
        sort: query.sort.clone(),
    }
}

/// A page that turned out empty leads on from the end of the list at which it
/// lies.
fn onward(cursors: &Cursors, listing: &Listing) -> Paging {
    let (first, last) = listing.ends.clone().unzip();
    let now = clock::now();
    let cursor = |direction, mark: Option<Mark>| cursors.seal(&Position { direction, mark }, now);
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
